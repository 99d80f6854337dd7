"""The loop of RQ's worker, which waits for Redis in it, and for its jobs."""

from __future__ import annotations

from typing import Any

import rq.worker
from redis import exceptions

from django_prodserver.health.heartbeat import beat

# Seconds that it waits for a job at a time; natively some minutes.
SECONDS = 5


def install_heartbeat() -> None:
    worker: Any = getattr(rq.worker, "BaseWorker", rq.worker.Worker)
    dequeue, heartbeat = worker.dequeue_job_and_maintain_ttl, worker.heartbeat
    native = worker.dequeue_timeout.fget
    warm = worker.handle_warm_shutdown_request
    condition = "ready"

    def dequeue_and_beat(self: Any, *args: Any, **kwargs: Any) -> Any:
        nonlocal condition
        condition = "ready"
        if found := dequeue(self, *args, **kwargs):
            condition = "busy"
            beat(condition)
        return found

    # Each time around, it tells Redis that it is there; in a pipeline, nothing yet.
    def tell_both(
        self: Any, timeout: int | None = None, pipeline: Any = None, **kwargs: Any
    ) -> None:
        try:
            heartbeat(self, timeout, pipeline, **kwargs)
        except (exceptions.ConnectionError, exceptions.TimeoutError):
            beat("starting", "no connection to Redis")
            raise
        if pipeline is None:
            beat(condition)

    def drain_and_stop(self: Any) -> None:
        beat("draining")
        warm(self)

    worker.dequeue_job_and_maintain_ttl = dequeue_and_beat
    worker.heartbeat = tell_both
    worker.dequeue_timeout = property(lambda self: min(native(self), SECONDS))
    worker.handle_warm_shutdown_request = drain_and_stop
