"""
Run waitress-serve, with a stop that waits for the requests in progress.

``waitress-serve`` does not handle SIGTERM: it drops those requests and ends with
-15, and as PID 1 it goes on serving (Pylons/waitress#198, open since 2018).
"""

from __future__ import annotations

import argparse
import contextlib
import functools
import logging
import math
import os
import signal
import socket
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
from django_prodserver.process import pace
from django_prodserver.process.signals import StopSignal

NAME = "prodserver-waitress"
HELP = """\
Stop options:

    --graceful-timeout=SECONDS
        How long the requests in progress may take after SIGTERM or SIGINT,
        default is 25. Longer ones are cut, and the exit code is 1.

"""

# Seconds without data after which the stop closes an idle connection, so that a
# request sent just before the signal still arrives. The stop polls as often.
_IDLE_SECONDS = 0.1
# The same for a connection with half a request, whose client must also keep the pace
# of ``process.pace``. Three retransmissions of a lost packet fit into it.
_STALLED_SECONDS = 5.0


def main(argv: Sequence[str] | None = None) -> int:
    """
    Serve a WSGI application until SIGTERM or SIGINT, then finish its requests.

    After the signal it accepts no connections, closes idle ones, and finishes every
    request that is arriving or in progress, then closes its connection. It drops a
    partial request if its client sends nothing for 5 s, or next to nothing.

    Args:
        argv: The words after the command's name, as ``waitress-serve`` takes
            them, and ``--graceful-timeout=SECONDS``; ``sys.argv[1:]`` if None.

    Returns:
        The exit code if it never served: 0 for ``--help``, 1 for a wrong option
        or application.

    Raises:
        SystemExit: It served, and stopped: 0, or 1 if requests were cut; or it
            could not listen: 1. A second signal ends the process at once, with
            128 + its number.
    """
    if os.getpid() == 1:
        # The kernel does not deliver a signal without a handler to PID 1, and
        # loading the application may take long.
        signal.signal(signal.SIGTERM, _end)
    parser = argparse.ArgumentParser(
        add_help=False, allow_abbrev=False, exit_on_error=False
    )
    # Kubernetes kills after 30 s.
    parser.add_argument("--graceful-timeout", type=_seconds, default=25.0)
    try:
        options, native_words = parser.parse_known_args(argv)
    except argparse.ArgumentError as error:
        sys.exit(f"{NAME}: {error}")
    serve = functools.partial(_serve, options.graceful_timeout)
    code: int = run([NAME, *native_words], _serve=serve)
    if code == 0:
        # _serve never returns, so this was --help.
        print(HELP)
    return code


class _Task(WSGITask):  # type: ignore[misc]
    """A request: HEAD gets no body, and a stop closes the connection after it."""

    def get_environment(self) -> dict[str, Any]:
        environ: dict[str, Any] = super().get_environment()
        if self.request.command == "HEAD":
            # What is in the wrapper would be sent without write().
            environ.pop("wsgi.file_wrapper", None)
        return environ

    def write(self, data: bytes) -> None:
        # Waitress sends the body of HEAD as well (3.0). A client that keeps the
        # connection would take it for the beginning of the next response.
        is_head = self.request.command == "HEAD"
        super().write(b"" if is_head else data)
        if is_head:
            self.chunked_response = False  # no last chunk either

    def build_response_header(self) -> bytes:
        # A kept-alive client must not go on sending requests. With requests queued,
        # wait for the last one: waitress drops those behind a close.
        if not self.channel.server.accepting and len(self.channel.requests) < 2:
            self.request.headers["CONNECTION"] = "close"
        header: bytes = super().build_response_header()
        return header


class _Channel(HTTPChannel):  # type: ignore[misc]
    """A connection that knows its unfinished requests, and when it may be closed."""

    task_class = _Task
    received_since_stop = 0

    def received(self, data: bytes) -> bool:
        if not self.server.accepting:
            self.received_since_stop += len(data)
        return bool(super().received(data))

    def unfinished(self) -> int:
        """Return how many requests are partly read or partly answered."""
        requests = len(self.requests) + (self.request is not None)
        return requests or int(self.total_outbufs_len > 0)

    def may_be_closed(self, stopping: float) -> bool:
        """
        Tell whether it has no request to answer, and its client sends nothing.

        Args:
            stopping: Seconds since the stop began.
        """
        if self.requests or self.total_outbufs_len:
            return False
        if self.request and pace.is_too_slow(self.received_since_stop, stopping):
            return True
        limit = _IDLE_SECONDS if self.request is None else _STALLED_SECONDS
        return bool(time.time() - self.last_activity > limit)


