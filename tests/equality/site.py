"""Start a case in either way, and collect what it has recorded."""

from __future__ import annotations

import contextlib
import http.client
import json
import shlex
import socket
import ssl
import subprocess
import sys
from collections.abc import Mapping, Sequence
from concurrent.futures import Future
from pathlib import Path
from typing import Any

from tests.conftest import Starter
from tests.equality.cases import APPS, CERTIFICATE, QUEUES, Case
from tests.equality.compare import Records
from tests.harness import BIN, PROJECT, SCRIPT, STARTUP, Running, wait_for

#: Seconds for which a request is held, so that the next goes to another worker.
HOLD = 0.5
#: The name of the task.
TASK = "recorded"
_HEADERS = {"Host": "localhost"}
# Start a command with a listening socket as its descriptor 3, as systemd does.
_WITH_SOCKET = """
import os, socket, sys
listener = socket.create_server(("127.0.0.1", int(sys.argv[1])))
os.dup2(listener.fileno(), 3)
os.set_inheritable(3, True)  # dup2() does nothing if it is 3 already
os.execvp(sys.argv[2], sys.argv[2:])
"""


class Server(Running):
    """A web server, however it is reached."""

    site: Site

    def get(self, query: str = "") -> Records:
        with contextlib.closing(self._connection()) as connection:
            connection.request("GET", f"/recorded{query}", headers=_HEADERS)
            response = connection.getresponse()
            body = response.read().decode()
        assert response.status == 200, body
        return dict(json.loads(body))

    def collect(self, workers: int) -> list[Records]:
        """Return the records of each worker."""
        first = self.until(self._first_answer, "the first answer")
        found = {first["process"]["pid"]: first}
        held: list[Future[Records]] = []

        def ask() -> bool:
            """Send one more request once the last has reached its view."""
            if len(held) == len(list(self.site.data.glob("begun-*"))):
                query = f"?hold={HOLD}&number={len(held)}"
                held.append(self._threads.submit(self.get, query))
            for answer in held:
                if answer.done():
                    seen = answer.result()
                    found[seen["process"]["pid"]] = seen
            return len(found) >= workers

        self.until(ask, f"answers of {workers} workers")
        return list(found.values())

    def _first_answer(self) -> Records | None:
        try:
            return self.get()
        except (OSError, http.client.HTTPException):
            return None

    def _connection(self) -> http.client.HTTPConnection:
        port, case = self.site.port, self.site.case
        if case.address == "tls":
            context = ssl.create_default_context(cafile=CERTIFICATE)
            return http.client.HTTPSConnection(
                "localhost", port, timeout=30, context=context
            )
        if case.address == "unix":
            return _UnixConnection(self.site.folder / "web.sock")
        return http.client.HTTPConnection("127.0.0.1", port, timeout=30)


class _UnixConnection(http.client.HTTPConnection):
    """A connection to a Unix socket."""

    def __init__(self, path: Path) -> None:
        super().__init__("localhost", timeout=30)
        self._path = path

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(self.timeout)
        self.sock.connect(str(self._path))


class Worker(Running):
    """A worker that is given one task."""

    site: Site

    def collect(self, workers: int) -> list[Records]:
        """Return the records of the process that has run the task."""
        file = self.site.data / "records" / TASK
        self.until(file.exists, "the records of the task")
        found: Records = json.loads(file.read_text())
        file.unlink()
        return [found]


class Site:
    """A directory with the project, its manage.py and the files of a case."""

    def __init__(
        self, start: Starter, folder: Path, port: int, case: Case, redis_url: str
    ) -> None:
        self.start = start
        self.folder = folder
        self.port = port
        self.case = case
        self.data = start.data
        (folder / "manage.py").write_text((PROJECT / "manage.py").read_text())
        (folder / "proj").symlink_to(PROJECT / "proj")
        for name, text in case.files.items():
            (folder / name).parent.mkdir(exist_ok=True)
            (folder / name).write_text(self._filled(text))
        apps = [APPS[case.backend]] if case.backend in APPS else []
        self.variables = {
            "DJANGO_SETTINGS_MODULE": "proj.recorder.settings",
            "PATH": f"{BIN}:/usr/bin:/bin",
            "TEST_REDIS_URL": redis_url,
            "TEST_WORKER_APPS": json.dumps(apps),
            **self._filled(case.variables),
        }
        processes = {case.process: self._filled(case.entry())}
        self.environment = start.environment(processes, **self.variables)

    def dry_run(self) -> list[str]:
        """Return the native command, as --dry-run prints it."""
        done = subprocess.run(
            [*SCRIPT, *self._arguments(), "--dry-run"],
            cwd=self.folder,
            env=self.environment,
            text=True,
            capture_output=True,
            timeout=STARTUP,
        )
        assert done.returncode == 0, done.stderr
        return ["env", *shlex.split(done.stdout)]

    def our_command(self, via: Sequence[str]) -> list[str]:
        return [*via, *self._arguments()]

    def records(self, command: Sequence[str]) -> list[Records]:
        """Start a command; return what each of its workers has recorded."""
        for left in self.data.glob("begun-*"):
            left.unlink()
        if not self.case.is_web:
            self.start.enqueue(QUEUES[self.case.backend], TASK, **self.variables)
        if self.case.address == "inherited":
            command = [sys.executable, "-c", _WITH_SOCKET, str(self.port), *command]
        running: Server | Worker = self.start.process(
            command,
            self.environment,
            kind=Server if self.case.is_web else Worker,
            cwd=self.folder,
        )
        running.site = self
        found = running.collect(self.case.workers)
        for seen in found:
            seen["request"]["role"] = _role(seen.pop("process"), running.process.pid)
            if not self.case.is_web:
                _drop_chance(seen)
        running.kill()
        # The next start listens on the same address.
        wait_for(lambda: not running.left(), "the end of all processes")
        return found

    def _arguments(self) -> list[str]:
        return [self.case.process, *self._filled(list(self.case.options))]

    def _filled(self, value: Any) -> Any:
        """Return a value with the directory and the port of this site in it."""
        text = json.dumps(value).replace("@site@", str(self.folder))
        return json.loads(text.replace("@port@", str(self.port)))


def _role(process: Mapping[str, int], first: int) -> str:
    """Tell how a process is related to the one that was started."""
    if process["pid"] == first:
        return "the process that was started"
    return "its child" if process["parent"] == first else "a descendant"


def _drop_chance(seen: Records) -> None:
    """Drop what is a matter of chance in a worker, in either start."""
    seen.pop("urls", None)  # no task needs them
    for facts in seen.values():
        # gevent starts threads of its pool when it needs them.
        facts.pop("threads.unnamed", None)
        # Each process of a cluster has the pipes of those that were started before.
        if "descriptors.pipe" in facts:
            facts["descriptors.pipe"] = 1
