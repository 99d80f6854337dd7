"""
Detect that Celery's main loop is waiting for its broker.

A frozen broker accepts connections but does not answer, for example because of a slow
script, a failover or a network that drops packets. Celery's loop then waits inside a
call to the broker, without a limit. It cannot write a heartbeat, but needs no restart:
it continues when the broker does. So once a heartbeat is late, a thread examines where
the loop is.

The thread never reports that the loop runs, and it does not report a loop that hangs
anywhere else.
"""

from __future__ import annotations

import math
import os
import sys
import threading
import time
from importlib import import_module
from types import FrameType
from typing import Any

from django_prodserver.health.heartbeat import beat

NO_CONNECTION = "no connection to the broker"
_NO_ANSWER = "no answer from the broker"
# Seconds after which a heartbeat is late: Celery's loop may wait 2 s for a message.
_LATE = 2.5
_TICK = 0.5
# The modules that talk to a broker or a result backend.
_BROKER = ("kombu.transport", "kombu.connection", "amqp", "celery.backends")
# The other modules of these packages call the project's code.
_PACKAGES = ("kombu", "celery")
_NEUTRAL = "kombu.utils"


class BrokerWatch:
    """Writes heartbeats while the loop is waiting for its broker."""

    def __init__(self) -> None:
        self._pid = os.getpid()
        self._beaten_at = math.inf
        self._reason = _NO_ANSWER
        self._thread: threading.Thread | None = None
        self._stopped = threading.Event()
        self._loop: Any = None

    def note_heartbeat(self) -> None:
        """Note that the loop has written a heartbeat, so it is not waiting."""
        self._reason, self._beaten_at = _NO_ANSWER, time.monotonic()

    def note_task(self) -> None:
        """Note that the loop itself runs a task, and so writes no heartbeat."""
        self._beaten_at = math.inf

    def note_lost_connection(self) -> None:
        """Note that the loop has ended and is connecting again."""
        beat("waiting", NO_CONNECTION)
        self._reason, self._beaten_at = NO_CONNECTION, -math.inf

    def start(self, *, is_green: bool = False) -> None:
        """Watch the calling thread or greenlet; a second call does nothing."""
        if self._loop:
            return
        if is_green:
            self._loop = import_module("greenlet").getcurrent()
        else:
            self._loop = threading.get_ident()
            # A process that forks must have no other thread.
            os_: Any = os
            if hasattr(os, "register_at_fork"):
                os_.register_at_fork(before=self._pause, after_in_parent=self._resume)
        self._resume()

    def _resume(self) -> None:
        if os.getpid() == self._pid and not self._thread:
            self._stopped = threading.Event()
            self._thread = threading.Thread(
                target=self._run, args=(self._stopped,), name="broker", daemon=True
            )
            self._thread.start()

    def _pause(self) -> None:
        thread = self._thread
        if os.getpid() == self._pid and thread:
            self._stopped.set()
            thread.join()
            self._thread = None

    def _run(self, stopped: threading.Event) -> None:
        while not stopped.wait(_TICK):
            is_late = time.monotonic() - self._beaten_at > _LATE
            if is_late and is_in_broker_call(self._frame()):
                beat("waiting", self._reason)

    def _frame(self) -> FrameType | None:
        """Return the frame that the loop is executing."""
        if isinstance(self._loop, int):
            return sys._current_frames().get(self._loop)
        frame: FrameType | None = self._loop.gr_frame
        return frame


def is_in_broker_call(frame: FrameType | None) -> bool:
    """Tell whether the innermost call of Celery or kombu is one to the broker."""
    while frame:
        module = str(frame.f_globals.get("__name__"))
        if _is_part_of(module, _BROKER):
            return True
        if _is_part_of(module, _PACKAGES) and not _is_part_of(module, (_NEUTRAL,)):
            return False
        frame = frame.f_back
    return False


def _is_part_of(module: str, packages: tuple[str, ...]) -> bool:
    return any(f"{module}.".startswith(f"{package}.") for package in packages)
