"""The stop of RQ's worker: a job that is not finished is the next of its queue."""

from __future__ import annotations

import os
import signal
from datetime import timedelta
from types import FrameType
from typing import Any

import rq.worker

from django_prodserver.process.deadline import UNFINISHED, Deadline

# Natively a second signal within a second is the first one, told twice.
_TWICE = timedelta(seconds=2)


def install_shutdown_deadline(seconds: float) -> None:
    """Give each stop at most so many seconds."""
    worker: Any = getattr(rq.worker, "BaseWorker", rq.worker.Worker)
    request_stop, force = worker.request_stop, worker.request_force_stop
    deadline = Deadline(seconds, lambda: os.kill(os.getpid(), signal.SIGTERM))

    def stop(self: Any, signum: int, frame: FrameType | None) -> None:
        deadline.start()
        request_stop(self, signum, frame)

    def force_and_put_back(self: Any, signum: int, frame: FrameType | None) -> None:
        if deadline.over:
            self._shutdown_requested_date -= _TWICE
        job = self.get_current_job()
        has_horse = bool(self.horse_pid)
        try:
            force(self, signum, frame)
        except SystemExit:
            if job:
                _put_back(self, job)
            if has_horse or not job:
                raise SystemExit(UNFINISHED if job else None) from None
            # It is in the job itself, which would take this for a failure of its.
            os._exit(UNFINISHED)

    worker.request_stop, worker.request_force_stop = stop, force_and_put_back


def _put_back(worker: Any, job: Any) -> None:
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
