"""
waitress-serve, with a stop that waits for the requests it holds.

``waitress-serve`` knows no SIGTERM: it drops those requests and ends with -15,
and as PID 1 it goes on serving (Pylons/waitress#198, open since 2018).
"""

from __future__ import annotations

import argparse
import contextlib
import functools
import logging
import math
import os
import signal
import sys
import threading
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from types import FrameType
from typing import Any, NoReturn
from wsgiref.types import WSGIApplication

from waitress import create_server, wasyncore
from waitress.channel import HTTPChannel
from waitress.runner import run
from waitress.server import BaseWSGIServer
from waitress.task import WSGITask
from waitress.trigger import trigger
from waitress.utilities import logger

from django_prodserver.config.bind import join_host_port
from django_prodserver.process.signals import StopSignal

NAME = "prodserver-waitress"
HELP = """\
Stop options:

    --graceful-timeout=SECONDS
        How long requests in flight may take after SIGTERM or SIGINT, default
        is 25. Those that take longer are cut, and the exit code is 1.

"""

# Seconds a connection must have been quiet for the stop to close it, so that
# what a client sent just before the signal still arrives; also how often the
# stop looks.
_QUIET = 0.1
# The same while half a request has come. The client may be slow: a byte is
# enough to start anew, and three retransmissions of a lost packet fit in.
_STALLED = 5.0


def main(argv: Sequence[str] | None = None) -> int:
    """
    Serve a WSGI application until SIGTERM or SIGINT, then finish what is there.

    At the signal no connection is taken any more, idle ones are closed, and
    every request of which a byte has come is answered, its connection closed
    after it. Half a request, whose client sends nothing for 5 s, is given up.

    Args:
        argv: The words after the command's name, as ``waitress-serve`` takes
            them, and ``--graceful-timeout=SECONDS``; ``sys.argv[1:]`` if None.

    Returns:
        The exit code of what did not come to serving: 0 for ``--help``, 1 for
        a wrong option or application.

    Raises:
        SystemExit: It served, and stopped: 0, or 1 if requests were cut; or it
            could not listen: 1. A second signal ends the process at once, with
            128 + its number.
    """
    if os.getpid() == 1:
        # The kernel spares PID 1 a signal it has no handler for, and loading
        # the application may take long.
        signal.signal(signal.SIGTERM, _end)
    parser = argparse.ArgumentParser(
        add_help=False, allow_abbrev=False, exit_on_error=False
    )
    # Kubernetes kills after 30 s.
    parser.add_argument("--graceful-timeout", type=_seconds, default=25.0)
    try:
        ours, native = parser.parse_known_args(argv)
    except argparse.ArgumentError as error:
        sys.exit(f"{NAME}: {error}")
    serve = functools.partial(_serve, ours.graceful_timeout)
    code: int = run([NAME, *native], _serve=serve)
    if code == 0:
        # _serve never returns, so this was --help.
        print(HELP)
    return code


class _Task(WSGITask):  # type: ignore[misc]
    def build_response_header(self) -> bytes:
        # A client that keeps its connection may not send requests for ever. Not
        # while others of its are queued: waitress forgets those behind a close.
        if not self.channel.server.accepting and len(self.channel.requests) < 2:
            self.request.headers["CONNECTION"] = "close"
        header: bytes = super().build_response_header()
        return header


class _Channel(HTTPChannel):  # type: ignore[misc]
    task_class = _Task

    def unfinished(self) -> int:
        """Return how many requests are read in part, or not answered in full."""
        requests = len(self.requests) + (self.request is not None)
        return requests or int(self.total_outbufs_len > 0)

    def is_given_up(self) -> bool:
        if self.requests or self.total_outbufs_len:
            return False
        patience = _QUIET if self.request is None else _STALLED
        return bool(time.time() - self.last_activity > patience)


class _Stop(StopSignal):
    """The first SIGTERM or SIGINT; a second one ends the process."""

    def __init__(self, sockets: dict[int, Any]) -> None:
        super().__init__()
        self.signum = 0
        self.since = 0.0
        # Not pull_trigger() of the server's in the handler: the handler only
        # runs when the poll is over if another thread got the signal.
        wake = trigger(sockets)
        os.set_blocking(wake.trigger, False)
        signal.set_wakeup_fd(wake.trigger, warn_on_full_buffer=False)
        self.listen()

    def _on_signal(self, signum: int, frame: FrameType | None) -> None:
        if not self.signum:
            self.signum, self.since = signum, time.monotonic()
        self.note()
        if self.force:
            _end(signum, frame)


