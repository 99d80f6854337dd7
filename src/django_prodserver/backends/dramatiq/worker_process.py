"""A worker process of Dramatiq, with a heartbeat, a limited stop and a task log."""

from __future__ import annotations

import collections
import contextlib
import logging
import os
import signal
import time
from types import FrameType
from typing import Any

from dramatiq import Message, cli, worker
from dramatiq.broker import MessageProxy
from dramatiq.middleware import Middleware

from django_prodserver.backends.dramatiq.setup import (
    CONNECTED,
    DISCONNECTED,
    Setup,
    native_execvp,
)
from django_prodserver.logs import tasks
from django_prodserver.process import bootstrap
from django_prodserver.process.deadline import Deadline, kill_all, write_line

_native: Any = cli.worker_process


def run(args: Any, worker_id: int, *more: Any) -> None:
    """Run a worker process; Dramatiq's parent process calls this in a new one."""
    setup: Setup = args.prodserver
    standard: Any = os
    standard.execvp = native_execvp  # it is a fork of the parent
    # Set up Django with our logging, if the parent has not loaded the application.
    bootstrap.set_up_django()
    # Patches dramatiq, checked with 2.2: it logs through a pipe, in its own form.
    module: Any = cli
    if setup.has_task_log:
        module.setup_worker_logging = _keep_logging
    module.Worker = lambda broker, **options: ManagedWorker(
        setup, worker_id, broker, **options
    )
    _native(args, worker_id, *more)


def _keep_logging(args: Any, worker_id: int, pipe: Any) -> Any:
    """Keep logging and the standard streams, so that all lines have one format."""
    return logging.getLogger(f"dramatiq.WorkerProcess({worker_id})")


class Beats:
    """
    Report the state of a worker process's consumers in memory shared with the parent.

    Each consumer is a thread with its own loop, for one queue. The oldest beat counts.
    """

    def __init__(self, setup: Setup, worker_id: int) -> None:
        self._beats = setup.beats
        self._index = 2 * worker_id
        self._consumers: dict[str, tuple[float, bool]] = {}

    def note(self, queue: str, is_connected: bool) -> None:
        self._consumers[queue] = time.monotonic(), is_connected
        consumers = list(self._consumers.values())
        is_connected = all(connected for _, connected in consumers)
        self._beats[self._index] = min(at for at, _ in consumers)
        self._beats[self._index + 1] = CONNECTED if is_connected else DISCONNECTED


class ManagedWorker(worker.Worker):
    """Dramatiq's worker, which puts back tasks that do not finish in time."""

    def __init__(
        self, setup: Setup, worker_id: int, broker: Any, **options: Any
    ) -> None:
        super().__init__(broker, **options)
        self.has_task_log = setup.has_task_log
        self.beats = Beats(setup, worker_id)
        self.deadline = Deadline(setup.seconds, self._end_tasks)
        #: The messages that are being processed, by thread.
        self.processed: dict[Any, Any] = {}
        self._stop_handler: Any = None

    def start(self) -> None:
        manager = self

        class ManagedThread(_WorkerThread):
            worker = manager

        class ManagedConsumer(_ConsumerThread):
            worker = manager

        # Patches dramatiq, checked with 2.2: its loops have no hook, and a stop gives
        # back no task that is not finished.
        module: Any = worker
        module.WorkerThread, module.ConsumerThread = ManagedThread, ManagedConsumer
        if self.has_task_log:
            self.broker.add_middleware(_TaskLog())
        self._stop_handler = signal.getsignal(signal.SIGTERM)
        signal.signal(signal.SIGTERM, self._on_signal)
        signal.signal(signal.SIGUSR1, self._on_force)
        super().start()

    def stop(self, timeout: int = 0) -> None:
        self._stop_handler = None
        self.deadline.start()
        # Dramatiq's own time-out would leave the tasks for the next worker to find.
        super().stop(timeout=10**9)

    def _on_signal(self, signum: int, frame: FrameType | None) -> None:
        # The second one is the same stop: of the process group, and of the parent.
        handler, self._stop_handler = self._stop_handler, None
        if handler:
            self.deadline.start()
            handler(signum, frame)

    def _on_force(self, signum: int, frame: FrameType | None) -> None:
        self.deadline.start()
        self.deadline.now()

    def _end_tasks(self) -> None:
        """Put back what is being processed or was fetched, and exit."""
        messages = [*self.processed.values()]
        messages += [item.message for item in list(self.work_queue.queue)]
        by_queue = collections.defaultdict(list)
        for message in messages:
            by_queue[message.queue_name].append(message)
        for queue, own in by_queue.items():
            try:
                self.consumers[queue].requeue_messages(own)
            except Exception as error:  # of any class, depending on the broker
                write_line(f"messages could not be put back: {type(error).__name__}")
            else:
                names = ", ".join(each.message_id for each in own)
                write_line(f"put back into {queue}: {names}")
        kill_all()


class _WorkerThread(worker.WorkerThread):
    worker: ManagedWorker

    def process_message(self, message: Any) -> None:
        self.worker.processed[self] = message
        if self.worker.has_task_log:
            _log_failure_of(message)
            tasks.begin(message.message_id, message.actor_name, message.queue_name)
        try:
            super().process_message(message)
        finally:
            tasks.forget()
            self.worker.processed.pop(self, None)


class _ConsumerThread(worker.ConsumerThread):
    worker: ManagedWorker

    def run(self) -> None:
        super().run()
        # What Redis has handed out, and no thread has seen yet.
        cached = getattr(self.consumer, "message_cache", None)
        if cached:
            with contextlib.suppress(Exception):
                self.requeue_messages(
                    [MessageProxy(Message.decode(data)) for data in cached]
                )

    def handle_delayed_messages(self) -> None:
        # Called on each turn of the loop.
        self.worker.beats.note(self.queue_name, True)
        super().handle_delayed_messages()

    def close(self) -> None:
        if self.running:  # an error; it starts again
            self.worker.beats.note(self.queue_name, False)
        super().close()


def _log_failure_of(message: Any) -> None:
    """Note the failure before Dramatiq logs it."""
    # Patches dramatiq, checked with 2.2: its middleware is called later.
    stuff_exception = message.stuff_exception

    def note_and_stuff(error: BaseException) -> None:
        tasks.end("failure")
        stuff_exception(error)

    message.stuff_exception = note_and_stuff


class _TaskLog(Middleware):
    """Logs a line for each task that has succeeded; Dramatiq logs only failures."""

    def after_process_message(
        self, broker: Any, message: Any, *, result: Any = None, exception: Any = None
    ) -> None:
        if exception is None:
            tasks.end("success")
            logging.getLogger("dramatiq.worker").info("%s succeeded", message)
