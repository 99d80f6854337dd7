"""The end of a stop that takes too long."""

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
from typing import Any

#: Exit code of a worker that did not finish its work in time.
UNFINISHED = 1
# Seconds that what ends it may take, before all is killed: 25 and these are still
# less than the 30 that Kubernetes and ECS give.
_ENDING = 3.0
_TICK = 0.1


class Deadline:
    """
    Ends the process in time, from a thread that nothing holds up.

    Args:
        seconds: From the start of the stop.
        end: What ends the worker's work and gives back its tasks, by itself or by
            making the main thread do so. Then all that is left is killed.
    """

    def __init__(self, seconds: float, end: Callable[[], None]) -> None:
        self.seconds = seconds
        self.over = False
        self._end = end
        self._at = 0.0

    def start(self) -> None:
        """Begin to count; the second time does nothing."""
        if not self._at:
            self._at = time.monotonic() + self.seconds
            real("start_new_thread")(self._run, ())

    def now(self) -> None:
        """Do not wait any longer."""
        self._at = min(self._at, time.monotonic())

    def _run(self) -> None:
        sleep = real("sleep")
        while time.monotonic() < self._at:
            sleep(_TICK)
        self.over = True
        write_line(
            f"not finished within {self.seconds:g} s (GRACEFUL_TIMEOUT), ending it"
        )
        # Whatever it waits for, a database or a broker.
        real("start_new_thread")(self._end, ())
        sleep(_ENDING)
        kill_all()


def kill_all() -> None:
    """End this process and all that it has started, at once."""
    for pid in descendants(os.getpid()):
        with contextlib.suppress(OSError):
            os.kill(pid, signal.SIGKILL)
    os._exit(UNFINISHED)


def descendants(pid: int) -> list[int]:
    """Return the processes that a process has started, and theirs."""
    children: dict[int, list[int]] = {}
    for child, parent in _parents():
        children.setdefault(parent, []).append(child)
    found: list[int] = []
    wanted = [pid]
    while wanted:
        new = children.get(wanted.pop(), [])
        found += new
        wanted += new
    return found


def write_line(text: str) -> None:
    """Write a line to stderr that no lock or buffer holds up."""
    with contextlib.suppress(OSError):
        os.write(2, f"prodserver: {text}\n".encode())


def _parents() -> list[tuple[int, int]]:
    found = []
    for folder in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            # The name is in parentheses, and may hold anything.
            fields = (folder / "stat").read_bytes().rpartition(b")")[2].split()
            found.append((int(folder.name), int(fields[1])))
    if not found:
        # Elsewhere than on Linux.
        listed = subprocess.run(
            ["ps", "-A", "-o", "pid=,ppid="],  # noqa: S607
            capture_output=True,
            text=True,
            check=False,
        )
        for line in listed.stdout.splitlines():
            child, parent = line.split()
            found.append((int(child), int(parent)))
    return found


def real(name: str) -> Any:
    """Return what gevent and eventlet put their own in the place of."""
    module = "time" if name == "sleep" else "_thread"
    if monkey := sys.modules.get("gevent.monkey"):
        return monkey.get_original(module, name)
    if patcher := sys.modules.get("eventlet.patcher"):
        return getattr(patcher.original(module), name)
    return getattr(time if name == "sleep" else _thread, name)
