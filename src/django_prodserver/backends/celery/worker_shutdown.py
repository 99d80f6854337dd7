"""
Limit the stop of Celery's worker, however it begins.

A stop begins warm, and turns cold when the time is up. Celery's own
``worker_soft_shutdown_timeout`` always sleeps for the whole time; this waits only
while tasks run.
"""

from __future__ import annotations

import _thread
import math
import os
import signal
import sys
import time
from collections.abc import Callable
from functools import partial
from types import FrameType
from typing import TYPE_CHECKING, Any

from celery import bootsteps, signals
from celery.concurrency.solo import TaskPool as Solo
from celery.platforms import EX_OK
from celery.worker import state

from django_prodserver.health.heartbeat import beat
from django_prodserver.process.deadline import UNFINISHED, Deadline, kill_all
from django_prodserver.process.signals import STOP_SIGNALS

if TYPE_CHECKING:
    from django_prodserver.backends.celery.group_stop import GroupStop

# Celery restarts in place on the last one; Windows has neither.
_SIGNALS = STOP_SIGNALS + tuple(
    getattr(signal, name) for name in ("SIGQUIT", "SIGHUP") if hasattr(signal, name)
)
_TICK = 0.1
# Seconds within which two signals are one stop. More than elsewhere: for Celery a
# second SIGINT ends the tasks, and a busy machine can separate two sent together.
_DEBOUNCE = 0.5
# Each is more than the second for which kombu asks Redis for a task. Together, they
# are less than the deadline leaves for this.
_LOOP_TIMEOUT = 1.1
_CLOSE_TIMEOUT = 1.1


def install_shutdown_deadline(seconds: float) -> None:
    """Limit each stop to this many seconds."""
    signals.celeryd_init.connect(_Shutdown(seconds).join, weak=False)


class _Shutdown:
    """Stop this process's worker within the deadline."""

    def __init__(self, seconds: float) -> None:
        self._worker: Any = None
        self._deadline = Deadline(seconds, self._end_tasks)
        self._pid = os.getpid()
        self._group: GroupStop | None = None
        self._last_signal = 0
        self._signalled_at = 0.0
        self._ends_green_tasks = False

    def join(self, instance: Any, **kwargs: Any) -> None:
        """Take part in each way to stop this worker, which is being created."""
        self._worker = worker = instance
        install, stop, terminate = (
            worker.install_platform_tweaks,
            worker.stop,
            worker.terminate,
        )

        def install_and_wrap(*args: Any, **kwargs: Any) -> None:
            install(*args, **kwargs)
            self._wrap_handlers()

        # A remote shutdown calls one of these, and no signal handler.
        def begin_and_stop(*args: Any, **kwargs: Any) -> None:
            self._begin()
            _keep_sent_tasks(worker.pool)
            stop(*args, **kwargs)

        def begin_and_terminate(*args: Any, **kwargs: Any) -> None:
            self._begin()
            terminate(*args, **kwargs)

        # Patches celery, checked with 5.7: no signal of it is sent for each stop.
        worker.install_platform_tweaks = install_and_wrap
        worker.stop = begin_and_stop
        worker.terminate = begin_and_terminate
        if hasattr(os, "fork"):
            from django_prodserver.backends.celery.group_stop import GroupStop

            self._group = GroupStop()
            self._group.install()

    def _wrap_handlers(self) -> None:
        """Take part in what Celery does on each signal."""
        for signum in _SIGNALS:
            native = signal.getsignal(signum)
            if callable(native) and not isinstance(native, partial):
                signal.signal(signum, partial(self._on_signal, native))

    def _on_signal(self, native: Any, signum: int, frame: FrameType | None) -> None:
        if os.getpid() != self._pid:  # in a child that has just been forked
            native(signum, frame)
            return
        elapsed = time.monotonic() - self._signalled_at
        if signum == self._last_signal and elapsed < _DEBOUNCE:
            return
        is_cold = native.__name__ == "worker_Cold"
        # A cold stop waits in its handler, where a second signal cuts that short.
        self._signalled_at = time.monotonic() if is_cold else math.inf
        self._last_signal = signum
        self._begin()
        if is_cold:
            self._stop_cold(native, signum, frame)
        else:
            native(signum, frame)
        self._wrap_handlers()  # Celery installs others for a second signal
        self._signalled_at = time.monotonic()

    def _begin(self) -> None:
        """Begin the stop; a second call does nothing."""
        beat("draining")
        if self._group:
            self._group.begin()
        # SIGHUP restarts the worker when its tasks are finished.
        if self._last_signal != getattr(signal, "SIGHUP", None):
            self._deadline.start()
            self._end_green_tasks_in_time()

    def _stop_cold(self, native: Any, signum: int, frame: FrameType | None) -> None:
        """End the tasks after Celery's soft time-out, which is for the whole stop."""
        worker, conf = self._worker, self._worker.app.conf
        soft = min(conf.worker_soft_shutdown_timeout, self._deadline.remaining())
        if not worker.pool:
            conf.worker_soft_shutdown_timeout = soft
            native(signum, frame)
            return
        # Celery's own cold shutdown fails, or loses the tasks.
        self._deadline.limit(soft, "before the cold shutdown")
        signals.worker_shutting_down.send(
            sender=worker.hostname,
            sig=signal.Signals(signum).name,
            how="Cold",
            exitcode=EX_OK,
        )
        flags: Any = state
        # A SIGINT before this one has set another exit code.
        flags.should_stop = flags.should_stop or EX_OK

    def _end_tasks(self) -> None:
        """End the tasks, in the thread of the deadline, as its time is up."""
        worker = self._worker
        if not (worker and worker.pool):
            kill_all()
        worker.exitcode = UNFINISHED
        if worker.pool.is_green:
            return
        _requeue_unacknowledged(worker)
        kill_all()

    def _end_green_tasks_in_time(self) -> None:
        """
        End the tasks of gevent or eventlet as the time is up.

        Their connections may only be used in their thread, so it is a greenlet of it
        that does so.
        """
        pool = self._worker and self._worker.pool
        if pool and pool.is_green and not self._ends_green_tasks:
            self._ends_green_tasks = True
            _thread.start_new_thread(self._end_green_tasks, ())

    def _end_green_tasks(self) -> None:
        while self._deadline.remaining():
            time.sleep(_TICK)
        # Celery's cold shutdown would leave the tasks unacknowledged and in no queue.
        _requeue_unacknowledged(self._worker)
        kill_all()


