"""One process under measurement: start it, ask it, stop it under load."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from http.client import HTTPConnection, HTTPException
from pathlib import Path

from django_prodserver.commands.compare import memory
from django_prodserver.commands.compare.interruption import Interruption
from django_prodserver.config.context import VARIABLE, Context
from django_prodserver.config.environment import PROBE_PORT
from django_prodserver.config.processes import Changes
from django_prodserver.process import project
from django_prodserver.text import redact

#: Seconds that a process may take until its first response.
START_TIMEOUT = 60
#: Clients that ask while a server is stopped.
_STOP_CLIENTS = 8
#: Seconds that are left to a process when the comparison is interrupted.
_HASTE = 3


class DidNotStart(Exception):
    """Raised when a process exited, or did not respond in time."""


class Child:
    """A process in its own session, with its output in a file."""

    def __init__(
        self, command: Sequence[str], env: Mapping[str, str], log: Path
    ) -> None:
        self.log = log
        self.started = time.monotonic()
        with log.open("wb") as file:
            self.process = subprocess.Popen(
                command,
                env=dict(env),
                stdin=subprocess.DEVNULL,
                stdout=file,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )

    def wait_until(self, condition: Callable[[], bool], what: str) -> float:
        """
        Return the seconds from the start until a condition is true.

        Raises:
            DidNotStart: It exited before, or the condition did not become true.
        """
        while not condition():
            code = self.process.poll()
            if code is not None:
                message = f"it exited with code {code}: {self.last_line()}"
                raise DidNotStart(message)
            if time.monotonic() - self.started > START_TIMEOUT:
                message = f"{what} did not come within {START_TIMEOUT} s"
                raise DidNotStart(message)
            time.sleep(0.01)
        return time.monotonic() - self.started

    def last_line(self) -> str:
        """Return the last line of its output."""
        lines = self.log.read_text(errors="replace").strip().splitlines()
        return redact(lines[-1].strip()) if lines else "it printed nothing"

    def memory(self) -> float:
        """Return the memory of it and of all that it has started, in MiB."""
        return memory.of_session(self.process.pid)

    def stop(self, timeout: float) -> bool:
        """Stop it with SIGTERM; return whether it exited within ``timeout`` seconds."""
        self.process.terminate()
        return self.wait_for_exit(timeout)

    def wait_for_exit(self, timeout: float) -> bool:
        """Return whether it exited within ``timeout`` seconds; kill it if not."""
        try:
            self.process.wait(timeout)
        except subprocess.TimeoutExpired:
            self._kill_session()
            return False
        return True

    def end(self) -> None:
        """End it and all that it has started, if something is left."""
        if self.process.poll() is None:
            self.stop(_HASTE)
        self._kill_session()

    def _kill_session(self) -> None:
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()


@contextlib.contextmanager
def started(
    command: Sequence[str],
    env: Mapping[str, str],
    log: Path,
    interruption: Interruption,
) -> Iterator[Child]:
    """Start a process, and end it and all that it has started in any case."""
    child = None
    try:
        # If that interrupted it, the process would be unknown.
        with interruption.deferred():
            child = Child(command, env, log)
        yield child
    finally:
        if child is not None:
            child.end()


def environment(name: str, changes: Changes, directory: Path) -> dict[str, str]:
    """Return the variables of a process that is measured, with its changes."""
    # The port of the probe belongs to the real process, and so do its files.
    given = {name: value for name, value in os.environ.items() if name != PROBE_PORT}
    return {
        **given,
        **project.environment(),
        VARIABLE: Context(process=name, changes=changes.encode()).encode(),
        "PRODSERVER_RUNTIME_DIR": str(directory),
    }


class Client:
    """Asks a server on a port of 127.0.0.1, on a new connection for each request."""

    def __init__(self, port: int, headers: Mapping[str, str]) -> None:
        self.port = port
        self.headers = {**headers, "Connection": "close"}

    def get(self, path: str, timeout: float = 30) -> tuple[int, str]:
        """
        Return the status of a page, and where it redirects to.

        Raises:
            ConnectionRefusedError: Nobody listens.
            OSError, HTTPException: The connection had no response.
        """
        connection = HTTPConnection("127.0.0.1", self.port, timeout=timeout)
        try:
            connection.request("GET", path, headers=self.headers)
            response = connection.getresponse()
            response.read()
            return response.status, response.getheader("Location") or ""
        finally:
            connection.close()

    def answers(self, path: str) -> bool:
        """Tell whether the server responds, with any status."""
        try:
            self.get(path)
        except (OSError, HTTPException):
            return False
        return True


class StopLoad:
    """Requests that go on while a server is stopped, and what became of them."""

    def __init__(self, client: Client, path: str) -> None:
        self.client = client
        self.path = path
        self.answered = 0
        self.lost = 0
        self._lock = threading.Lock()
        self._ended = threading.Event()
        self._threads = [
            threading.Thread(target=self._ask, daemon=True)
            for _ in range(_STOP_CLIENTS)
        ]

    def begin(self) -> None:
        """Start the clients, and return once they are at work."""
        for thread in self._threads:
            thread.start()
        deadline = time.monotonic() + START_TIMEOUT
        while self.answered < _STOP_CLIENTS and time.monotonic() < deadline:
            time.sleep(0.01)

    def end(self) -> None:
        """Stop the clients, and wait for their last requests."""
        self._ended.set()
        for thread in self._threads:
            thread.join(timeout=START_TIMEOUT)

    def _ask(self) -> None:
        while not self._ended.is_set():
            try:
                self.client.get(self.path)
            except ConnectionRefusedError:
                return  # the server has closed its socket: a proxy would ask another
            except (OSError, HTTPException):
                with self._lock:
                    self.lost += 1
            else:
                with self._lock:
                    self.answered += 1