class _Stop(StopSignal):
    """The first SIGTERM or SIGINT; a second one ends the process."""

    def __init__(self, sockets: dict[int, Any]) -> None:
        super().__init__()
        self.signum = 0
        self.since = 0.0
        # The handler cannot call the server's pull_trigger() instead: if another
        # thread got the signal, the handler only runs after the poll.
        wake = trigger(sockets).trigger
        if isinstance(wake, socket.socket):  # on Windows
            wake.setblocking(False)
            wake = wake.fileno()
        else:
            os.set_blocking(wake, False)
        signal.set_wakeup_fd(wake, warn_on_full_buffer=False)
        self.listen()

    def _on_signal(self, signum: int, frame: FrameType | None) -> None:
        if not self.signum:
            self.signum, self.since = signum, time.monotonic()
        self.note()
        if self.force:
            _end(signum, frame)


def _serve(seconds: float, app: WSGIApplication, /, **options: Any) -> NoReturn:
    # The same as waitress.serve(), up to the loop.
    logging.basicConfig()
    sockets: dict[int, Any] = {}
    stop = _Stop(sockets)
    try:
        server = create_server(app, map=sockets, **options)
    except OSError as error:
        address = _listeners(sockets)[-1].addr or error.filename
        sys.exit(
            f"{NAME}: cannot listen on {_format_address(address)}: {error.strerror}"
        )
    # Patches waitress, checked with 3.0: https://github.com/Pylons/waitress/issues/198
    adj = server.adj
    # Waitress counts what is in the map, and the trigger of _Stop is one more.
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
    # Read nothing after a request that may be answered with "close".
    adj.channel_request_lookahead = 0
    remove_file()
    for listener in _listeners(sockets):
        _close(listener)
    logger.info("%s: finishing the requests in progress, at most %g s", name, seconds)
    cut = _drain(sockets, server.task_dispatcher, poll, stop.since, deadline)
    # Not waitress's logger: a LOGGING without "disable_existing_loggers": False
    # silences that one when Django is loaded.
    log = logging.getLogger(__name__)
    if cut:
        why = f"not finished {seconds:g} s after {name} (--graceful-timeout)"
        log.warning("%d request(s) cut: %s", cut, why)
    _install_exit_deadline(max(deadline - time.monotonic(), 1), log)
    sys.exit(1 if cut else 0)


def _close(listener: Any) -> None:
    """Close a listener, after it has accepted the queued connections."""
    # The kernel would reset those. readable() applies the connection limit.
    accepted = -1
    while listener.readable() and accepted < len(listener.active_channels):
        accepted = len(listener.active_channels)
        listener.handle_accept()
    # Its own close() would also close the trigger by which threads wake the loop.
    wasyncore.dispatcher.close(listener)


def _drain(
    sockets: dict[int, Any],
    threads: Any,
    poll: Callable[..., None],
    since: float,
    deadline: float,
) -> int:
    """Serve until nothing is left or the deadline; return how many requests it cut."""
    # The threads count too: the connection of a running request may be gone.
    while _channels(sockets) or threads.active_count:
        left = deadline - time.monotonic()
        if left <= 0:
            break
        poll(timeout=min(_IDLE_SECONDS, left))
        for channel in _channels(sockets):
            if channel.may_be_closed(time.monotonic() - since):
                channel.handle_close()
    unfinished = sum(channel.unfinished() for channel in _channels(sockets))
    return max(unfinished, int(threads.active_count))


def _install_exit_deadline(seconds: float, log: logging.Logger) -> None:
    """Force the exit after so many seconds."""

    # Python waits without a limit for the application's threads and for atexit.
    def force_exit() -> None:
        main = threading.main_thread()
        left = [t.name for t in threading.enumerate() if not t.daemon and t != main]
        log.warning("the application's threads block the exit: %s", left)
        os._exit(1)

    timer = threading.Timer(seconds, force_exit)
    timer.daemon = True
    timer.start()


def _socket_file(path: str | None) -> Callable[[], None]:
    """Return a function that removes the socket's file, if it is still ours."""
    if path is None:
        return lambda: None
    # The application may change the working directory while it serves.
    file = Path(path).absolute()
    ours = file.stat()

    def remove() -> None:
        # A server that replaces this one may have created its own file already.
        with contextlib.suppress(OSError):
            if os.path.samestat(ours, file.stat()):
                file.unlink()

    return remove


def _listeners(sockets: dict[int, Any]) -> list[Any]:
    return [s for s in sockets.values() if isinstance(s, BaseWSGIServer)]


def _channels(sockets: dict[int, Any]) -> list[_Channel]:
    return [s for s in list(sockets.values()) if isinstance(s, _Channel)]


def _format_address(address: Any) -> str:
    if not isinstance(address, tuple):
        return str(address)
    return join_host_port(*address[:2])


def _seconds(text: str) -> float:
    with contextlib.suppress(ValueError):
        if 0 <= (seconds := float(text)) < math.inf:
            return seconds
    raise argparse.ArgumentTypeError(f"{text!r} is not a number of seconds.")


def _end(signum: int, frame: FrameType | None) -> NoReturn:
    # Application code and its threads can block a SystemExit.
    os._exit(128 + signum)
