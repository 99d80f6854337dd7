"""
The stop of Celery's worker: warm, and cold when the grace is over.

Celery's own ``worker_soft_shutdown_timeout`` always sleeps for all of it; this
waits no longer than the tasks do.
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

_workers: list[Any] = []


def install_shutdown_deadline(seconds: float) -> None:
    """Give each stop at most so many seconds."""
    deadline = Deadline(seconds, _end)

    def begin(how: str = "", **kwargs: Any) -> None:
        deadline.start()
        if _workers and _workers[0].pool.is_green:
            # It is a greenlet, in the one thread that may use their connections.
            _thread.start_new_thread(_end_green, (seconds,))

    signals.worker_ready.connect(_remember, weak=False)
    signals.worker_shutting_down.connect(begin, weak=False)


def _remember(sender: Any, **kwargs: Any) -> None:
    _workers[:] = [sender.controller]


def _end() -> None:
    if not _workers:
        kill_all()
    worker = _workers[0]
    worker.exitcode = UNFINISHED
    if worker.pool.is_green:
        return
    if type(worker.pool).terminate_job is not BasePool.terminate_job:
        os.kill(os.getpid(), signal.SIGQUIT)
        return
    # Threads, and the pool "solo", cannot end a task: Celery fails in the attempt.
    _give_back(worker)
    kill_all()


def _end_green(seconds: float) -> None:
    time.sleep(seconds)
    # Celery's cold shutdown leaves what they hold unacknowledged, and in no queue.
    _give_back(_workers[0])
    kill_all()


def _give_back(worker: Any) -> None:
    """Have what is not acknowledged put back: by kombu, or by the broker itself."""
    channel = worker.consumer.task_consumer and worker.consumer.task_consumer.channel
    if not channel:
        return
    if isinstance(worker.pool, Solo) and getattr(channel, "do_restore", False):
        # It is in the middle of reading the message whose task it runs.
        channel.qos.restore_unacked_once()
    else:
        # A question for tasks that is still open in Redis would be answered with
        # what is put back.
        channel.close()
