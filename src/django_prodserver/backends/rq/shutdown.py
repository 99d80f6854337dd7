"""Limit the stop of RQ's worker: an unfinished job goes back to its queue's head."""

from __future__ import annotations

import os
import signal
from datetime import timedelta
from types import FrameType
from typing import Any

import rq.worker

from django_prodserver.process.deadline import UNFINISHED, Deadline

# RQ ignores a second signal within a second of the first.
_DEBOUNCE = timedelta(seconds=2)


def install_shutdown_deadline(seconds: float) -> None:
    """Limit each stop to this many seconds."""
    worker: Any = getattr(rq.worker, "BaseWorker", rq.worker.Worker)
    request_stop, request_force_stop = worker.request_stop, worker.request_force_stop
    deadline = Deadline(seconds, lambda: os.kill(os.getpid(), signal.SIGTERM))

    def stop(self: Any, signum: int, frame: FrameType | None) -> None:
        deadline.start()
        request_stop(self, signum, frame)

    def force_stop(self: Any, signum: int, frame: FrameType | None) -> None:
        if deadline.over:
            self._shutdown_requested_date -= _DEBOUNCE
        job = self.get_current_job()
        has_child = bool(self.horse_pid)
        try:
            request_force_stop(self, signum, frame)
        except SystemExit:
            if job:
                _put_back(self, job)
            if has_child or not job:
                raise SystemExit(UNFINISHED if job else None) from None
            # This runs inside the job, which would record the exception as its own
            # failure.
            os._exit(UNFINISHED)

    # Patches rq, checked with 3.0: a stop waits without a limit
    # (https://github.com/rq/rq/issues/584, closed)
    worker.request_stop, worker.request_force_stop = stop, force_stop


def _put_back(worker: Any, job: Any) -> None:
    """Put an unfinished job back at the head of its queue."""
    queue = worker.queue_class(
        job.origin,
        connection=worker.connection,
        job_class=worker.job_class,
        serializer=worker.serializer,
    )
    with worker.connection.pipeline() as pipeline:
        worker.cleanup_execution(job, pipeline=pipeline)
        pipeline.execute()
    queue.enqueue_job(job, at_front=True)
    worker.log.warning("Worker %s: job %s is put back", worker.name, job.id)
