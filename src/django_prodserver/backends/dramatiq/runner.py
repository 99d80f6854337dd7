"""
Run Dramatiq's own command in this process, with a heartbeat and a limited stop.

On its own, a stop that reaches the whole process group kills the running tasks, and
a task that is not finished in time comes back only when Dramatiq misses the worker,
a minute later.
"""

from __future__ import annotations

import os
import signal
import sys
import time
from collections.abc import Sequence
from multiprocessing import active_children, process
from multiprocessing.sharedctypes import RawArray
from types import FrameType
from typing import Any, NoReturn

from django_prodserver.backends.dramatiq.setup import (
    DISCONNECTED,
    STARTING,
    Setup,
    native_execvp,
)
from django_prodserver.health import heartbeat
from django_prodserver.process import fork_safety
from django_prodserver.process.deadline import Deadline
from django_prodserver.process.signals import StopSignal

# Seconds after which a worker process does not count as running its loop.
_MAX_AGE = 5.0


def replace_exec(setup: Setup) -> None:
    """Make ``rundramatiq`` run Dramatiq with us, where it would become that command."""
    # Patches django-dramatiq, checked with 0.15: it replaces the process.
    module: Any = os

    def run_or_exec(file: str, words: list[str]) -> NoReturn:
        module.execvp = native_execvp
        if file.endswith("gevent"):
            native_execvp(file, list(words))
        if setup.is_preloaded:
            sys.exit(run(setup, words[1:]))
        _exec(words[1:])

    module.execvp = run_or_exec


def _exec(words: Sequence[str]) -> NoReturn:
    """Become a process that runs Dramatiq with us, without the application."""
    # It would end with this program, and be a zombie of the next one.
    fork_safety.stop_idle_resource_tracker(())
    native_execvp(sys.executable, [sys.executable, "-m", __spec__.name, *words])


def main() -> NoReturn:
    """Run Dramatiq with us, as the context of this process describes it."""
    from django_prodserver.backends import loader
    from django_prodserver.config import processes
    from django_prodserver.config.context import Context
    from django_prodserver.process import bootstrap, project

    context = Context.from_environment()
    assert context  # noqa: S101  # it is in the environment of _exec()
    project.install_settings_importer()
    bootstrap.prepare(context)
    backend: Any = loader.load(processes.entry(context.process))
    loader.install_in_worker(backend)
    standard: Any = os
    standard.execvp = native_execvp
    sys.exit(run(backend.setup, sys.argv[1:]))


def run(setup: Setup, words: Sequence[str]) -> int:
    """Run Dramatiq's command; return its exit code."""
    from dramatiq import cli

    from django_prodserver.backends.dramatiq import worker_process

    # Patches dramatiq, checked with 2.2: its command has no hooks.
    module: Any = cli
    args = module.make_argument_parser().parse_args(list(words))
    setup.beats = RawArray("d", 2 * args.processes)
    args.prodserver = setup
    args.skip_logging = args.skip_logging or setup.has_task_log
    module.worker_process = worker_process.run
    parent = _Parent(setup)
    native = module.try_unblock_signals

    def handle_and_unblock() -> None:
        # Dramatiq has installed its own handlers by now, and a signal waits.
        parent.handle_signals()
        native()

    module.try_unblock_signals = handle_and_unblock
    # Dramatiq's answer to SIGHUP is to start itself again.
    standard: Any = os
    standard.execvp = lambda file, argv: _exec(words)
    parent.join_loop()
    return int(module.main(args))


class _Parent:
    """The process that was started, whose loop waits for the worker processes."""

    def __init__(self, setup: Setup) -> None:
        self._setup = setup
        self._pid = os.getpid()
        self._signal = StopSignal()
        self._deadline = Deadline(setup.seconds, lambda: None)
        self._handlers: dict[int, Any] = {}

    def join_loop(self) -> None:
        """Join the loop that waits for each worker process, a second each."""
        # Patches dramatiq, checked with 2.2: its loop has no hook.
        base: Any = process.BaseProcess
        join = base.join

        def join_and_beat(child: Any, timeout: float | None = None) -> None:
            join(child, timeout)
            if os.getpid() == self._pid:
                self._beat()

        base.join = join_and_beat

    def handle_signals(self) -> None:
        """Handle the stop signals in front of Dramatiq's own handlers."""
        if os.getpid() != self._pid:
            return  # a worker process calls this, too
        for signum in (signal.SIGINT, signal.SIGTERM):
            self._handlers[signum] = signal.getsignal(signum)
            signal.signal(signum, self._on_signal)

    def _on_signal(self, signum: int, frame: FrameType | None) -> None:
        is_first = not self._signal.received
        self._signal.note()
        if is_first:
            heartbeat.beat("draining")
            self._deadline.start()
            self._handlers[signum](signum, frame)
        elif self._signal.force:
            for child in active_children():
                os.kill(child.pid or 0, signal.SIGUSR1)

    def _beat(self) -> None:
        """Beat if the loop of every worker process runs."""
        if not self._setup.has_heartbeat:
            return
        times, states = self._setup.beats[::2], self._setup.beats[1::2]
        if self._signal.received:
            heartbeat.beat("draining")
        elif STARTING in states:
            heartbeat.beat("starting")
        elif DISCONNECTED in states:
            heartbeat.beat("starting", "no connection to the broker")
        elif time.monotonic() - min(times) < _MAX_AGE:
            heartbeat.beat("ready")


if __name__ == "__main__":
    main()
