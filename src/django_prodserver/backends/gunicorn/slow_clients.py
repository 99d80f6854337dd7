"""Make Gunicorn's workers disconnect clients that hold up a stop."""

from __future__ import annotations

import _thread
import asyncio
import contextlib
import errno
import functools
import signal
import socket
import threading
import time
import weakref
from collections.abc import Callable
from typing import Any

from gunicorn.asgi.protocol import ASGIProtocol, BodyReceiver
from gunicorn.http.unreader import SocketUnreader
from gunicorn.workers import gthread
from gunicorn.workers.base import Worker
from gunicorn.workers.gasgi import ASGIWorker

from django_prodserver.backends import asyncio_listeners
from django_prodserver.process import pace

# Seconds between two checks of the connections.
_TICK = 0.25
# Seconds in which a client may still use a connection that it has kept.
_IDLE = 1.5


def disconnect_on_stop() -> None:
    """
    Make a worker that stops give up requests that do not arrive.

    On its own, a worker waits for the rest of a head or of an upload for its
    graceful_timeout, whether its client sends a byte now and then or nothing at all.
    Here the client has to keep the pace of ``process.pace``.
    """
    receiving = _Receiving()
    chunk = SocketUnreader.chunk

    def counted_chunk(self: SocketUnreader, *size_hint: int | None) -> bytes:
        return receiving.chunk(self, lambda: chunk(self, *size_hint))

    # Patches gunicorn, checked with 27.0: no issue about it is known.
    SocketUnreader.chunk = counted_chunk
    gthread.STOP_KEEPALIVE_LINGER = _IDLE
    for worker in (Worker, gthread.ThreadWorker):
        worker.handle_exit = _calling_first(receiving.watch, worker.handle_exit)


def _calling_first(first: Callable[[], None], handler: Any) -> Any:
    # Under Gunicorn's own name, which an application's stack dumps and logs show.
    @functools.wraps(handler)
    def handle_exit(self: Worker, signum: int, frame: Any) -> None:
        first()
        handler(self, signum, frame)

    return handle_exit


class _Receiving:
    """The connections that a worker with threads waits for, and what they sent."""

    def __init__(self) -> None:
        self._waiting: dict[SocketUnreader, None] = {}
        self._received: dict[SocketUnreader, int] = {}
        self._cut: weakref.WeakSet[SocketUnreader] = weakref.WeakSet()
        self._stopping_since = 0.0

    def chunk(self, unreader: SocketUnreader, receive: Callable[[], bytes]) -> bytes:
        """Receive; a client that was disconnected has reset its connection."""
        # Gunicorn lets SIGTERM interrupt no call, so a sync worker would not notice it
        # here. This interrupts nothing in the application.
        is_main = threading.current_thread() is threading.main_thread()
        self._waiting[unreader] = None
        try:
            if is_main:
                signal.siginterrupt(signal.SIGTERM, True)
            data = receive()
        finally:
            if is_main:
                signal.siginterrupt(signal.SIGTERM, False)
            del self._waiting[unreader]
        if self._stopping_since:
            if unreader in self._cut:
                # An error, because the application would take the end of the data for
                # the end of the body.
                message = "the worker is stopping, and the request has not arrived"
                raise ConnectionResetError(errno.ECONNRESET, message)
            self._received[unreader] = self._received.get(unreader, 0) + len(data)
        return data

    def watch(self) -> None:
        """Begin to watch them, when the stop begins. Called by a signal handler."""
        if not self._stopping_since:
            self._stopping_since = time.monotonic()
            # Not threading's: it has a lock, which the signal may have interrupted.
            _thread.start_new_thread(self._watch, ())

    def _watch(self) -> None:
        while True:
            time.sleep(_TICK)
            seconds = time.monotonic() - self._stopping_since
            for unreader in [*self._waiting]:
                if pace.is_too_slow(self._received.get(unreader, 0), seconds):
                    self._cut.add(unreader)
                    with contextlib.suppress(OSError):
                        # The thread that waits for its data wakes up. Not TLS's own
                        # method, after which the response would not be encrypted.
                        socket.socket.shutdown(unreader.sock, socket.SHUT_RD)


def close_asgi_connections_on_stop() -> None:
    """
    Make an ASGI worker that stops close its idle connections.

    On its own it waits for as long as clients may keep them (``KEEP_ALIVE``), or for
    its graceful_timeout, and the same for half a request. The connections that are
    queued are accepted first, because closing the listeners can drop them.
    """
    protocols: weakref.WeakSet[ASGIProtocol] = weakref.WeakSet()
    made, feed, shutdown = (
        ASGIProtocol.connection_made,
        BodyReceiver.feed,
        ASGIWorker._shutdown,
    )

    def connection_made(self: ASGIProtocol, transport: Any) -> None:
        protocols.add(self)
        self.uploaded = 0
        made(self, transport)

    def counted_feed(self: BodyReceiver, chunk: bytes) -> None:
        self.protocol.uploaded += len(chunk)
        feed(self, chunk)

    async def close_and_shut_down(self: ASGIWorker) -> None:
        await asyncio_listeners.close(self.servers)
        closing = self.loop.create_task(_close_slow(protocols))
        try:
            await shutdown(self)
        finally:
            closing.cancel()

    # Patches gunicorn, checked with 27.0: no issue about it is known.
    ASGIProtocol.connection_made = connection_made
    BodyReceiver.feed = counted_feed
    ASGIWorker._shutdown = close_and_shut_down


async def _close_slow(protocols: weakref.WeakSet[ASGIProtocol]) -> None:
    before = {protocol: protocol.uploaded for protocol in protocols}
    began = time.monotonic()
    while True:
        await asyncio.sleep(_TICK)
        seconds = time.monotonic() - began
        for protocol in [*protocols]:
            if _is_idle(protocol):
                is_late = seconds > _IDLE
            else:
                uploaded = protocol.uploaded - before.get(protocol, 0)
                is_late = _needs_data(protocol) and pace.is_too_slow(uploaded, seconds)
            if is_late:
                protocol._close_transport()
                if protocol._request_ready is not None:
                    # As its own timer does, so that its task ends.
                    protocol._request_ready.set()


def _is_idle(protocol: ASGIProtocol) -> bool:
    """Tell whether the head of the next request has not arrived."""
    ready = protocol._request_ready  # None for HTTP/2
    is_answered = not getattr(protocol, "_finishing_calls", None)  # since 27.0
    return ready is not None and not ready.is_set() and is_answered


def _needs_data(protocol: ASGIProtocol) -> bool:
    """Tell whether the application waits for more of an upload."""
    receiver = protocol._body_receiver
    is_uwsgi = getattr(receiver, "_source", None) is not None  # since 27.0
    if receiver is None or receiver._complete or is_uwsgi:
        return False
    return receiver._waiter is not None and not receiver._waiter.done()
