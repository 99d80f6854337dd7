"""
The loop of Celery's worker: attached to the broker and going round, or not.

While the broker is away Celery waits for it in its main thread, for as long as a
connection takes to fail; nothing can be told from that, so the process counts.
"""

from __future__ import annotations

import threading
from typing import Any

from celery import bootsteps, signals

from django_prodserver.health.heartbeat import beat

SECONDS = 1


class Heartbeat(bootsteps.StartStopStep):
    """A step of the consumer: it is started as often as a broker is reached."""

    requires = ("celery.worker.consumer.tasks:Tasks",)

    def __init__(self, consumer: Any, **options: Any) -> None:
        super().__init__(consumer, **options)
        self._timer: Any = None
        self._thread = 0
        self._depth = 0
        # What the loop for brokers without an event loop calls each time around.
        # The timer of such a worker is a thread, and says nothing about it.
        perform = consumer.perform_pending_operations

        def perform_and_tick() -> None:
            if not consumer.hub:
                self._tick()
            perform()

        consumer.perform_pending_operations = perform_and_tick
        signals.task_prerun.connect(self._begun, weak=False)
        signals.task_postrun.connect(self._ended, weak=False)

    def start(self, consumer: Any) -> None:
        if consumer.hub:
            self._timer = consumer.timer.call_repeatedly(SECONDS, self._tick)

    def stop(self, consumer: Any) -> None:
        if self._timer:
            self._timer.cancel()
            self._timer = None
        beat("starting", "no connection to the broker")

    def _tick(self) -> None:
        self._thread, self._depth = threading.get_ident(), 0
        beat("ready")

    def _begun(self, **kwargs: Any) -> None:
        # In the pool "solo" the loop itself runs the task, and one can call another.
        if threading.get_ident() == self._thread:
            self._depth += 1
            beat("busy")

    def _ended(self, **kwargs: Any) -> None:
        if threading.get_ident() == self._thread:
            self._depth -= 1
            if self._depth <= 0:
                beat("ready")


def install_heartbeat() -> None:
    signals.celeryd_init.connect(_add, weak=False)
    signals.worker_shutting_down.connect(_drain, weak=False)


def _add(instance: Any, **kwargs: Any) -> None:
    instance.app.steps["consumer"].add(Heartbeat)


def _drain(**kwargs: Any) -> None:
    beat("draining")
