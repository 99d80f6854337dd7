"""Log RQ's jobs, in the process that performs them."""

from __future__ import annotations

import logging
from traceback import format_exception
from typing import Any

import rq.worker
from rq.exceptions import DeserializationError

from django_prodserver.logs import tasks


def install() -> None:
    """Make the worker note the job that it performs, and how the job ends."""
    worker: Any = getattr(rq.worker, "BaseWorker", rq.worker.Worker)
    perform, succeed = worker.perform_job, worker.handle_job_success
    retry, fail = worker.handle_job_retry, worker.handle_exception

    def begin_and_perform(self: Any, job: Any, *args: Any, **kwargs: Any) -> Any:
        tasks.begin(job.id, _name(job), job.origin)
        try:
            return perform(self, job, *args, **kwargs)
        finally:
            tasks.forget()

    def end_and_succeed(*args: Any, **kwargs: Any) -> None:
        tasks.end("success")
        succeed(*args, **kwargs)
        # Later lines are about where the result is stored.
        tasks.forget()

    def end_and_retry(*args: Any, **kwargs: Any) -> None:
        tasks.end("retry")
        retry(*args, **kwargs)

    def end_and_fail(self: Any, job: Any, *exc_info: Any) -> None:
        tasks.end("failure")
        as_exception = _AsException(exc_info)
        self.log.addFilter(as_exception)
        try:
            fail(self, job, *exc_info)
        finally:
            self.log.removeFilter(as_exception)

    # Patches rq, checked with 3.0: it has no signals for its jobs.
    worker.perform_job, worker.handle_job_success = begin_and_perform, end_and_succeed
    worker.handle_job_retry, worker.handle_exception = end_and_retry, end_and_fail


class _AsException(logging.Filter):
    """Give RQ's line about a failure the exception, which RQ writes as text."""

    def __init__(self, exc_info: Any) -> None:
        super().__init__()
        self._exc_info = exc_info

    def filter(self, record: logging.LogRecord) -> bool:
        message = record.getMessage().rstrip()
        traceback = "".join(format_exception(*self._exc_info)).rstrip()
        if message.endswith(traceback):
            record.msg, record.args = message.removesuffix(traceback).rstrip(), ()
            record.exc_info = self._exc_info
        return True


def _name(job: Any) -> str:
    try:
        return str(job.func_name)
    except DeserializationError:  # RQ reports it when it performs the job
        return str(job.description)
