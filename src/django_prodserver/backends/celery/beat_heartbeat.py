"""
The loop of Celery's scheduler, whichever class that is.

It may sleep for minutes when nothing is due. It is woken each second, and the
scheduler is asked no more often than it would be.
"""

from __future__ import annotations

import time
from typing import Any

from celery import signals

from django_prodserver.health.heartbeat import beat

SECONDS = 1.0
# A broker that was not reached is tried as often.
_RETRY = 5.0


def install_heartbeat() -> None:
    signals.beat_init.connect(_join, weak=False)


def _join(sender: Any, **kwargs: Any) -> None:
    service, scheduler = sender, sender.scheduler
    tick, send, sync = scheduler.tick, scheduler.apply_async, service.sync
    broker = _Broker(scheduler.app)
    due = 0.0

    def beat_and_tick(*args: Any, **kwargs: Any) -> Any:
        nonlocal due
        broker.look()
        _say(broker)
        if (left := due - time.monotonic()) <= 0:
            left = tick(*args, **kwargs) or 0
            due = time.monotonic() + left
            _say(broker)
        return min(left, SECONDS)

    def send_and_learn(*args: Any, **kwargs: Any) -> Any:
        broker.reached = False
        result = send(*args, **kwargs)
        broker.reached = True
        return result

    def sync_and_drain() -> None:
        beat("draining")
        sync()

    scheduler.tick = beat_and_tick
    scheduler.apply_async = send_and_learn
    service.sync = sync_and_drain


class _Broker:
    """Whether the last thing to be sent has reached it; at first, whether it can."""

    reached = False

    def __init__(self, app: Any) -> None:
        self._app = app
        self._looked = 0.0

    def look(self) -> None:
        now = time.monotonic()
        if self.reached or now - self._looked < _RETRY:
            return
        try:
            with self._app.connection_for_write() as connection:
                connection.ensure_connection(max_retries=1, interval_start=0)
            self.reached = True
        except Exception:
            # Of whatever kind the broker's library raises.
            _say(self)
        self._looked = time.monotonic()


def _say(broker: _Broker) -> None:
    if broker.reached:
        beat("ready")
    else:
        beat("starting", "no connection to the broker")