def _serve(seconds: float, app: WSGIApplication, /, **options: Any) -> NoReturn:
    # As waitress.serve(), from here to the loop.
    logging.basicConfig()
    sockets: dict[int, Any] = {}
    stop = _Stop(sockets)
    try:
        server = create_server(app, map=sockets, **options)
    except OSError as error:
        address = _listeners(sockets)[-1].addr or error.filename
        sys.exit(f"{NAME}: cannot listen on {_text(address)}: {error.strerror}")
    adj = server.adj
    # It counts what is in the map, where the trigger of _Stop is one more.
    adj.connection_limit += 1
    for listener in _listeners(sockets):
        listener.channel_class = _Channel
    remove_file = _socket_file(adj.unix_socket)
    server.print_listen("Serving on http://{}:{}")
    poll = functools.partial(
        wasyncore.loop, use_poll=adj.asyncore_use_poll, map=sockets, count=1
    )
    while not stop.signum:
        poll(timeout=adj.asyncore_loop_timeout)

    name = signal.Signals(stop.signum).name
    deadline = stop.since + seconds
    # Nothing is read behind a request that may be answered with "close".
    adj.channel_request_lookahead = 0
    remove_file()
    for listener in _listeners(sockets):
        _close(listener)
    logger.info("%s: finishing what is in flight, at most %g s", name, seconds)
    cut = _drain(sockets, server.task_dispatcher, poll, deadline)
    # Not waitress' logger: a LOGGING without "disable_existing_loggers": False
    # has silenced that one when Django was loaded.
    log = logging.getLogger(__name__)
    if cut:
        why = f"not finished {seconds:g} s after {name} (--graceful-timeout)"
        log.warning("%d request(s) cut: %s", cut, why)
    _bound_the_exit(max(deadline - time.monotonic(), 1), log)
    sys.exit(1 if cut else 0)


def _close(listener: Any) -> None:
    # The kernel resets what it has connected and waitress has not accepted.
    # readable() holds the connection limit.
    before = -1
    while listener.readable() and before < len(listener.active_channels):
        before = len(listener.active_channels)
        listener.handle_accept()
    # Not its own close(), which closes the trigger the threads wake us with.
    wasyncore.dispatcher.close(listener)


def _drain(
    sockets: dict[int, Any], threads: Any, poll: Callable[..., None], deadline: float
) -> int:
    """Return how many requests the deadline has cut."""
    # The threads too: the connection of a request that runs may be gone.
    while _channels(sockets) or threads.active_count:
        left = deadline - time.monotonic()
        if left <= 0:
            break
        poll(timeout=min(_QUIET, left))
        for channel in _channels(sockets):
            if channel.is_given_up():
                channel.handle_close()
    unfinished = sum(channel.unfinished() for channel in _channels(sockets))
    return max(unfinished, int(threads.active_count))


def _bound_the_exit(seconds: float, log: logging.Logger) -> None:
    # Python waits for the application's threads, and for atexit, for ever.
    def leave() -> None:
        main = threading.main_thread()
        left = [t.name for t in threading.enumerate() if not t.daemon and t != main]
        log.warning("the application holds the exit, threads: %s", left)
        os._exit(1)

    timer = threading.Timer(seconds, leave)
    timer.daemon = True
    timer.start()


def _socket_file(path: str | None) -> Callable[[], None]:
    if path is None:
        return lambda: None
    # The application may change the directory while it serves.
    file = Path(path).absolute()
    ours = file.stat()

    def remove() -> None:
        # The file may be another server's already, which replaces this one.
        with contextlib.suppress(OSError):
            if os.path.samestat(ours, file.stat()):
                file.unlink()

    return remove


def _listeners(sockets: dict[int, Any]) -> list[Any]:
    return [s for s in sockets.values() if isinstance(s, BaseWSGIServer)]


def _channels(sockets: dict[int, Any]) -> list[_Channel]:
    return [s for s in list(sockets.values()) if isinstance(s, _Channel)]


def _text(address: Any) -> str:
    if not isinstance(address, tuple):
        return str(address)
    return join_host_port(*address[:2])


def _seconds(text: str) -> float:
    with contextlib.suppress(ValueError):
        if 0 <= (seconds := float(text)) < math.inf:
            return seconds
    raise argparse.ArgumentTypeError(f"{text!r} is not a number of seconds.")


def _end(signum: int, frame: FrameType | None) -> NoReturn:
    # Not SystemExit, which application code and its threads can hold up.
    os._exit(128 + signum)
