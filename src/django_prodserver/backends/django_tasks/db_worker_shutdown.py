"""
The stop of django-tasks-db's worker, which natively waits for ever.

A task that is not finished is ended by an exception, as a second signal does
natively, and is then ready for another worker: natively it has failed.
"""

from __future__ import annotations

import logging
import os
import signal
import time
from types import FrameType
from typing import Any

from django_tasks_db.compat import TaskResultStatus
from django_tasks_db.management.commands import db_worker
from django_tasks_db.models import DBTaskResult

from django_prodserver.process.deadline import UNFINISHED, Deadline

# Seconds for the exception to come out of the task.
_ENDING = 1.5
logger = logging.getLogger("django_tasks_db")


class Cut(SystemExit):
    """Ends the task in progress, and with it the worker."""


class _Claimed:
    """The task that this process works on, from its claim to its end."""

    result: Any = None


def install_shutdown_deadline(seconds: float) -> None:
    """Give each stop at most so many seconds."""
    worker: Any = db_worker.Worker
    model: Any = DBTaskResult
    shutdown, run_task, claim = worker.shutdown, worker.run_task, model.claim
    claimed = _Claimed()
    deadline = Deadline(seconds, lambda: _end(claimed))

    def stop(self: Any, signum: int, frame: FrameType | None) -> None:
        if self.running:
            deadline.start()
            # Natively a stop between the two leaves it claimed, by nobody.
            self.running_task = self.running_task or claimed.result is not None
            shutdown(self, signum, frame)
            return
        self.reset_signals()
        raise Cut(UNFINISHED)

    def claim_and_remember(self: Any, *args: Any, **kwargs: Any) -> None:
        claimed.result = self
        try:
            claim(self, *args, **kwargs)
        except BaseException:
            claimed.result = None
            raise

    def run(self: Any, result: Any) -> None:
        set_failed = result.set_failed

        def fail_or_put_back(error: BaseException) -> None:
            if not isinstance(error, Cut):
                set_failed(error)
                return
            _put_back(result)
            # Not to the signal that says it is finished: it is not.
            raise error

        result.set_failed = fail_or_put_back
        try:
            run_task(self, result)
        finally:
            claimed.result = None

    worker.shutdown, worker.run_task = stop, run
    model.claim = claim_and_remember


def _end(claimed: _Claimed) -> None:
    result = claimed.result
    os.kill(os.getpid(), signal.SIGTERM)
    # A task may take no exception: what it is in returns from no call, or catches
    # all of them. Here it is another connection, that waits for none of its locks.
    if result is not None:
        time.sleep(_ENDING)
        _put_back(result)


def _put_back(result: Any) -> None:
    running = DBTaskResult.objects.filter(pk=result.pk, status=TaskResultStatus.RUNNING)
    if running.update(status=TaskResultStatus.READY, started_at=None):
        logger.warning("Task id=%s is put back, and is ready again", result.pk)
