"""
Heartbeat of Celery's worker: whether its loop runs and it has reached the broker.

While the broker is unavailable, Celery's main thread waits for it and cannot beat.
The worker then counts as live for as long as ``BrokerWatch`` sees it wait.
"""

from __future__ import annotations

import threading
from typing import Any

from celery import bootsteps, signals

from django_prodserver.backends.celery.broker_watch import BrokerWatch
from django_prodserver.health.heartbeat import beat

SECONDS = 1


def install_heartbeat() -> None:
    """Make the worker's consumer beat every second."""
    signals.celeryd_init.connect(_add_step, weak=False)


def _add_step(instance: Any, **kwargs: Any) -> None:
    instance.app.steps["consumer"].add(Heartbeat)


class Heartbeat(bootsteps.StartStopStep):
    """A step of the consumer, started each time it reaches a broker."""

    requires = ("celery.worker.consumer.tasks:Tasks",)

    def __init__(self, consumer: Any, **options: Any) -> None:
        super().__init__(consumer, **options)
        self._timer: Any = None
        self._loop_thread = 0
        self._running_tasks = 0
        self._watch = BrokerWatch()
        # With a broker that has no event loop, Celery's loop calls this on each turn.
        # Such a worker's timer is a separate thread, so it cannot prove that the loop
        # runs.
        perform = consumer.perform_pending_operations

        def perform_and_beat() -> None:
            if not consumer.hub:
                self._beat()
            perform()

        # Patches celery, checked with 5.7: https://github.com/celery/celery/issues/4079
        consumer.perform_pending_operations = perform_and_beat
        signals.task_prerun.connect(self._begin_task, weak=False)
        signals.task_postrun.connect(self._end_task, weak=False)

    def start(self, consumer: Any) -> None:
        self._watch.start(is_green=consumer.pool.is_green)
        if consumer.hub:
            self._timer = consumer.timer.call_repeatedly(SECONDS, self._beat)

    def stop(self, consumer: Any) -> None:
        if self._timer:
            self._timer.cancel()
            self._timer = None
        self._watch.note_lost_connection()

    def _beat(self) -> None:
        self._loop_thread, self._running_tasks = threading.get_ident(), 0
        self._be_ready()

    def _be_ready(self) -> None:
        self._watch.note_heartbeat()
        beat("ready")

    def _begin_task(self, **kwargs: Any) -> None:
        # In the pool "solo", the loop itself runs the task, which may run another one.
        if threading.get_ident() == self._loop_thread:
            self._running_tasks += 1
            self._watch.note_task()
            beat("busy")

    def _end_task(self, **kwargs: Any) -> None:
        if threading.get_ident() == self._loop_thread:
            self._running_tasks -= 1
            if self._running_tasks <= 0:
                self._be_ready()
