"""Real processes under test: start, look, signal, look."""

from __future__ import annotations

import contextlib
import itertools
import json
import os
import random
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any, TypeVar

import psutil

PROJECT = Path(__file__).parent / "project"
STARTUP = 60
BIN = Path(sys.executable).parent

#: The three ways to say "become this process".
MANAGE = (sys.executable, "manage.py", "prodserver")
MODULE = (sys.executable, "-m", "django_prodserver")
SCRIPT = (str(BIN / "prodserver"),)


def hear_signals() -> None:
    """
    Undo what nohup, or the background of a script, does: these are ignored there.

    And then by every process that the tests start: a shell cannot even trap them.
    """
    for signum in (signal.SIGHUP, signal.SIGINT, signal.SIGQUIT):
        if signal.getsignal(signum) is signal.SIG_IGN:
            signal.signal(signum, signal.SIG_DFL)


def _ports() -> Iterator[int]:
    """
    Yield the ports of this test process, over and over, from a random one on.

    They are below the ephemeral range: a port of that range that is free now can be an
    outgoing connection's before a server under test listens on it.
    """
    test_process = int(os.environ.get("PYTEST_XDIST_WORKER", "gw0").removeprefix("gw"))
    first = 11_000 + test_process % 10 * 2_000
    start = random.randrange(2_000)  # noqa: S311
    for number in itertools.count(start):
        yield first + number % 2_000


_next_port = _ports()


def free_port() -> int:
    """Return a port that nothing listens on, and that is given out to no other test."""
    for port in _next_port:
        with socket.socket() as listener, contextlib.suppress(OSError):
            listener.bind(("127.0.0.1", port))
            return port
    raise AssertionError


def children(pid: int, *, recursive: bool = False) -> list[psutil.Process]:
    """
    Return the child processes of a process, without multiprocessing's own.

    Since Python 3.14, whatever loads Django-Q2, as the test project does, starts the
    resource tracker: a native server as well.
    """
    everything = psutil.Process(pid).children(recursive=recursive)
    return [child for child in everything if not _is_resource_tracker(child)]


def _is_resource_tracker(process: psutil.Process) -> bool:
    try:
        return "multiprocessing.resource_tracker" in " ".join(process.cmdline())
    except psutil.NoSuchProcess:
        return False


T = TypeVar("T")