def _keep_sent_tasks(task_pool: Any) -> None:
    """
    Keep, during a stop, each task that has been sent to a child process.

    As its consumer closes, Celery forgets the tasks that no child has confirmed yet.
    A child that received one runs it nevertheless, without its time limit. It is not
    acknowledged either, so another worker runs it again.
    """
    # Not imported, because only the pool "prefork" needs it.
    prefork = sys.modules.get("celery.concurrency.asynpool")
    pool: Any = getattr(task_pool, "_pool", None)
    if not (prefork and isinstance(pool, prefork.AsynPool)):
        return
    flush = task_pool.flush

    def flush_unsent() -> None:
        sent = {
            key: job
            for key, job in pool._cache.items()
            if job._write_to and job._write_to._is_alive()
        }
        for key in sent:
            del pool._cache[key]
        flush()
        pool._cache.update(sent)

    # Patches celery, checked with 5.7: its flush() discards what it has written.
    task_pool.flush = flush_unsent


def _requeue_unacknowledged(worker: Any) -> None:
    """Return the unacknowledged tasks to their queue, by kombu or by the broker."""
    channel = worker.consumer.task_consumer and worker.consumer.task_consumer.channel
    if not channel:
        return
    is_restored = getattr(channel, "do_restore", False)
    if is_restored and isinstance(worker.pool, Solo):
        # This thread is still reading the message whose task it runs, so the channel
        # must stay open.
        channel.qos.restore_unacked_once()
        return
    # Until the main thread has left its event loop, it reads from the channel, and
    # one of two threads that read the same answer waits for it forever.
    states: Any = bootsteps
    _wait_for(lambda: worker.blueprint.state != states.RUN, _LOOP_TIMEOUT)
    # Close the channel: otherwise Redis would answer a pending request for tasks with
    # the tasks that are put back. In a separate thread, because a full pool of gevent
    # blocks the greenlet that has read a message for it. Closing then waits for that
    # forever, and no request is pending.
    _thread.start_new_thread(channel.close, ())
    _wait_for(lambda: not channel.connection, _CLOSE_TIMEOUT)
    if is_restored and channel.connection:
        channel.qos.restore_unacked_once()


def _wait_for(is_true: Callable[[], bool], seconds: float) -> None:
    give_up_at = time.monotonic() + seconds
    while not is_true() and time.monotonic() < give_up_at:
        time.sleep(_TICK)
