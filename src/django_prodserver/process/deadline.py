"""The shutdown deadline, which ends a stop that takes too long."""

from __future__ import annotations

import _thread
import contextlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, NoReturn

from django_prodserver.health.state import stat_fields

#: The exit code of a worker that did not finish its work in time.
UNFINISHED = 1
# Seconds for the clean-up after the deadline, before everything is killed: with the
# default of 25 s, still less than the 30 s that Kubernetes and ECS allow.
_CLEANUP_TIME = 3.0
_TICK = 0.1


class Deadline:
    """
    Ends the process in time, from a thread that nothing can block.

    Args:
        seconds: How long a stop may take.
        end: Interrupts the worker's tasks and returns them to the queue, itself or
            through the main thread. What is still running after that is killed.
    """

    def __init__(self, seconds: float, end: Callable[[], None]) -> None:
        self.seconds = seconds
        self.over = False
        self._end = end
        self._at = 0.0
        self._limit = f"within {seconds:g} s (GRACEFUL_TIMEOUT)"

    def start(self) -> None:
        """Start the clock; a second call does nothing."""
        if not self._at:
            self._at = time.monotonic() + self.seconds
            real("start_new_thread")(self._run, ())

    def now(self) -> None:
        """End the stop now, because of a second signal."""
        self.limit(0, "before the second signal")

    def limit(self, seconds: float, limit: str) -> None:
        """Reduce the time left to this many seconds, for the given reason."""
        at = time.monotonic() + seconds
        if at < self._at:
            self._at, self._limit = at, limit

    def remaining(self) -> float:
        """Return how many seconds the stop may still take."""
        return max(self._at - time.monotonic(), 0.0)

    def _run(self) -> None:
        sleep = real("sleep")
        while time.monotonic() < self._at:
            sleep(_TICK)
        self.over = True
        write_line(f"not finished {self._limit}, ending it")
        # In a separate thread, because it may block on a database or a broker.
        real("start_new_thread")(self._end, ())
        sleep(_CLEANUP_TIME)
        kill_all()


def kill_all(code: int = UNFINISHED) -> NoReturn:
    """Kill the descendants of this process and exit at once."""
    for pid in descendants(os.getpid()):
        with contextlib.suppress(OSError):
            os.kill(pid, signal.SIGKILL)  # never on Windows, where none is found
    os._exit(code)


def descendants(pid: int) -> list[int]:
    """Return the pids of all descendants of a process."""
    children: dict[int, list[int]] = {}
    for child, parent in _parents():
        children.setdefault(parent, []).append(child)
    result: list[int] = []
    pending = [pid]
    while pending:
        new = children.get(pending.pop(), [])
        result += new
        pending += new
    return result


def write_line(text: str) -> None:
    """Write a line directly to stderr, which no lock or buffer can delay."""
    with contextlib.suppress(OSError):
        os.write(2, f"prodserver: {text}\n".encode())


def _parents() -> list[tuple[int, int]]:
    """Return the pid and the parent's pid of every process."""
    result = []
    for directory in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            pid = int(directory.name)
            result.append((pid, int(stat_fields(pid)[1])))
    if not result and os.name != "nt":  # not on Linux, and there is a ps
        ps = subprocess.run(
            ["ps", "-A", "-o", "pid=,ppid="],  # noqa: S607
            capture_output=True,
            text=True,
            check=False,
        )
        for line in ps.stdout.splitlines():
            child, parent = line.split()
            result.append((int(child), int(parent)))
    return result


def real(name: str) -> Any:
    """Return the original of a function that gevent and eventlet monkey-patch."""
    module = "time" if name == "sleep" else "_thread"
    if monkey := sys.modules.get("gevent.monkey"):
        return monkey.get_original(module, name)
    if patcher := sys.modules.get("eventlet.patcher"):
        return getattr(patcher.original(module), name)
    return getattr(time if name == "sleep" else _thread, name)
