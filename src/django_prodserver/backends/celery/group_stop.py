"""
A stop that is sent to a worker and to its children is one stop: the worker's.

A terminal, Heroku, honcho and systemd signal every process. Celery's child processes
would end at once, in the middle of their tasks, while the worker waits for them: the
tasks would be lost. So a child ignores a stop signal if the worker has one, too, and
obeys it if the worker itself has sent it: to revoke a task, for a time limit, or to
end the pool.
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
# SIGINT is not here: the children ignore it natively.
_SIGNALS = (signal.SIGTERM, signal.SIGQUIT, signal.SIGHUP)
# Seconds that a child gives the worker to handle its own signal.
_PATIENCE = 3.0
_TICK = 0.01
# One more than the highest process ID that Linux gives. A page of memory is only used
# once a process ID in it is.
_PIDS = 2**22


class GroupStop:
    """What a worker tells the children that it forks, in memory that they share."""

    def __init__(self) -> None:
        # A byte for each process ID: whether the worker has signalled it. The first
        # one, which no process has: whether the worker has been told to stop.
        self._told = mmap.mmap(-1, _PIDS)

    def install(self) -> None:
        """Change how the pool signals its children, and how they handle signals."""
        # Patches billiard, checked with 4.3: its children end at each signal.
        pool: Any = billiard.pool
        popen: Any = billiard.popen_fork
        pool.os = popen.os = _AnnouncingOs(self)
        pool._kill = pool.os.kill
        pool.reset_signals = self._reset_signals

    def begin(self) -> None:
        """Tell the children that the worker has been told to stop."""
        self._told[0] = 1

    def announce(self, pid: int) -> None:
        """Tell a child that the next signal is meant for it."""
        if 0 < pid < _PIDS:
            self._told[pid] = 1

    def _reset_signals(self, **kwargs: Any) -> None:
        """Install the handlers of a new child, as billiard does."""
        pid = os.getpid()
        self._told[pid] = 0  # by a signal to an earlier process
        _common.reset_signals(handler=partial(self._handle, pid), **kwargs)

    def _handle(self, pid: int, signum: int, frame: FrameType | None) -> None:
        """Handle a signal in a child."""
        is_child = os.getpid() == pid  # and not a process that a task has forked
        if is_child and signum in _SIGNALS and self._is_sent_to_all(pid):
            return
        _common._shutdown_cleanup(signum, frame)

    def _is_sent_to_all(self, pid: int) -> bool:
        """Tell whether the worker is told to stop as well, and has not sent it."""
        deadline = time.monotonic() + _PATIENCE
        while not self._told[pid] and time.monotonic() < deadline:
            if self._told[0]:
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
