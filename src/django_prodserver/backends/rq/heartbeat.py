"""Heartbeat of RQ's worker, whose loop waits for Redis and for its jobs."""

from __future__ import annotations

from typing import Any

import rq.worker
from redis import exceptions

from django_prodserver.health.heartbeat import beat

# The longest time in seconds to wait for a job; RQ's own default is some minutes.
DEQUEUE_SECONDS = 5


def install_heartbeat() -> None:
    """Make the worker's loop beat on each turn, and when it stops."""
    worker: Any = getattr(rq.worker, "BaseWorker", rq.worker.Worker)
    dequeue, heartbeat = worker.dequeue_job_and_maintain_ttl, worker.heartbeat
    dequeue_timeout = worker.dequeue_timeout.fget
    warm_shutdown = worker.handle_warm_shutdown_request
    condition = "ready"

    def dequeue_and_beat(self: Any, *args: Any, **kwargs: Any) -> Any:
        nonlocal condition
        condition = "ready"
        job = dequeue(self, *args, **kwargs)
        if job:
            condition = "busy"
            beat(condition)
        return job

    # RQ sends its own heartbeat to Redis on each turn. With a pipeline, Redis has not
    # answered yet.
    def heartbeat_and_beat(
        self: Any, timeout: int | None = None, pipeline: Any = None, **kwargs: Any
    ) -> None:
        try:
            heartbeat(self, timeout, pipeline, **kwargs)
        except (exceptions.ConnectionError, exceptions.TimeoutError):
            beat("starting", "no connection to Redis")
            raise
        if pipeline is None:
            beat(condition)

    def drain_and_shut_down(self: Any) -> None:
        beat("draining")
        warm_shutdown(self)

    # Patches rq, checked with 3.0: its loop has no hook.
    worker.dequeue_job_and_maintain_ttl = dequeue_and_beat
    worker.heartbeat = heartbeat_and_beat
    worker.dequeue_timeout = property(
        lambda self: min(dequeue_timeout(self), DEQUEUE_SECONDS)
    )
    worker.handle_warm_shutdown_request = drain_and_shut_down
