"""
Limit the stop of a Django-Q2 cluster.

On its own, a cluster stops inside a signal handler, where a second signal makes it
hang. It also hangs after a signal to its whole process group, which ends the sentinel.
And it waits for all tasks that it has fetched, at least ``queue_limit``.
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

from django_prodserver.backends.unfinished_tasks import UnfinishedTasks
from django_prodserver.process.deadline import (
    UNFINISHED,
    Deadline,
    descendants,
    kill_all,
    write_line,
)
from django_prodserver.process.signals import StopSignal

# Seconds between two checks for a signal.
_TICK = 0.3
# Seconds to save the results of finished tasks, after the others have been ended.
_SAVING = 1.5


def install_shutdown_deadline(seconds: float) -> None:
    """Limit each stop to this many seconds."""
    handle = qcluster.Command.handle

    def handle_and_wait(self: Any, *args: Any, **options: Any) -> None:
        managed = ManagedCluster(seconds)
        qcluster.Cluster = lambda: managed
        handle(self, *args, **options)
        if not options.get("run_once"):
            managed.wait()

    # Patches django-q2, checked with 1.11: https://github.com/django-q2/django-q2/issues/346
    qcluster.Command.handle = handle_and_wait
    cluster.Sentinel = ManagedSentinel


class ManagedCluster(cluster.Cluster):  # type: ignore[misc]
    """The cluster in the process that was started, which waits for its sentinel."""

    def __init__(self, seconds: float) -> None:
        self._signal = StopSignal()
        self._deadline = Deadline(seconds, self._end_tasks)
        self._tasks = UnfinishedTasks()
        self._workers: list[int] = []
        self._put_back_lock = threading.Lock()
        self._is_put_back = False
        _track(self._tasks)
        super().__init__()

    def sig_handler(self, signum: int, frame: FrameType | None) -> None:
        """Record the stop signal; wait() then performs the stop."""
        if os.getpid() != self.pid:
            return  # in the sentinel, before it installs its own handlers
        self._signal.note()
        # This ends the wait for the sentinel's start.
        self.start_event = None
        self._deadline.start()
        if self._signal.force:
            self._deadline.now()

    def wait(self) -> None:
        """Wait until the cluster has stopped; exit if tasks are unfinished."""
        while self.sentinel.is_alive() and not self._signal.received:
            self.sentinel.join(_TICK)
        self.stop()
        if self._deadline.over:
            self._put_back()
            kill_all()
        self._tasks.remove()
        if self.sentinel.exitcode:
            # Django-Q2 itself exits with 0, whatever the sentinel's exit code.
            sys.exit(UNFINISHED)

    def _end_tasks(self) -> None:
        """End the running tasks; the sentinel then saves the other tasks' results."""
        sentinel = self.sentinel.pid
        self._workers = descendants(sentinel)
        os.kill(sentinel, signal.SIGUSR1)
        # The main thread continues when the sentinel has ended.
        time.sleep(_SAVING)
        self._workers += descendants(sentinel)
        for pid in [*descendants(sentinel), sentinel]:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        self._put_back()
        kill_all()

    def _put_back(self) -> None:
        """Put the unfinished tasks back into their queue, once."""
        # Both threads call this before they end the process; the second one waits.
        with self._put_back_lock:
            if self._is_put_back:
                return
            broker = cluster.get_broker()
            for packed in self._tasks.take(self._workers):
                task = SignedPackage.loads(packed.decode())
                taken = task.pop("ack_id", None)
                broker.enqueue(SignedPackage.dumps(task))
                if taken is not None:
                    broker.acknowledge(taken)
                write_line(f"task {task['name']} is put back")
            self._tasks.remove()
            self._is_put_back = True


class ManagedSentinel(cluster.Sentinel):  # type: ignore[misc]
    """The guard of the workers; a signal to the whole group ends none of them."""

    def start(self) -> None:
        # A handler instead of SIG_IGN, which the tasks' child processes would inherit.
        signal.signal(signal.SIGTERM, _ignore)
        signal.signal(signal.SIGUSR1, self._kill_workers)
        super().start()

    def spawn_process(self, target: Any, *args: Any) -> Any:
        process = super().spawn_process(target, *args)
        # The sentinel terminates a worker whose task takes too long. The worker ignores
        # SIGTERM, so it must be SIGKILL.
        # Patches django-q2, checked with 1.11: no issue about it is known.
        process._popen.terminate = process._popen.kill
        return process

    def _kill_workers(self, signum: int, frame: FrameType | None) -> None:
        for process in self.pool:
            process.kill()


def _ignore(signum: int, frame: FrameType | None) -> None:
    """Ignore a signal, without interrupting a wait."""


def _track(tasks: UnfinishedTasks) -> None:
    """Record each task from when it is taken from the broker until it is finished."""
    pusher = cluster.pusher

    class TrackedQueue:
        """The pusher's queue to the workers, which records each task."""

        def __init__(self, queue: Any) -> None:
            self._queue = queue

        def put(self, task: dict[str, Any]) -> None:
            tasks.add(task["id"], SignedPackage.dumps(task).encode())
            self._queue.put(task)

    def push(queue: Any, *args: Any) -> None:
        pusher(TrackedQueue(queue), *args)

    def begin(task: dict[str, Any], **kwargs: Any) -> None:
        tasks.begin(task["id"])

    def end(task: dict[str, Any], **kwargs: Any) -> None:
        tasks.end(task["id"])

    # Patches django-q2, checked with 1.11: a stop gives no task back.
    cluster.pusher = push
    pre_execute.connect(begin, weak=False)
    post_execute_in_worker.connect(end, weak=False)
