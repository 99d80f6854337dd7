"""``WAIT_FOR``: what must be there before a process starts."""

from __future__ import annotations

import os
import select
import signal
import sys
import time
import traceback
import warnings
from collections.abc import Iterable
from types import FrameType
from typing import NoReturn

from django_prodserver.backends.base import Backend
from django_prodserver.health import heartbeat
from django_prodserver.launch import dependencies
from django_prodserver.process.retry import Backoff
from django_prodserver.process.signals import STOP_SIGNALS

# Seconds that one look may take: a packet that nobody answers is sent again after
# 1, 3 and 7 s, and a resolver gives each of its servers 5 s.
_LOOK = 10.0
# The same, when time is nearly up.
_LAST_LOOK = 5.0
_TICK = 0.5
_LIMIT = 4096

_looking: list[int] = []


def wait(names: Iterable[str], backend: Backend) -> None:
    """
    Return when all that is named is there; Django is set up.

    SIGTERM and SIGINT end the process at once, with 143 and 130.

    Args:
        names: Of ``WAIT_FOR``.
        backend: The backend of the process, which knows its broker.

    Raises:
        UnavailableError: It was not there in time.
    """
    from django.db import connections

    # What the application has opened by now is not for the children.
    connections.close_all()
    before = {signum: signal.signal(signum, _leave) for signum in STOP_SIGNALS}
    began = time.monotonic()
    for name in names:
        backoff = Backoff(name, began)
        prepared = dependencies.prepare(name, backend)
        while reason := _look(prepared, backoff):
            backoff.wait(reason)
        backoff.succeeded()
    heartbeat.beat("starting")
    for signum, handler in before.items():
        signal.signal(signum, handler)


def _look(prepared: dependencies.Look, backoff: Backoff) -> str:
    """
    Return why it is not there; "" if it is.

    A child looks, which can be ended: nothing else bounds a resolver, and few
    clients have a time-out for all of what they do. What it opens is not open
    here, so the application can still be loaded for workers to share.
    """
    began = time.monotonic()
    limit = max(min(_LOOK, backoff.deadline - began), _LAST_LOOK)
    reader, writer = os.pipe()
    sys.stdout.flush()
    sys.stderr.flush()
    with warnings.catch_warnings():
        # The application may have threads by now. The child is ended whatever
        # they hold, and another one looks.
        warnings.simplefilter("ignore", DeprecationWarning)
        child = os.fork()
    if not child:
        _answer(prepared, writer)
    _looking.append(child)
    os.close(writer)
    try:
        while True:
            heartbeat.beat("starting", f"waiting for {backoff.what}")
            if select.select([reader], (), (), _TICK)[0]:
                return os.read(reader, _LIMIT).decode(errors="replace")
            took = time.monotonic() - began
            if took > limit:
                return f"no answer within {limit:.0f} s"
            if took > 1:
                backoff.report("no answer yet")
    finally:
        os.close(reader)
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)
        _looking.remove(child)


def _answer(prepared: dependencies.Look, writer: int) -> NoReturn:
    """Write why it is not there, and end; in the child."""
    # Its end, should its parent be killed.
    signal.signal(signal.SIGALRM, signal.SIG_DFL)
    signal.alarm(2 * int(_LOOK))
    reason = "it cannot be looked for"
    try:
        for signum in STOP_SIGNALS:
            signal.signal(signum, signal.SIG_DFL)
        reason = dependencies.problem(prepared)
    except BaseException:
        traceback.print_exc()
    finally:
        os.write(writer, reason.encode(errors="replace")[:_LIMIT])
        os._exit(0)


def _leave(signum: int, frame: FrameType | None) -> NoReturn:
    for child in _looking:
        os.kill(child, signal.SIGKILL)
    # Not the signal's own action, of which PID 1 has none.
    os._exit(128 + signum)
