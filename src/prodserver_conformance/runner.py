"""Run the checks on one image, from the engine's start to the report."""

from __future__ import annotations

import json
import os
import signal
import sys
import time
from collections.abc import Sequence
from pathlib import Path

import pytest

from django_prodserver.exceptions import UnavailableError, UsageError
from prodserver_conformance.container import CheckFailed
from prodserver_conformance.engine import ENGINE_ERRORS, Engine
from prodserver_conformance.environment import Environment
from prodserver_conformance.options import Options
from prodserver_conformance.plugin import Plugin
from prodserver_conformance.report import Report
from prodserver_conformance.secrets import Secrets

_EX_SOFTWARE = 70


def run_checks(
    options: Options,
    names: Sequence[str],
    json_file: str,
    junit_file: str,
    modules: list[Path],
) -> int:
    """
    Check an image; return the exit code.

    Args:
        options: The command line's options.
        names: The processes to check; the image's default ones if empty.
        json_file: Where to write the report as JSON; nowhere if empty.
        junit_file: Where to write it as JUnit's XML; nowhere if empty.
        modules: The files that contain the checks.

    Raises:
        UnavailableError: No engine answers.
        UsageError: The image, a process or a network does not exist.
    """
    received: list[int] = []

    def on_sigterm(signum: int, frame: object) -> None:
        received.append(signum)
        raise KeyboardInterrupt  # pytest handles it as Ctrl-C

    previous = signal.signal(signal.SIGTERM, on_sigterm)
    secrets = Secrets(options.env)
    report = Report(lambda line: print(line, flush=True), secrets.redact)
    engine = None
    try:
        env = {**options.env, **secrets.canary}
        engine = Engine(options.image, env, options.network, options.volumes)
        try:
            process_list = _list_processes(engine, options, secrets)
            _choose_processes(options, names, process_list)
            _write_header(report, engine, options)
            environment = Environment(engine, options, secrets, process_list)
            plugin = Plugin(environment, report)
            code = _run_pytest(plugin, modules, junit_file)
        finally:
            engine.remove()
        if code == pytest.ExitCode.INTERRUPTED and not plugin.internal_errors:
            raise KeyboardInterrupt
    except KeyboardInterrupt:
        if engine:
            # The engine still creates the container that was requested just before.
            time.sleep(1)
            engine.remove()
        report.write("interrupted; all started containers are removed")
        return 128 + (received[0] if received else signal.SIGINT)
    except ENGINE_ERRORS as error:
        raise UnavailableError(f"The engine fails: {error}") from None
    finally:
        signal.signal(signal.SIGTERM, previous)
    report.write_table()
    if json_file:
        Path(json_file).write_text(report.to_json(options, engine.image.id))
    for traceback in plugin.internal_errors:
        print(report.redact(traceback), file=sys.stderr)
    report.write(f"\n{options.image}: {report.summary()}")
    is_expected = code in (pytest.ExitCode.OK, pytest.ExitCode.TESTS_FAILED)
    if plugin.internal_errors or not is_expected:
        return _EX_SOFTWARE
    return 0 if report.passed(options.strict) else 1


def _list_processes(engine: Engine, options: Options, secrets: Secrets) -> str:
    """Return the JSON of ``prodserver --list`` in the image."""
    command = ["prodserver", "--list", "--format", "json"]
    hint = (
        "Pass the variables that it needs with --env. Is it based on prodserver-base?"
    )
    try:
        done = engine.run_to_completion(*command, seconds=options.timeout)
        # Hooks may print something before the JSON, and Python its warnings after it.
        start = max(done.output.find("[\n"), 0)
        _, end = json.JSONDecoder().raw_decode(done.output, start)
    except (CheckFailed, ValueError, *ENGINE_ERRORS) as error:
        why = done.last_lines if isinstance(error, ValueError) else str(error)
        message = f"{options.image} does not list its processes: {why}"
        raise UsageError(secrets.redact(message), hint) from None
    return done.output[start:end]


def _choose_processes(
    options: Options, names: Sequence[str], process_list: str
) -> None:
    """Set which processes are checked; raise UsageError for an unknown name."""
    listed = list(json.loads(process_list))
    options.configured = [str(process["name"]) for process in listed]
    for name in [*names, *options.before]:
        if name not in options.configured:
            message = f"{options.image} has no process {name!r}."
            raise UsageError(message, f"It has: {', '.join(options.configured)}.")
    defaults = [process["name"] for process in listed if process["default"]]
    defaults += [name for name in options.configured if name == "worker"]
    options.processes = list(dict.fromkeys(names or defaults))
    if not options.processes:
        message = f"{options.image} has no process named web or worker."
        hint = f"Name one with --process: {', '.join(options.configured)}."
        raise UsageError(message, hint)


def _write_header(report: Report, engine: Engine, options: Options) -> None:
    names = ", ".join(options.processes)
    short = engine.image.id.removeprefix("sha256:")[:12]
    report.write(f"{options.image} ({short}): {names}")
    if engine.note:
        report.write(engine.note)


def _run_pytest(plugin: Plugin, modules: list[Path], junit_file: str) -> int:
    """Run the checks, whatever pytest's configuration in the current directory."""
    for name in ("PYTEST_ADDOPTS", "PYTEST_PLUGINS"):
        os.environ.pop(name, None)
    os.environ |= {"PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"}
    here = Path(__file__).parent
    return int(
        pytest.main(
            [
                f"--config-file={here / 'pytest.ini'}",
                f"--rootdir={here}",
                f"--confcutdir={here}",
                "--noconftest",
                "--import-mode=importlib",
                "-pno:cacheprovider",
                # The plugin writes its own report.
                "-pno:terminal",
                *([f"--junit-xml={junit_file}"] if junit_file else []),
                *map(str, modules),
            ],
            plugins=[plugin],
        )
    )
