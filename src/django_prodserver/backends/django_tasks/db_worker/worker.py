"""
django-tasks-db's worker, with a heartbeat and a shutdown deadline.

On its own, a stop waits for a task without a limit, and a second signal makes the
task fail. With a deadline, an unfinished task is interrupted by an exception, and is
ready for another worker.

On its own, the loop ends when the database goes away. With a heartbeat, it waits for
a database that has answered before; the worker is then live, but not ready. The result
of a task waits with it: a task must not stay "running" while no worker runs it.
"""

from __future__ import annotations

import functools
import itertools
import logging
import os
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any

from django.db import InterfaceError, OperationalError, connections, router
from django_tasks_db.compat import TaskResultStatus
from django_tasks_db.management.commands import db_worker
from django_tasks_db.management.commands.db_worker import Worker
from django_tasks_db.models import DBTaskResult
from django_tasks_db.utils import exclusive_transaction

from django_prodserver.health.heartbeat import beat
from django_prodserver.process.deadline import UNFINISHED, Deadline

logger = logging.getLogger("django_tasks_db")
# Seconds between two attempts to reach the database.
_RETRY = 2
# Attempts to store a result over a connection that has just been opened: the database
# may close a connection because of what it was sent.
_ATTEMPTS = 5
# Seconds in which the exception should leave the task.
_ENDING = 1.5


def install_heartbeat() -> None:
    """Make the worker's loop beat, and wait for a database that went away."""
    _install()
    ManagedWorker.has_heartbeat = True


def install_shutdown_deadline(seconds: float) -> None:
    """Limit each stop to this many seconds."""
    _install()
    ManagedWorker.graceful_timeout = seconds


def _install() -> None:
    module: Any = db_worker
    # An AttributeError tells the caller that this release works differently.
    _ = Worker.run, Worker.run_task, Worker.shutdown, DBTaskResult.claim
    _ = module.exclusive_transaction
    # Patches django-tasks-db, checked with 0.13: https://github.com/RealOrangeOne/django-tasks-db/issues/49
    # (a database that goes away) and https://github.com/RealOrangeOne/django-tasks-db/issues/61
    module.Worker = ManagedWorker


class TaskInterrupted(SystemExit):
    """Raised in the task in progress, to end the task and the worker."""