def wait_for(look: Callable[[], T], what: str, seconds: float = STARTUP) -> T:
    """Return the first true value of ``look``; fail when the time is up."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if found := look():
            return found
        time.sleep(0.02)
    message = f"{what}: not within {seconds} s"
    raise AssertionError(message)


def environment(
    data: Path, settings: Mapping[str, Any], unset: Sequence[str] = (), **extra: str
) -> dict[str, str]:
    """Return the environment of a process that runs the project under test."""
    kept = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith(("DJANGO_", "PYTEST_", "COV_"))
    }
    return kept | {
        "DJANGO_SETTINGS_MODULE": "proj.settings",
        "PRODSERVER_RUNTIME_DIR": str(data),
        "PYTHONUNBUFFERED": "1",
        "TEST_DATA": str(data),
        "TEST_SETTINGS": json.dumps(settings),
        "TEST_UNSET": json.dumps(unset),
        **extra,
    }


class Running:
    """A process that was started, and its log."""

    def __init__(
        self, argv: Sequence[str], env: Mapping[str, str], log: Path, cwd: Path
    ) -> None:
        self.log = log
        self.started = time.monotonic()
        self._threads = ThreadPoolExecutor()
        # To a file: a pipe that nobody reads would stop the server when full.
        with log.open("ab") as file:
            self.process = subprocess.Popen(
                argv,
                env=dict(env),
                cwd=cwd,
                stdin=subprocess.DEVNULL,
                stdout=file,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )

    @property
    def output(self) -> str:
        return self.log.read_text(errors="replace")

    def until(
        self, look: Callable[[], Any], what: str, seconds: float = STARTUP
    ) -> Any:
        """Wait for something to be true; fail at once when the process dies."""

        def alive_and() -> Any:
            if found := look():
                return found
            code = self.process.poll()
            assert code is None, f"{what}: it exited with {code}:\n{self.output}"
            return None

        try:
            return wait_for(alive_and, what, seconds)
        except AssertionError as error:
            raise AssertionError(f"{error}\n{self.output}") from None

    def says(self, text: str, seconds: float = STARTUP) -> None:
        self.until(lambda: text in self.output, f"{text!r} in the log", seconds)

    def exits(self, seconds: float = STARTUP) -> int:
        """Return its exit code, having seen that nothing of it is left."""
        try:
            code = self.process.wait(seconds)
        except subprocess.TimeoutExpired:
            message = f"still running after {seconds} s:\n{self.output}"
            raise AssertionError(message) from None
        wait_for(lambda: not self.left(), f"nothing left of {self.process.pid}", 5)
        return code

    def stop(self, signum: int = signal.SIGTERM, seconds: float = STARTUP) -> int:
        self.process.send_signal(signum)
        return self.exits(seconds)

    def signal_all(self, signum: int) -> None:
        """Send it to all that it has started, as a terminal does with Ctrl-C."""
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.process.pid, signum)

    def left(self) -> list[psutil.Process]:
        """Return the processes of its session that are still there."""
        found = []
        for process in psutil.process_iter():
            with contextlib.suppress(ProcessLookupError, psutil.Error):
                ours = os.getsid(process.pid) == self.process.pid
                if ours and not has_ended(process):
                    found.append(process)
        return found

    def kill(self) -> None:
        # The whole session: a server that was started instead of exec'd would
        # outlive its parent, and keep the port.
        for process in self.left():
            with contextlib.suppress(psutil.NoSuchProcess):
                process.kill()
        self.process.wait()
        self._threads.shutdown(wait=False, cancel_futures=True)


def has_ended(process: psutil.Process) -> bool:
    """
    Tell whether a process is a zombie without threads.

    The first thread of a killed process can have ended before the others, which still
    have its sockets open.
    """
    return bool(process.status() == psutil.STATUS_ZOMBIE and process.num_threads() <= 1)


class Web(Running):
    """A web server on a port of 127.0.0.1."""

    port: int

    def get(self, path: str, timeout: float = 10) -> str:
        return fetch(f"http://127.0.0.1:{self.port}{path}", timeout)

    def about(self) -> dict[str, Any]:
        return dict(json.loads(self.get("/about")))

    def wait_until_ready(self) -> None:
        self.until(self._answers, "the first answer")
        self.ready_after = time.monotonic() - self.started

    def in_flight(self, path: str) -> Future[str]:
        """Start a request, and return when its view has begun."""
        before = self.output.count("slow began")
        future = self._threads.submit(self.get, path, 60)
        self.until(
            lambda: self.output.count("slow began") > before, "the request in flight"
        )
        return future

    def _answers(self) -> bool:
        try:
            self.get("/about", timeout=2)
        except urllib.error.HTTPError as error:
            raise AssertionError(f"{error}:\n{self.output}") from None
        except OSError:
            return False
        return True


def fetch(url: str, timeout: float) -> str:
    """Return what is at a URL; its connection is closed, whatever the status."""
    try:
        with urllib.request.urlopen(url, timeout=timeout) as response:
            return str(response.read().decode())
    except urllib.error.HTTPError as error:
        error.close()
        raise


def memory(pid: int) -> float:
    """Return the proportional set size of a process and its children, in MiB."""
    parent = psutil.Process(pid)
    tree = [parent, *parent.children(recursive=True)]
    return float(sum(process.memory_full_info().pss for process in tree)) / 2**20


def running(
    argv: Sequence[str], cwd: Path = PROJECT, **kwargs: Any
) -> subprocess.CompletedProcess[str]:
    """Run a command to its end, of the project under test unless another is given."""
    return subprocess.run(
        argv, cwd=cwd, text=True, capture_output=True, timeout=60, **kwargs
    )


def lines(path: Path) -> list[str]:
    return path.read_text().splitlines() if path.exists() else []
