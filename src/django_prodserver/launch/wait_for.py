"""Wait for the dependencies in ``WAIT_FOR``."""

from __future__ import annotations

import os
import select
import signal
import sys
import threading
import time
import traceback
import warnings
from collections.abc import Iterable
from types import FrameType
from typing import NoReturn

from django_prodserver.backends.base import Backend
from django_prodserver.health import heartbeat
from django_prodserver.launch import dependencies
from django_prodserver.launch.dependencies import Check
from django_prodserver.process import fork_repair
from django_prodserver.process.retry import Backoff
from django_prodserver.process.signals import STOP_SIGNALS

# Seconds that one attempt may take: TCP sends an unanswered packet again after 1, 3
# and 7 s, and a resolver gives each of its servers 5 s.
_ATTEMPT = 10.0
# The same, near the deadline.
_LAST_ATTEMPT = 5.0
# Seconds between two heartbeats during an attempt.
_TICK = 0.5
# Characters of a reason.
_MAX_REASON = 1000
# Bytes, which hold a reason in UTF-8 and its newline.
_MAX_BYTES = 4096
_CRASHED = "the process that checked it was killed"


def wait(names: Iterable[str], backend: Backend) -> None:
    """
    Wait until all named dependencies are available; Django must be set up.

    SIGTERM and SIGINT end the process at once, with exit code 143 and 130.

    Args:
        names: The names in ``WAIT_FOR``.
        backend: The backend of the process, which knows its broker.

    Raises:
        UnavailableError: Something was not available in time.
    """
    # The children must not share the application's open connections.
    fork_repair.close_database_connections()
    waiter = _Waiter()
    handlers = {signum: signal.signal(signum, waiter.exit) for signum in STOP_SIGNALS}
    started = time.monotonic()
    for name in names:
        backoff = Backoff(name, started)
        check = dependencies.prepare(name, backend)
        while reason := waiter.attempt(check, backoff):
            backoff.wait(reason)
        backoff.succeeded()
    heartbeat.beat("starting")
    for signum, handler in handlers.items():
        signal.signal(signum, handler)


class _Waiter:
    """Runs each check in a child process."""

    def __init__(self) -> None:
        self._child = 0

    def attempt(self, check: Check, backoff: Backoff) -> str:
        """
        Return why the check fails; "" if it passes.

        It runs in a child, which can be killed: nothing else limits a resolver, and
        few clients have a timeout for everything they do. Also, what the child opens
        does not prevent this process from preloading the application.
        """
        started = time.monotonic()
        limit = max(min(_ATTEMPT, backoff.deadline - started), _LAST_ATTEMPT)
        if not hasattr(os, "fork"):
            return _attempt_in_thread(check, backoff, limit)
        reader, writer = os.pipe()
        sys.stdout.flush()
        sys.stderr.flush()
        with warnings.catch_warnings():
            # The application may have threads by now. If the child hangs on one of
            # their locks, it is killed and the next child tries again.
            warnings.simplefilter("ignore", DeprecationWarning)
            self._child = os.fork()
        if not self._child:
            _run_in_child(check, writer)
        os.close(writer)
        try:
            while True:
                heartbeat.beat("starting", f"waiting for {backoff.what}")
                if select.select([reader], (), (), _TICK)[0]:
                    found = os.read(reader, _MAX_BYTES).decode(errors="replace")
                    # Nothing: a signal has ended the child, such as a client
                    # library's crash or the kernel's out-of-memory killer.
                    return found.removesuffix("\n") if found else _CRASHED
                elapsed = time.monotonic() - started
                if elapsed > limit:
                    return f"no answer within {limit:.0f} s"
                if elapsed > 1:
                    backoff.report()
        finally:
            os.close(reader)
            os.kill(self._child, signal.SIGKILL)
            os.waitpid(self._child, 0)
            self._child = 0

    def exit(self, signum: int, frame: FrameType | None) -> NoReturn:
        """Kill the child, and exit with the signal's code; a signal handler."""
        if self._child:
            os.kill(self._child, signal.SIGKILL)
        # Not the signal's default action: the kernel ignores it for PID 1.
        os._exit(128 + signum)


def _attempt_in_thread(check: Check, backoff: Backoff, limit: float) -> str:
    """Do the same on Windows; a check that hangs keeps running."""
    reasons: list[str] = []

    def find_problem() -> None:
        try:
            reasons.append(dependencies.find_problem(check))
        finally:
            fork_repair.close_database_connections()

    thread = threading.Thread(target=find_problem, name="wait", daemon=True)
    thread.start()
    started = time.monotonic()
    while thread.is_alive() and time.monotonic() - started < limit:
        heartbeat.beat("starting", f"waiting for {backoff.what}")
        thread.join(_TICK)
    if thread.is_alive():
        return f"no answer within {limit:.0f} s"
    return reasons[0] if reasons else "the check failed"


def _run_in_child(check: Check, writer: int) -> NoReturn:
    """Write a line to the pipe, why the check fails, and exit."""
    # The alarm ends the child if its parent is killed.
    signal.signal(signal.SIGALRM, signal.SIG_DFL)
    signal.alarm(2 * int(_ATTEMPT))
    reason = "the check failed"
    try:
        for signum in STOP_SIGNALS:
            signal.signal(signum, signal.SIG_DFL)
        reason = dependencies.find_problem(check)
    except BaseException:
        traceback.print_exc()
    finally:
        # An empty line: the check passes.
        os.write(writer, f"{reason[:_MAX_REASON]}\n".encode(errors="replace"))
        os._exit(0)
