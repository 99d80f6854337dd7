"""
Limit the stop of Huey's consumer, and put unfinished tasks back.

On its own, the consumer finishes its tasks on one of SIGTERM and SIGINT, and
interrupts them on the other one and when its time is over. An interrupted task is
lost, because a storage forgets a task once it is taken.
"""

from __future__ import annotations

import contextlib
import os
import signal
import threading
from types import FrameType
from typing import Any

from huey.consumer import Consumer

from django_prodserver.backends.unfinished_tasks import UnfinishedTasks
from django_prodserver.health.heartbeat import beat
from django_prodserver.process.deadline import (
    Deadline,
    descendants,
    kill_all,
    write_line,
)
from django_prodserver.process.signals import STOP_SIGNALS, StopSignal


def install_shutdown_deadline(seconds: float) -> None:
    """Limit each stop to this many seconds."""
    consumer: Any = Consumer
    get_environment, handle_signal = consumer.get_environment, consumer._handle_signal
    set_signal_handlers, run = consumer._set_signal_handlers, consumer.run
    # An AttributeError tells the caller that this release works differently.
    _ = consumer._interrupt_workers
    stops: dict[Any, Stop] = {}

    def get_environment_that_ignores_stops(self: Any, worker_type: str) -> Any:
        environment = get_environment(self, worker_type)
        init_child = environment.init_child

        def init_child_and_ignore_stops(process: Any) -> None:
            init_child(process)
            if environment.forks:
                _ignore_stop_signals()

        environment.init_child = init_child_and_ignore_stops
        return environment

    def run_and_finish(self: Any) -> None:
        stops[self] = Stop(self.huey, seconds)
        # On its own, it sets them once its workers run.
        self._set_signal_handlers()
        try:
            run(self)
        finally:
            stops[self].finish()

    def set_all_signal_handlers(self: Any) -> None:
        for signum in STOP_SIGNALS:
            self._signal_actions[signum] = False, True  # no restart, and graceful
        set_signal_handlers(self)

    def handle_or_stop(self: Any, signum: int, frame: FrameType | None) -> None:
        if os.getpid() != stops[self].pid:
            return  # in a worker, before it sets its own handlers
        beat("draining")
        if signum not in STOP_SIGNALS:
            handle_signal(self, signum, frame)  # a restart
            return
        self._signum, self._restart, self._graceful = signum, False, True
        stops[self].begin()

    def end_tasks(self: Any) -> None:
        stops[self].end_tasks()

    # Patches huey, checked with 3.5: an interrupted task is lost.
    consumer.get_environment = get_environment_that_ignores_stops
    consumer.run, consumer._interrupt_workers = run_and_finish, end_tasks
    consumer._set_signal_handlers = set_all_signal_handlers
    consumer._handle_signal = handle_or_stop


class Stop:
    """The stop of a consumer, and the tasks that it may have to put back."""

    def __init__(self, huey: Any, seconds: float) -> None:
        self.pid = os.getpid()
        self._huey = huey
        self._signal = StopSignal()
        self._deadline = Deadline(seconds, self.end_tasks)
        self._tasks = UnfinishedTasks()
        self._lock = threading.Lock()
        _track(huey, self._tasks)

    def begin(self) -> None:
        """Start the clock at the first signal, and end it at the second."""
        self._signal.note()
        self._deadline.start()
        if self._signal.force:
            self._deadline.now()

    def end_tasks(self) -> None:
        """End the workers, put their tasks back, and exit."""
        # The deadline's thread and the main thread may both call it.
        with self._lock:
            workers = descendants(os.getpid())
            for pid in workers:
                with contextlib.suppress(OSError):
                    os.kill(pid, signal.SIGKILL)  # never on Windows, where none is
            for packed in self._tasks.take([os.getpid(), *workers]):
                task = self._huey.deserialize_task(packed)
                self._huey.storage.enqueue(packed, task.priority)
                write_line(f"task {task.id} is put back")
            self._tasks.remove()
            kill_all()

    def finish(self) -> None:
        """Clean up after the consumer's run, or let the deadline's thread do so."""
        if self._deadline.over:
            self.end_tasks()
        self._tasks.remove()


def _track(huey: Any, tasks: UnfinishedTasks) -> None:
    """Record each task from when it is taken from the storage until it is finished."""
    dequeue, execute = huey.dequeue, huey.execute

    def dequeue_and_add() -> Any:
        task = dequeue()
        if task is not None:
            tasks.add(task.id, huey.serialize_task(task))
            tasks.begin(task.id)
        return task

    def execute_and_end(task: Any, *args: Any, **kwargs: Any) -> Any:
        try:
            return execute(task, *args, **kwargs)
        finally:
            tasks.end(task.id)

    # Patches huey, checked with 3.5: no storage keeps a task that is taken.
    huey.dequeue, huey.execute = dequeue_and_add, execute_and_end


def _ignore_stop_signals() -> None:
    """Let a signal to the whole process group end no worker: the consumer does."""
    for signum in STOP_SIGNALS:
        # Not SIG_IGN, which the tasks' child processes would inherit.
        signal.signal(signum, _ignore)


def _ignore(signum: int, frame: FrameType | None) -> None:
    """Ignore a signal, without interrupting a wait."""
