"""The stop of Celery's scheduler, which saves its schedule: to a database, perhaps."""

from __future__ import annotations

import signal
from types import FrameType
from typing import Any

from celery import signals

from django_prodserver.stopping import STOPS
from django_prodserver.stops.deadline import Deadline, leave


def bound(seconds: float) -> None:
    """Give each stop at most so many seconds."""
    deadline = Deadline(seconds, leave)

    # Its own handlers are there by then.
    def wrap(**kwargs: Any) -> None:
        for signum in STOPS:
            native: Any = signal.getsignal(signum)

            def begin(
                signum: int, frame: FrameType | None, native: Any = native
            ) -> None:
                deadline.start()
                native(signum, frame)

            if callable(native):
                signal.signal(signum, begin)

    signals.beat_init.connect(wrap, weak=False)
