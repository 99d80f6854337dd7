"""
Treat a stop signal to a worker and all its children as a signal to the worker alone.

A terminal, Heroku, honcho and systemd signal every process. Celery's child processes
would exit immediately, in the middle of their tasks, while the worker waits for them,
and the tasks would be lost. So a child ignores a stop signal if the worker received it
too, and obeys it if the worker itself sent it: to revoke a task, to enforce a time
limit or to stop the pool.
"""

from __future__ import annotations

import mmap
import os
import signal
import time
from functools import partial
from types import FrameType
from typing import Any

import billiard.common
import billiard.pool
import billiard.popen_fork

_common: Any = billiard.common
# Without SIGINT, which Celery's children ignore.
_SIGNALS = (signal.SIGTERM, signal.SIGQUIT, signal.SIGHUP)
# Seconds that a child gives the worker to handle its own signal.
_WORKER_TIME = 3.0
_TICK = 0.01
# One more than the highest process ID on Linux. Memory pages are only allocated when
# they are written.
_PIDS = 2**22


class GroupStop:
    """Flags that a worker sets for its forked children, in shared memory."""

    def __init__(self) -> None:
        # One byte per process ID: whether the worker has signalled it. Byte 0, which
        # is not the ID of a child: whether the worker itself received a stop signal.
        self._flags = mmap.mmap(-1, _PIDS)

    def install(self) -> None:
        """Change how the pool signals its children, and how they handle signals."""
        # Patches billiard, checked with 4.3: its children exit on each signal.
        pool: Any = billiard.pool
        popen: Any = billiard.popen_fork
        pool.os = popen.os = _AnnouncingOs(self)
        pool._kill = pool.os.kill
        pool.reset_signals = self._reset_signals

    def begin(self) -> None:
        """Tell the children that the worker received a stop signal."""
        self._flags[0] = 1

    def announce(self, pid: int) -> None:
        """Tell a child that the next signal is meant for it."""
        if 0 < pid < _PIDS:
            self._flags[pid] = 1

    def _reset_signals(self, **kwargs: Any) -> None:
        """Install the handlers of a new child, as billiard does."""
        pid = os.getpid()
        self._flags[pid] = 0  # by a signal to an earlier process
        _common.reset_signals(handler=partial(self._handle, pid), **kwargs)

    def _handle(self, pid: int, signum: int, frame: FrameType | None) -> None:
        """Handle a signal in a child."""
        is_child = os.getpid() == pid  # and not a process that a task has forked
        if is_child and signum in _SIGNALS and self._is_sent_to_all(pid):
            return
        _common._shutdown_cleanup(signum, frame)

    def _is_sent_to_all(self, pid: int) -> bool:
        """Tell whether the worker received the signal too, and did not send it."""
        deadline = time.monotonic() + _WORKER_TIME
        while not self._flags[pid] and time.monotonic() < deadline:
            if self._flags[0]:
                return True
            time.sleep(_TICK)
        return False


class _AnnouncingOs:
    """The module ``os``, which announces the signals that the pool sends."""

    def __init__(self, group_stop: GroupStop) -> None:
        self._group_stop = group_stop

    def __getattr__(self, name: str) -> Any:
        return getattr(os, name)

    def kill(self, pid: int, signum: int) -> None:
        self._group_stop.announce(pid)
        os.kill(pid, signum)

    def killpg(self, pgid: int, signum: int) -> None:
        self._group_stop.announce(pgid)  # the child that leads the group
        os.killpg(pgid, signum)
