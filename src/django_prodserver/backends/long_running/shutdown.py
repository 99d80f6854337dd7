"""
Stop a management command on SIGTERM as on Ctrl-C, and limit the stop.

On its own, SIGTERM ends Python at once: no ``finally`` and no ``atexit`` runs. A
command that handles SIGTERM itself goes on doing so; it is only limited.
"""

from __future__ import annotations

import os
import signal
import sys
import threading
from types import FrameType
from typing import Any

from django.core.management.base import BaseCommand

from django_prodserver.health import heartbeat
from django_prodserver.process.deadline import Deadline, kill_all, write_line
from django_prodserver.process.signals import STOP_SIGNALS, StopSignal


def install_shutdown_deadline(seconds: float) -> None:
    """Limit each stop of the command to this many seconds."""
    # Patches django, checked with 6.1: a command has no hook around its run.
    command: Any = BaseCommand
    run_from_argv = command.run_from_argv

    def run_and_stop(self: BaseCommand, argv: list[str]) -> None:
        command.run_from_argv = run_from_argv
        stop = StopHandler(seconds)
        stop.listen()
        try:
            run_from_argv(self, argv)
        except KeyboardInterrupt:
            # A stop is not a failure: no traceback, and exit code 0.
            if not stop.signal.received:
                raise

    command.run_from_argv = run_and_stop


class StopHandler:
    """
    Handles the stop signals in front of the command's own handlers.

    ``signal.signal()`` and ``signal.getsignal()`` are replaced, so that the command
    sets and finds its own handlers, as without us.
    """

    def __init__(self, seconds: float) -> None:
        self.signal = StopSignal()
        self._deadline = Deadline(seconds, kill_all)
        self._set, self._get = signal.signal, signal.getsignal
        #: What the command has set, or found.
        self._handlers: dict[int, Any] = {}

    def listen(self) -> None:
        for signum in STOP_SIGNALS:
            handler = self._get(signum)
            if handler is not signal.SIG_IGN:  # by nohup, or a shell's "&"
                self._handlers[signum] = handler
                self._set(signum, self._on_signal)
        module: Any = signal
        module.signal, module.getsignal = self._set_handler, self._get_handler
        if sys.platform != "win32":
            self._restore_in_forks()

    def _on_signal(self, signum: int, frame: FrameType | None) -> None:
        is_first = not self.signal.received
        self.signal.note()
        heartbeat.beat("draining")
        self._deadline.start()
        handler = self._handlers[signum]
        if handler in (signal.SIG_DFL, signal.default_int_handler):
            if self.signal.force:
                write_line("second signal, exiting at once")
                kill_all()
            if not is_first:
                return  # the same stop, sent to the process and to its group
        if handler is signal.SIG_DFL:
            # asyncio.run() has a handler of SIGINT, which cancels the main task.
            signum, handler = signal.SIGINT, self._handlers.get(signal.SIGINT)
            if not callable(handler):
                handler = signal.default_int_handler
        if callable(handler):
            handler(signum, frame)

    def _set_handler(self, signum: int, handler: Any) -> Any:
        before = self._set(signum, handler)
        if signum in self._handlers:
            self._set(signum, self._on_signal)
            before, self._handlers[signum] = self._handlers[signum], handler
        return before

    def _get_handler(self, signum: int) -> Any:
        if signum in self._handlers:
            return self._handlers[signum]
        return self._get(signum)

    def _restore_in_forks(self) -> None:
        """Give forked children the command's handlers: a stop of one is not ours."""
        saved = threading.local()

        # A signal between the fork and the reset of the handlers stays pending.
        def block() -> None:
            saved.mask = signal.pthread_sigmask(signal.SIG_BLOCK, STOP_SIGNALS)

        def unblock() -> None:
            signal.pthread_sigmask(signal.SIG_SETMASK, saved.mask)

        def restore() -> None:
            for signum, handler in self._handlers.items():
                self._set(signum, handler)
            module: Any = signal
            module.signal, module.getsignal = self._set, self._get
            self._handlers.clear()
            unblock()

        os.register_at_fork(
            before=block, after_in_parent=unblock, after_in_child=restore
        )
