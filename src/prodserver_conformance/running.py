"""One run: the engine, the processes that the image has, pytest, the end."""

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
from prodserver_conformance.container import Wrong
from prodserver_conformance.engine import ENGINE_ERRORS, Engine
from prodserver_conformance.options import Options
from prodserver_conformance.plugin import Plugin
from prodserver_conformance.report import Report
from prodserver_conformance.secrets import Secrets
from prodserver_conformance.site import Site

_SOFTWARE = 70


def check(
    options: Options, names: Sequence[str], as_json: str, junit: str, files: list[Path]
) -> int:
    """
    Check an image; return what to exit with.

    Args:
        options: What is checked.
        names: The processes; the image's own defaults if there are none.
        as_json: Where the report goes as JSON; nowhere if empty.
        junit: The same for JUnit.
        files: The modules of the rows.

    Raises:
        UnavailableError: No engine answers.
        UsageError: The image, a process or a network is not there.
    """
    ended: list[int] = []

    def end(signum: int, frame: object) -> None:
        ended.append(signum)
        raise KeyboardInterrupt  # for pytest, it is Ctrl-C

    before = signal.signal(signal.SIGTERM, end)
    secrets = Secrets(options.env)
    report = Report(lambda line: print(line, flush=True), secrets.hide)
    engine = None
    try:
        env = {**options.env, **secrets.canary}
        engine = Engine(options.image, env, options.network, options.volumes)
        try:
            listed = _list(engine, options, secrets)
            _choose(options, names, listed)
            _say_what(report, engine, options)
            plugin = Plugin(Site(engine, options, secrets, listed), report)
            code = _pytest(plugin, files, junit)
        finally:
            engine.remove()
        if code == pytest.ExitCode.INTERRUPTED and not plugin.broken:
            raise KeyboardInterrupt
    except KeyboardInterrupt:
        if engine:
            # What the engine was asked for just then, it makes nevertheless.
            time.sleep(1)
            engine.remove()
        report.say("interrupted; all that was started is removed")
        return 128 + (ended[0] if ended else signal.SIGINT)
    except ENGINE_ERRORS as error:
        raise UnavailableError(f"The engine fails: {error}") from None
    finally:
        signal.signal(signal.SIGTERM, before)
    report.table()
    if as_json:
        text = report.as_json(options, engine.image.id)
        Path(as_json).write_text(text)
    for trouble in plugin.broken:
        print(report.hide(trouble), file=sys.stderr)
    report.say(f"\n{options.image}: {report.summary()}")
    if plugin.broken or code not in (pytest.ExitCode.OK, pytest.ExitCode.TESTS_FAILED):
        return _SOFTWARE
    return 0 if report.is_good(options.strict) else 1


def _list(engine: Engine, options: Options, secrets: Secrets) -> str:
    """Return what the image lists as its processes, as JSON."""
    command = ["prodserver", "--list", "--format", "json"]
    hint = "Give it the variables it needs with --env; and is it of prodserver-base?"
    try:
        done = engine.finish(*command, seconds=options.timeout)
        # Hooks may say something first, and Python its warnings behind it.
        start = max(done.output.find("[\n"), 0)
        _, end = json.JSONDecoder().raw_decode(done.output, start)
    except (Wrong, ValueError, *ENGINE_ERRORS) as error:
        why = done.last_words if isinstance(error, ValueError) else str(error)
        message = f"{options.image} does not list its processes: {why}"
        raise UsageError(secrets.hide(message), hint) from None
    return done.output[start:end]


def _choose(options: Options, names: Sequence[str], listed: str) -> None:
    """Choose the processes that are looked at."""
    rows = list(json.loads(listed))
    options.configured = [str(row["name"]) for row in rows]
    for name in [*names, *options.before]:
        if name not in options.configured:
            message = f"{options.image} has no process {name!r}."
            raise UsageError(message, f"It has: {', '.join(options.configured)}.")
    defaults = [row["name"] for row in rows if row["default"]]
    defaults += [row["name"] for row in rows if row["name"] == "worker"]
    options.processes = list(dict.fromkeys(names or defaults))
    if not options.processes:
        message = f"{options.image} has no process named web or worker."
        hint = f"Name one with --process: {', '.join(options.configured)}."
        raise UsageError(message, hint)


def _say_what(report: Report, engine: Engine, options: Options) -> None:
    names = ", ".join(options.processes)
    short = engine.image.id.removeprefix("sha256:")[:12]
    report.say(f"{options.image} ({short}): {names}")
    if engine.note:
        report.say(engine.note)


def _pytest(plugin: Plugin, files: list[Path], junit: str) -> int:
    """Run the rows, whatever the project in this folder makes of pytest."""
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
                # The report is ours.
                "-pno:terminal",
                *([f"--junit-xml={junit}"] if junit else []),
                *map(str, files),
            ],
            plugins=[plugin],
        )
    )
