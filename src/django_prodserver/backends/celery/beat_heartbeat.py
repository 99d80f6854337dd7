"""
Heartbeat of Celery's scheduler, whichever class that is.

It may sleep for minutes when nothing is due. It is woken each second, but its
scheduler ticks no more often than it would anyway.
"""

from __future__ import annotations

import time
from typing import Any

from celery import signals

from django_prodserver.health.heartbeat import beat

SECONDS = 1.0
# Seconds between two attempts to reach a broker that was not reached.
_RETRY = 5.0


def install_heartbeat() -> None:
    """Have the scheduler's loop beat each second, and at its stop."""
    signals.beat_init.connect(_wrap_loop, weak=False)


def _wrap_loop(sender: Any, **kwargs: Any) -> None:
    service, scheduler = sender, sender.scheduler
    tick, send, sync = scheduler.tick, scheduler.apply_async, service.sync
    broker = _Broker(scheduler.app)
    due = 0.0

    def tick_and_beat(*args: Any, **kwargs: Any) -> Any:
        nonlocal due
        broker.connect_if_lost()
        broker.beat()
        left = due - time.monotonic()
        if left <= 0:
            left = tick(*args, **kwargs) or 0
            due = time.monotonic() + left
            broker.beat()
        return min(left, SECONDS)

    def send_and_note(*args: Any, **kwargs: Any) -> Any:
        broker.is_reached = False
        result = send(*args, **kwargs)
        broker.is_reached = True
        return result

    def drain_and_sync() -> None:
        beat("draining")
        sync()

    scheduler.tick = tick_and_beat
    scheduler.apply_async = send_and_note
    service.sync = drain_and_sync


class _Broker:
    """Whether the last task that was sent has reached the broker."""

    def __init__(self, app: Any) -> None:
        self.is_reached = False
        self._app = app
        self._tried_at = 0.0

    def beat(self) -> None:
        if self.is_reached:
            beat("ready")
        else:
            beat("starting", "no connection to the broker")

    def connect_if_lost(self) -> None:
        """Try to reach it, at most every few seconds, where the last task has not."""
        if self.is_reached or time.monotonic() - self._tried_at < _RETRY:
            return
        try:
            with self._app.connection_for_write() as connection:
                connection.ensure_connection(max_retries=1, interval_start=0)
            self.is_reached = True
        except Exception:  # of whatever class the broker's library raises
            self.beat()
        self._tried_at = time.monotonic()
