"""The stop of Celery's scheduler, which saves its schedule: to a database, perhaps."""

from __future__ import annotations

import signal
from types import FrameType
from typing import Any

from celery import signals

from django_prodserver.process.deadline import Deadline, kill_all
from django_prodserver.process.signals import STOP_SIGNALS


def install_shutdown_deadline(seconds: float) -> None:
    """Give each stop at most so many seconds."""
    deadline = Deadline(seconds, kill_all)

    # Its own handlers are there by then.
    def wrap(**kwargs: Any) -> None:
        for signum in STOP_SIGNALS:
            native: Any = signal.getsignal(signum)

            def begin(
                signum: int, frame: FrameType | None, native: Any = native
            ) -> None:
                deadline.start()
                native(signum, frame)

            if callable(native):
                signal.signal(signum, begin)

    signals.beat_init.connect(wrap, weak=False)
