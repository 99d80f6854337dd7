"""
Limit the stop of Celery's worker: warm first, cold when the time is up.

Celery's own ``worker_soft_shutdown_timeout`` always sleeps for the whole time; this
waits only while tasks run.
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
    """Limit each stop to this many seconds."""
    shutdown = _Shutdown(seconds)
    signals.worker_ready.connect(shutdown.remember_worker, weak=False)
    signals.worker_shutting_down.connect(shutdown.begin, weak=False)


class _Shutdown:
    """Stop this process's worker within the deadline."""

    def __init__(self, seconds: float) -> None:
        self._worker: Any = None
        self._deadline = Deadline(seconds, self._end_tasks)

    def remember_worker(self, sender: Any, **kwargs: Any) -> None:
        """Remember the worker, which is ready now."""
        self._worker = sender.controller

    def begin(self, how: str = "", **kwargs: Any) -> None:
        """Start the deadline, when the worker begins to stop."""
        self._deadline.start()
        if self._worker and self._worker.pool.is_green:
            # The tasks' connections may only be used in this thread, so one of its
            # greenlets ends the tasks.
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
        # The pools "threads" and "solo" cannot end a task, and Celery's cold shutdown
        # fails when it tries.
        _requeue_unacknowledged(self._worker)
        kill_all()

    def _end_green_tasks(self) -> None:
        time.sleep(self._deadline.seconds)
        # Celery's cold shutdown would leave the tasks unacknowledged and in no queue.
        _requeue_unacknowledged(self._worker)
        kill_all()


def _requeue_unacknowledged(worker: Any) -> None:
    """Return the unacknowledged tasks to their queue, by kombu or by the broker."""
    channel = worker.consumer.task_consumer and worker.consumer.task_consumer.channel
    if not channel:
        return
    if isinstance(worker.pool, Solo) and getattr(channel, "do_restore", False):
        # This thread is still reading the message whose task it runs, so the channel
        # must stay open.
        channel.qos.restore_unacked_once()
    else:
        # Close the channel: otherwise Redis would answer a pending request for tasks
        # with the tasks that are put back.
        channel.close()
