"""
Procrastinate's worker, with a heartbeat, a shutdown deadline and a task log.

On its own, a job that is not finished when the worker ends stays "doing", and runs
again only when stalled jobs are retried. With a deadline, it is put back.

On its own, the worker ends when the database goes away. With a heartbeat, it waits
for a database that has answered before; the worker is then live, but not ready.
"""

from __future__ import annotations

import asyncio
import datetime
import logging
import signal
from typing import Any

from procrastinate import exceptions, jobs, worker
from procrastinate.contrib.django import settings
from procrastinate.contrib.django.django_connector import DjangoConnector
from procrastinate.manager import JobManager

from django_prodserver.health import heartbeat
from django_prodserver.logs import tasks
from django_prodserver.process.deadline import Deadline, kill_all, write_line
from django_prodserver.process.signals import StopSignal

logger = logging.getLogger("procrastinate.worker")
# Seconds between two beats, between two checks of the database, and for each check.
_BEAT = 1.0
_CHECK = 5.0
_TIMEOUT = 3.0
# Seconds between two attempts to start again with the database.
_RETRY = 2.0


def install() -> type[ManagedWorker]:
    """Make Procrastinate use this worker."""
    # Patches procrastinate, checked with 3.10: its loop has no hook, a stop gives no
    # job back, and it ends with its database.
    module: Any = worker
    module.Worker = ManagedWorker
    return ManagedWorker


class ManagedWorker(worker.Worker):
    """The worker that the command runs, with what has been installed in it."""

    has_heartbeat = False
    has_task_log = False
    graceful_timeout: float = 25

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        # Instead of Procrastinate's own, which ends jobs without putting them back.
        self.shutdown_graceful_timeout = None
        self.install_signal_handlers = False
        self._signal = StopSignal()
        self._deadline = Deadline(self.graceful_timeout, self._end_jobs)
        self._is_connected = False
        #: Whether it has been at work: a database that never answered is probably
        #: misconfigured, and not waited for.
        self._has_run = False
        self._side_task_failed = False

    async def run(self) -> None:
        """Run the worker, and restart it while the database is unavailable."""
        loop = asyncio.get_running_loop()
        for signum in (signal.SIGINT, signal.SIGTERM):
            loop.add_signal_handler(signum, self._on_signal)
        beats = []
        if self.has_heartbeat:
            beats = [loop.create_task(self._check()), loop.create_task(self._beat())]
        try:
            await self._run_until_stopped()
        finally:
            for each in beats:
                each.cancel()

    async def _run_until_stopped(self) -> None:
        while True:
            try:
                await super().run()  # type: ignore[no-untyped-call]
                if not self._side_task_failed:
                    return
            except exceptions.ConnectorException as error:
                can_wait = self.has_heartbeat and self._has_run
                if not can_wait and not self._signal.received:
                    raise
                logger.error("The database is unavailable, waiting for it: %s", error)
            self._is_connected = False
            if not self._signal.received:
                await asyncio.sleep(_RETRY)
            if self._signal.received:
                return
            self._side_task_failed = False

    async def _run_loop(self) -> None:
        self._has_run = True
        await super()._run_loop()  # type: ignore[no-untyped-call]

    async def _monitor_side_tasks(self, side_tasks: list[asyncio.Task[Any]]) -> None:
        # It returns when the first of them has ended, and stops the worker if that one
        # has failed. Without periodic tasks, their deferrer ends at once.
        await super()._monitor_side_tasks(side_tasks)
        is_stopping = self._stop_event.is_set()
        self._side_task_failed = is_stopping and not self._signal.received

    def _on_signal(self) -> None:
        is_first = not self._signal.received
        self._signal.note()
        if is_first:
            self._deadline.start()
            if self.has_heartbeat:
                heartbeat.beat("draining")
            self.stop()  # type: ignore[no-untyped-call]
        elif self._signal.force:
            self._deadline.now()

    async def _check(self) -> None:
        """Check periodically that the database answers."""
        while True:
            try:
                async with asyncio.timeout(_TIMEOUT):
                    await self.app.connector.execute_query_one_async("SELECT 1 AS one")
                self._is_connected = True
            except (exceptions.ConnectorException, TimeoutError):
                self._is_connected = False
            await asyncio.sleep(_CHECK)

    async def _beat(self) -> None:
        """Beat as long as the event loop runs, which also runs the jobs."""
        while True:
            if self._signal.received:
                heartbeat.beat("draining")
            elif self._is_connected and not self._side_task_failed:
                heartbeat.beat("ready")
            else:
                heartbeat.beat("starting", "no connection to the database")
            await asyncio.sleep(_BEAT)

    async def _process_job(self, context: Any) -> None:
        if self.has_task_log:
            job = context.job
            tasks.begin(job.id, job.task_name, job.queue)
        await super()._process_job(context)

    def _log_job_outcome(self, status: Any, *args: Any, **options: Any) -> None:
        is_success = status == jobs.Status.SUCCEEDED
        tasks.end("success" if is_success else "failure")
        super()._log_job_outcome(status, *args, **options)

    def _end_jobs(self) -> None:
        """Put back the jobs that run, from the deadline's thread, and exit."""
        manager = JobManager(DjangoConnector(alias=settings.settings.DATABASE_ALIAS))
        now = datetime.datetime.now(datetime.UTC)
        for context in list(self._running_jobs.values()):
            number = context.job.id or 0
            try:
                manager.retry_job_by_id(number, retry_at=now)
            except exceptions.ConnectorException as error:
                write_line(
                    f"job {number} could not be put back: {type(error).__name__}"
                )
            else:
                write_line(f"job {number} is put back")
        kill_all()
