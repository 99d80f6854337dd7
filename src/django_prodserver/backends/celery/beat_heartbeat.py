"""
Heartbeat of Celery's scheduler, for any scheduler class.

The scheduler may sleep for minutes when nothing is due. Here its loop wakes every
second for the heartbeat, but the scheduler ticks no more often than on its own.
"""

from __future__ import annotations

import time
from typing import Any

from celery import signals
from celery.beat import Service

from django_prodserver.backends import brokers
from django_prodserver.backends.celery.broker_watch import NO_CONNECTION, BrokerWatch
from django_prodserver.health.heartbeat import beat

SECONDS = 1.0
# Seconds between two attempts to reach a broker that is unavailable.
_RETRY = 5.0


def install_heartbeat() -> None:
    """Make the scheduler's loop beat every second, and when it stops."""
    _wrap_start()
    signals.beat_init.connect(_wrap_loop, weak=False)


def _wrap_start() -> None:
    """Beat while the scheduler waits for its own lock, as RedBeat does."""
    service_class: Any = Service
    create = service_class.get_scheduler

    def create_and_beat(service: Any, lazy: bool = False, **kwargs: Any) -> Any:
        scheduler = create(service, lazy, **kwargs)
        if not lazy and getattr(scheduler, "lock_key", None):
            # The next heartbeat is that of the loop, which has the lock.
            beat("standby", f"waiting for the lock {scheduler.lock_key}")
        return scheduler

    # Patches celery, checked with 5.7: https://github.com/sibson/redbeat
    service_class.get_scheduler = create_and_beat


def _wrap_loop(sender: Any, **kwargs: Any) -> None:
    service, scheduler = sender, sender.scheduler
    tick, send, sync = scheduler.tick, scheduler.apply_async, service.sync
    broker = _Broker(scheduler.app)
    due = 0.0

    def tick_and_beat(*args: Any, **kwargs: Any) -> Any:
        nonlocal due
        broker.watch.start()
        broker.connect_if_lost()
        broker.beat()
        seconds_left = due - time.monotonic()
        if seconds_left <= 0:
            seconds_left = tick(*args, **kwargs) or 0
            due = time.monotonic() + seconds_left
            broker.beat()
        return min(seconds_left, SECONDS)

    def send_and_note(*args: Any, **kwargs: Any) -> Any:
        broker.is_reached = False
        result = send(*args, **kwargs)
        broker.is_reached = True
        return result

    def drain_and_sync() -> None:
        beat("draining")
        sync()

    # Patches celery, checked with 5.7: https://github.com/celery/celery/issues/4079
    scheduler.tick = tick_and_beat
    scheduler.apply_async = send_and_note
    service.sync = drain_and_sync


class _Broker:
    """Remember whether the last task reached the broker."""

    def __init__(self, app: Any) -> None:
        self.is_reached = False
        self.watch = BrokerWatch()
        self._app = app
        self._tried_at = 0.0

    def beat(self) -> None:
        """Write a heartbeat: "ready" if the broker was reached, "waiting" if not."""
        self.watch.note_heartbeat()
        if self.is_reached:
            beat("ready")
        else:
            beat("waiting", NO_CONNECTION)

    def connect_if_lost(self) -> None:
        """Try to reach the broker every few seconds, if the last task did not."""
        if self.is_reached or time.monotonic() - self._tried_at < _RETRY:
            return
        try:
            with brokers.celery_connection(self._app) as connection:
                brokers.connect_to_celery(connection)
            self.is_reached = True
        except Exception:  # of any class, depending on the broker's library
            self.beat()
        self._tried_at = time.monotonic()