class ManagedWorker(Worker):
    """The worker that ``db_worker`` runs, with a heartbeat, a deadline or both."""

    has_heartbeat = False
    #: The seconds for a stop; None keeps the worker's own stop, without a limit.
    graceful_timeout: float | None = None

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        #: The task of this process, from its claim until its result is stored.
        self.claimed: Any = None
        #: None until the first answer: a database that never answered is probably
        #: misconfigured, and not waited for.
        self.database_answers: bool | None = None
        self.deadline: Deadline | None = None
        if self.graceful_timeout is not None:
            self.deadline = Deadline(self.graceful_timeout, self._end_task)

    def run(self) -> None:
        """Run the loop, and restart it while the database is unavailable."""
        self._wrap_claims()
        while True:
            try:
                super().run()
                return
            except (InterfaceError, OperationalError) as error:
                can_wait = self.has_heartbeat and self.database_answers is not None
                if not can_wait or not self.running:
                    raise
                self._note_lost_database(error)
            self._wait_for_database()
            # Otherwise no worker would run it: the reply to its claim was lost, or its
            # result cannot be stored.
            if self.claimed is not None and _put_back(self.claimed):
                self.claimed = None

    def run_task(self, db_task_result: Any) -> None:
        """Run a task and store its result; put it back if it is interrupted."""
        set_failed = db_task_result.set_failed
        set_successful = db_task_result.set_successful

        def set_failed_unless_interrupted(error: BaseException) -> None:
            # Raised so that task_finished is not sent: the task is not finished.
            if isinstance(error, TaskInterrupted):
                raise error
            self._store(set_failed, error)

        # Patches django-tasks-db, checked with 0.13: https://github.com/RealOrangeOne/django-tasks-db/issues/49
        db_task_result.set_failed = set_failed_unless_interrupted
        db_task_result.set_successful = functools.partial(self._store, set_successful)
        self._beat("busy")
        try:
            super().run_task(db_task_result)
        except TaskInterrupted:
            _put_back(db_task_result)
            raise
        self.claimed = None
        self._beat("ready")

    def _store(self, save: Callable[[Any], None], result: Any) -> None:
        """Store a result; wait for a database that has closed the connection."""
        for attempt in itertools.count(1):
            try:
                save(result)
                self.database_answers = True
                return
            except (InterfaceError, OperationalError) as error:
                connection = _connection()
                is_lost = connection.connection is None or not connection.is_usable()
                if not is_lost or attempt > _ATTEMPTS:
                    raise
                self._note_lost_database(error)
            while not self._wait_for_database():
                pass

    def _note_lost_database(self, error: Exception) -> None:
        self._beat("starting", "no connection to the database")
        if self.database_answers:
            logger.error("The database is unavailable, waiting for it: %s", error)
        self.database_answers = False

    def _wait_for_database(self) -> bool:
        """Wait a little; return whether the database answers over a new connection."""
        # A connection that failed may answer again and still not work: it may lead
        # to a server that has been replaced.
        connections.close_all()
        time.sleep(_RETRY)
        self._beat("starting", "no connection to the database")
        try:
            _connection().ensure_connection()
        except (InterfaceError, OperationalError):
            return False
        return True

    def shutdown(self, signum: int, frame: FrameType | None) -> None:
        """Handle a signal: finish the task at the first, interrupt it at the second."""
        self._beat("draining")
        if self.deadline is None:
            super().shutdown(signum, frame)
        elif self.running:
            self.deadline.start()
            # The worker's own stop exits if no task is running, and a task that is
            # only claimed would stay claimed although no worker runs it.
            self.running_task = self.running_task or self.claimed is not None
            super().shutdown(signum, frame)
        else:
            self.reset_signals()
            raise TaskInterrupted(UNFINISHED)

    def _beat(self, condition: str, detail: str = "") -> None:
        if self.has_heartbeat:
            beat(condition, detail)

    def _wrap_claims(self) -> None:
        """Remember the task that the loop claims, and beat after each transaction."""
        claim = DBTaskResult.claim

        @contextmanager
        def transaction_and_beat(*args: Any, **kwargs: Any) -> Iterator[Any]:
            with exclusive_transaction(*args, **kwargs) as value:
                yield value
            self.database_answers = True
            self._beat("ready")

        def claim_and_note(result: Any, *args: Any, **kwargs: Any) -> None:
            self.claimed = result
            try:
                claim(result, *args, **kwargs)
            except BaseException:
                self.claimed = None
                raise

        module: Any = db_worker
        # Patches django-tasks-db, checked with 0.13: https://github.com/RealOrangeOne/django-tasks-db/issues/61
        module.exclusive_transaction = transaction_and_beat
        model: Any = DBTaskResult
        model.claim = claim_and_note

    def _end_task(self) -> None:
        """Interrupt the task, from the deadline's thread."""
        claimed = self.claimed
        os.kill(os.getpid(), signal.SIGTERM)
        # A task may ignore the exception: it may catch everything, or be in a call
        # that does not return. This thread has its own connection, which does not
        # wait for the task's locks.
        if claimed is not None:
            time.sleep(_ENDING)
            _put_back(claimed)


def _connection() -> Any:
    """Return the connection to the database of the tasks."""
    return connections[router.db_for_write(DBTaskResult)]


def _put_back(result: Any) -> bool:
    """Make a task that this process has claimed ready again; return whether it is."""
    claimed = DBTaskResult.objects.filter(
        pk=result.pk, status=TaskResultStatus.RUNNING, started_at=result.started_at
    )
    reason = ""
    for _ in range(2):  # the database may have closed the connection
        try:
            found = claimed.update(status=TaskResultStatus.READY, started_at=None)
        except (InterfaceError, OperationalError) as error:
            reason = " ".join(str(error).split())
            _connection().close()
            continue
        if found:
            logger.warning("Task id=%s was put back and is ready again", result.pk)
        return True
    logger.error(
        "Task id=%s could not be put back and stays RUNNING: %s", result.pk, reason
    )
    return False
