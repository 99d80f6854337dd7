"""Limit the stop of Celery's scheduler, which may save its schedule remotely."""

from __future__ import annotations

import signal
from types import FrameType
from typing import Any

from celery import signals

from django_prodserver.process.deadline import Deadline, kill_all
from django_prodserver.process.signals import STOP_SIGNALS


def install_shutdown_deadline(seconds: float) -> None:
    """Limit each stop to this many seconds."""
    deadline = Deadline(seconds, kill_all)

    # When Celery sends beat_init, the scheduler's own handlers are installed.
    def wrap_handlers(**kwargs: Any) -> None:
        for signum in STOP_SIGNALS:
            native = signal.getsignal(signum)
            if callable(native):
                signal.signal(signum, _with_deadline(native, deadline))

    signals.beat_init.connect(wrap_handlers, weak=False)


def _with_deadline(native: Any, deadline: Deadline) -> Any:
    def handle(signum: int, frame: FrameType | None) -> None:
        deadline.start()
        native(signum, frame)

    return handle
