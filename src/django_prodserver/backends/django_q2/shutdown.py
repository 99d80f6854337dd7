"""
The stop of a Django-Q2 cluster.

Natively it is made within a signal handler, where a second signal hangs it; one for
its whole process group ends the sentinel, and then it hangs too; and it waits for
all the tasks that the cluster has fetched, ``queue_limit`` of them and more.
"""

from __future__ import annotations

import contextlib
import os
import signal
import sys
import threading
import time
from types import FrameType
from typing import Any

from django_q import cluster
from django_q.management.commands import qcluster
from django_q.signals import post_execute_in_worker, pre_execute
from django_q.signing import SignedPackage

from django_prodserver.backends.django_q2.unfinished_tasks import Ledger
from django_prodserver.process.deadline import (
    UNFINISHED,
    Deadline,
    descendants,
    kill_all,
    write_line,
)
from django_prodserver.process.signals import StopSignal

# Seconds between two looks at whether a signal has come.
_TICK = 0.3
# Seconds for the results of what is finished to be saved, once the rest is ended.
_SAVING = 1.5


def install_shutdown_deadline(seconds: float) -> None:
    """Give each stop at most so many seconds."""
    made: list[_Cluster] = []
    native_init, native_handle = cluster.Cluster.__init__, qcluster.Command.handle

    def init(self: Any, *args: Any, **kwargs: Any) -> None:
        made[:] = [_Cluster(self, seconds)]
        native_init(self, *args, **kwargs)

    def handle(self: Any, *args: Any, **options: Any) -> None:
        native_handle(self, *args, **options)
        if not options.get("run_once"):
            made[0].wait()

    cluster.Cluster.__init__ = init
    cluster.Cluster.sig_handler = lambda self, *args: made[0].signalled(*args)
    qcluster.Command.handle = handle
    _leave_signals_to_the_parent()


class _Cluster:
    """The process that was started, and waits for its sentinel."""

    def __init__(self, native: Any, seconds: float) -> None:
        self._native = native
        self._pid = os.getpid()
        self._stop = StopSignal()
        self._deadline = Deadline(seconds, self._end)
        self._cutting = threading.Lock()
        self._is_put_back = False
        self._workers: list[int] = []
        self._ledger = Ledger()
        _write_down(self._ledger)

    def signalled(self, signum: int, frame: FrameType | None) -> None:
        if os.getpid() != self._pid:
            return  # in the sentinel, before it has handlers of its own
        self._stop.note()
        # What waits for the sentinel's start waits no longer.
        self._native.start_event = None
        self._deadline.start()
        if self._stop.force:
            self._deadline.now()

    def wait(self) -> None:
        """Return when all is over; exit if not all was finished."""
        sentinel = self._native.sentinel
        while sentinel.is_alive() and not self._stop.received:
            sentinel.join(_TICK)
        self._native.stop()
        if self._deadline.over:
            self._put_back()
            kill_all()
        self._ledger.remove()
        if sentinel.exitcode:
            # Natively 0, whatever has become of it.
            sys.exit(UNFINISHED)

    def _end(self) -> None:
        """End the tasks; the sentinel then saves the results of the others."""
        sentinel = self._native.sentinel.pid
        self._workers = descendants(sentinel)
        os.kill(sentinel, signal.SIGUSR1)
        # The main thread goes on when the sentinel has ended.
        time.sleep(_SAVING)
        self._workers += descendants(sentinel)
        for pid in [*descendants(sentinel), sentinel]:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        self._put_back()
        kill_all()

    def _put_back(self) -> None:
        # Both threads come here, and both end the process: the second waits.
        with self._cutting:
            if self._is_put_back:
                return
            broker = cluster.get_broker()
            for task in self._ledger.unfinished(self._workers):
                taken = task.pop("ack_id", None)
                broker.enqueue(SignedPackage.dumps(task))
                if taken is not None:
                    broker.acknowledge(taken)
                write_line(f"task {task['name']} is put back")
            self._ledger.remove()
            self._is_put_back = True


def _write_down(ledger: Ledger) -> None:
    native = cluster.pusher

    class Queue:
        """The pusher's way to the workers."""

        def __init__(self, queue: Any) -> None:
            self._queue = queue

        def put(self, task: dict[str, Any]) -> None:
            ledger.add(task)
            self._queue.put(task)

    def push(queue: Any, *args: Any) -> None:
        native(Queue(queue), *args)

    def begin(task: dict[str, Any], **kwargs: Any) -> None:
        ledger.begin(task)

    def end(task: dict[str, Any], **kwargs: Any) -> None:
        ledger.end(task)

    cluster.pusher = push
    pre_execute.connect(begin, weak=False)
    post_execute_in_worker.connect(end, weak=False)


def _leave_signals_to_the_parent() -> None:
    """Let a signal for the whole group end none of the children."""
    sentinel: Any = cluster.Sentinel
    native_start, native_spawn = sentinel.start, sentinel.spawn_process

    def start(self: Any) -> None:
        def end_the_tasks(signum: int, frame: FrameType | None) -> None:
            for process in self.pool:
                process.kill()

        # A handler, and not SIG_IGN, which what the tasks start would inherit.
        signal.signal(signal.SIGTERM, _nothing)
        signal.signal(signal.SIGUSR1, end_the_tasks)
        native_start(self)

    def spawn(self: Any, target: Any, *args: Any) -> Any:
        process = native_spawn(self, target, *args)
        # Its own way to end one that takes too long.
        process._popen.terminate = process._popen.kill
        return process

    sentinel.start, sentinel.spawn_process = start, spawn


def _nothing(signum: int, frame: FrameType | None) -> None:
    """Not even a wait is cut short by it."""
