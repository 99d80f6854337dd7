"""
Bound the stop of Celery's worker: warm first, cold when the time is up.

Celery's own ``worker_soft_shutdown_timeout`` always sleeps for all of its seconds;
this waits no longer than the tasks run.
"""

from __future__ import annotations

import _thread
import os
import signal
import time
from typing import Any

from celery import signals
from celery.concurrency.base import BasePool
from celery.concurrency.solo import TaskPool as Solo

from django_prodserver.process.deadline import UNFINISHED, Deadline, kill_all


def install_shutdown_deadline(seconds: float) -> None:
    """Give each stop at most so many seconds."""
    shutdown = _Shutdown(seconds)
    signals.worker_ready.connect(shutdown.remember_worker, weak=False)
    signals.worker_shutting_down.connect(shutdown.begin, weak=False)


class _Shutdown:
    """The stop of this process's worker."""

    def __init__(self, seconds: float) -> None:
        self._worker: Any = None
        self._deadline = Deadline(seconds, self._end_tasks)

    def remember_worker(self, sender: Any, **kwargs: Any) -> None:
        self._worker = sender.controller

    def begin(self, how: str = "", **kwargs: Any) -> None:
        self._deadline.start()
        if self._worker and self._worker.pool.is_green:
            # The tasks' connections may be used in this thread only, so a greenlet
            # of it ends them.
            _thread.start_new_thread(self._end_green_tasks, ())

    def _end_tasks(self) -> None:
        if not self._worker:
            kill_all()
        self._worker.exitcode = UNFINISHED
        if self._worker.pool.is_green:
            return
        if type(self._worker.pool).terminate_job is not BasePool.terminate_job:
            os.kill(os.getpid(), signal.SIGQUIT)
            return
        # The pools "threads" and "solo" cannot end a task: Celery's cold shutdown
        # fails in the attempt.
        _give_back(self._worker)
        kill_all()

    def _end_green_tasks(self) -> None:
        time.sleep(self._deadline.seconds)
        # Celery's cold shutdown would leave the tasks unacknowledged, in no queue.
        _give_back(self._worker)
        kill_all()


def _give_back(worker: Any) -> None:
    """Put back what is not acknowledged: kombu does it, or the broker itself."""
    channel = worker.consumer.task_consumer and worker.consumer.task_consumer.channel
    if not channel:
        return
    if isinstance(worker.pool, Solo) and getattr(channel, "do_restore", False):
        # Its thread is in the middle of reading the message whose task it runs.
        channel.qos.restore_unacked_once()
    else:
        # Closed, because a request for tasks that is still open in Redis would be
        # answered with what is put back.
        channel.close()
