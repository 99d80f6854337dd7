"""
Published applications: does each run as it is, on every server?

    python -m benchmarks.applications [NAME ...]

A name is "big" (Wagtail's starter) or a key of benchmarks.published.PUBLISHED. Each is
checked and listed, serves its page on each server, runs its worker and its release,
all through its own management command and with PRODSERVER_LOG_FORMAT=json. Noted are
what is wrong, why the application is not preloaded if it is not, and the lines of the
logs that are not JSON. Written to benchmarks/results/applications.json; applications
that are not named stay.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from benchmarks import subject
from benchmarks.environments import (
    ROOT,
    Project,
    manage,
    project,
    python,
    served,
    variables,
)
from benchmarks.machine import BACKENDS, machine
from benchmarks.published import PUBLISHED
from benchmarks.starts import ask
from tests.harness import Web, free_port

#: The backend of each server, for an application with ASGI and for one without.
SERVERS = {
    "gunicorn": ("gunicorn.GunicornServer", "gunicorn.GunicornServer"),
    "uvicorn": ("uvicorn.UvicornServer", "uvicorn.UvicornWSGIServer"),
    "granian": ("granian.GranianASGIServer", "granian.GranianWSGIServer"),
    "waitress": ("waitress.WaitressServer", "waitress.WaitressServer"),
}
STARTUP, SAMPLES = 120, 5
OK = "ok"


class Wrong(Exception):
    """Something does not work; its text says what."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("names", nargs="*", default=["big", *PUBLISHED])
    options = subject.options(parser, names=["big"])
    found = {
        "machine": machine(),
        "applications": subject.read("applications").get("applications", {}),
    }
    for name in options.names:
        with served(name), tempfile.TemporaryDirectory() as folder:
            found["applications"][name] = Examination(name, Path(folder)).run()
        subject.write("applications", found)
        print(name, json.dumps(found["applications"][name], indent=1), file=sys.stderr)


class Examination:
    """One application: what works, and the lines of its logs."""

    def __init__(self, name: str, folder: Path) -> None:
        self.project = project(name)
        self.folder = folder
        self.port = free_port()
        self.processes = processes(self.project, self.port)
        self.logs: list[str] = []

    def run(self) -> dict[str, Any]:
        row: dict[str, Any] = {"version": version(self.project)}
        for name, examine in {
            "check": self.check,
            "--list": self.list,
            **dict.fromkeys(SERVERS, self.serve),
            "worker": self.work,
            "release": self.release,
        }.items():
            try:
                row[name] = examine(name)
            except Wrong as wrong:
                row[name] = str(wrong)
        others = [line for line in self.logs if not is_object(line)]
        row["lines"], row["not JSON"] = len(self.logs), len(others)
        row["of them"] = sorted(set(others))[:SAMPLES]
        return {name: without_paths(value) for name, value in row.items()}

    def check(self, _: str) -> str:
        output = self.command("check")
        if "prodserver." in output:
            raise Wrong(output)
        return OK

    def list(self, _: str) -> str:
        output = self.command("prodserver", "--list")
        if missing := [name for name in self.processes if name not in output]:
            message = f"it lacks {missing}"
            raise Wrong(message)
        return OK

    def serve(self, name: str) -> str:
        """Start a server, ask for the page, and stop it."""
        url = f"http://127.0.0.1:{self.port}{self.project.url}"
        with self.started(name) as web:
            until(
                web, lambda: ask(url) > 0, f"no answer of 200 from {self.project.url}"
            )
        reason = self.not_preloaded(name)
        return f"not preloaded: {reason}" if reason else OK

    def work(self, name: str) -> str:
        """Start the worker, wait until its probe says that it is ready, and stop it."""
        if name not in self.processes:
            return ""
        with self.started(name) as worker:
            until(
                worker,
                lambda: self.probe(name),
                "the probe never says that it is ready",
            )
        return OK

    def release(self, name: str) -> str:
        self.logs += self.command("prodserver", name).splitlines()
        return OK

    def command(self, *words: str) -> str:
        """Run a management command to its end; return what it writes."""
        done = subprocess.run(
            [*manage(self.project), *words],
            cwd=self.project.folder,
            env=self.environment(),
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=STARTUP,
        )
        if done.returncode:
            message = f"exit code {done.returncode}: {done.stdout.strip()[-500:]}"
            raise Wrong(message)
        return done.stdout

    @contextlib.contextmanager
    def started(self, name: str) -> Any:
        """Run a process of the application; stop it with SIGTERM."""
        argv = [*manage(self.project), "prodserver", name]
        log = self.folder / f"{name}.log"
        running = Web(argv, self.environment(), log, self.project.folder)
        try:
            yield running
            code = running.stop()
        finally:
            running.kill()
            self.logs += running.output.splitlines()
        if code:
            message = f"exit code {code} after SIGTERM"
            raise Wrong(message)

    def probe(self, name: str) -> bool:
        program = python("ours", self.project).with_name("prodserver-probe")
        argv = [str(program), name]
        env = self.environment()
        return subprocess.run(argv, env=env, capture_output=True).returncode == 0

    def not_preloaded(self, name: str) -> str:
        """Return why a server has not preloaded the application; "" if it has."""
        file = self.folder / f"{name}.preload"
        return str(json.loads(file.read_text())["reason"]) if file.exists() else ""

    def environment(self) -> Mapping[str, str]:
        return variables(
            self.project,
            "bench_ours",
            BENCH_PROCESSES=json.dumps(self.processes),
            PRODSERVER_LOG_FORMAT="json",
            PRODSERVER_RUNTIME_DIR=str(self.folder),
        )


def processes(project: Project, port: int) -> dict[str, Mapping[str, object]]:
    """Return the application's processes, as in its settings."""
    found: dict[str, Mapping[str, object]] = {}
    for server, backends in SERVERS.items():
        found[server] = {
            "BACKEND": f"{BACKENDS}.{backends[0 if project.asgi else 1]}",
            "BIND": f"127.0.0.1:{port}",
            **({"WORKERS": 2} if server != "waitress" else {}),
        }
    if project.published and project.published.worker:
        found["worker"] = {**project.published.worker, "CONCURRENCY": 1}
    found["release"] = {
        "BACKEND": f"{BACKENDS}.management.ManagementCommands",
        "COMMANDS": ["migrate --noinput"],
    }
    return found


def version(project: Project) -> str:
    distribution = project.published.release if project.published else "wagtail"
    code = f"import importlib.metadata as m; print(m.version({distribution!r}))"
    argv = [str(python("ours", project)), "-c", code]
    return subprocess.check_output(argv, text=True).strip()


def without_paths(value: Any) -> Any:
    """Return what was seen without where on this machine it was."""
    return json.loads(json.dumps(value).replace(f"{ROOT}/", ""))


def until(running: Web, look: Any, wrong: str) -> None:
    """Wait for something to be true, as long as the process runs."""
    deadline = time.monotonic() + STARTUP
    while not look():
        code = running.process.poll()
        if code is not None:
            message = f"exit code {code}: {running.output.strip()[-500:]}"
            raise Wrong(message)
        if time.monotonic() > deadline:
            message = f"{wrong}: {running.output.strip()[-500:]}"
            raise Wrong(message)
        time.sleep(0.05)


def is_object(line: str) -> bool:
    try:
        return isinstance(json.loads(line), dict)
    except ValueError:
        return False


if __name__ == "__main__":
    main()
