"""Clients that hold up a stop: slow, silent, dripping, and those that only wait."""

from __future__ import annotations

import base64
import contextlib
import socket
import threading
import time
from collections.abc import Callable, Mapping
from typing import NamedTuple

#: Seconds between two drips of a client that drips.
DRIP = 0.3
_KEY = base64.b64encode(b"0123456789abcdef").decode()


def request(path: str, *headers: str, method: str = "GET") -> bytes:
    lines = [f"{method} {path} HTTP/1.1", "Host: localhost", *headers]
    return "\r\n".join([*lines, "", ""]).encode()


class Client:
    """
    A connection, what it sends, and what it has received.

    Args:
        port: Where it connects to.
        sends: What it sends at once.
        drips: What it sends after that, little by little, as long as it can.
        at_once: How many bytes of that it sends at once.
        reads: Whether it reads at all.
    """

    def __init__(
        self,
        port: int,
        sends: bytes,
        drips: bytes = b"",
        *,
        at_once: int = 1,
        reads: bool = True,
    ) -> None:
        self.received = b""
        self.ended = threading.Event()
        self._socket = socket.create_connection(("127.0.0.1", port), 30)
        self._socket.settimeout(None)
        if not reads:
            # Also a large buffer is full some day; this one is at once.
            self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        self._socket.sendall(sends)
        self._closing = threading.Event()
        self._threads = [threading.Thread(target=self._drip, args=(drips, at_once))]
        if reads:
            self._threads.append(threading.Thread(target=self._read))
        for thread in self._threads:
            thread.start()

    @property
    def answers(self) -> int:
        """The number of answers of the page /slow."""
        return self.received.count(b"slow done")

    def close(self) -> None:
        self._closing.set()
        with contextlib.suppress(OSError):
            self._socket.shutdown(socket.SHUT_RDWR)
        for thread in self._threads:
            thread.join()
        self._socket.close()

    def _read(self) -> None:
        with contextlib.suppress(OSError):
            while data := self._socket.recv(65536):
                self.received += data
            # A server may wait for this, to know that all has been received.
            self._socket.shutdown(socket.SHUT_WR)
        self.ended.set()

    def _drip(self, drips: bytes, at_once: int) -> None:
        with contextlib.suppress(OSError):
            for start in range(0, len(drips), at_once):
                if self._closing.wait(DRIP):
                    return
                self._socket.sendall(drips[start : start + at_once])


class Situation(NamedTuple):
    """
    What a client does as the stop begins.

    Attributes:
        what: In words, for the documentation.
        connect: Makes the client, of a port.
        answers: How many answers it has to get.
        first: What it has received when its part has begun.
        asgi: Whether only an ASGI server can have it.
    """

    what: str
    connect: Callable[[int], Client]
    answers: int = 0
    first: bytes = b""
    asgi: bool = False


_UPLOAD = ("Content-Length: 4000", "Content-Type: text/plain")
_UPGRADE = (
    *("Connection: Upgrade", "Upgrade: websocket", "Sec-WebSocket-Version: 13"),
    f"Sec-WebSocket-Key: {_KEY}",
)
_HALF_A_HEAD = b"GET /about HTTP/1.1\r\nHost: localhost\r\nX-Long: "

#: By a short name.
SITUATIONS: Mapping[str, Situation] = {
    "slow": Situation(
        "a slow request",
        lambda port: Client(port, request("/slow?s=2")),
        answers=1,
    ),
    "pipelined": Situation(
        "three pipelined requests",
        lambda port: Client(port, request("/slow?s=0.7") * 3),
        answers=3,
    ),
    "stream": Situation(
        "an endless stream",
        lambda port: Client(port, request("/stream")),
        first=b"data: 0",
    ),
    "unread": Situation(
        "a response not read",
        lambda port: Client(port, request("/large"), reads=False),
    ),
    "half a head": Situation("half a head", lambda port: Client(port, _HALF_A_HEAD)),
    "half an upload": Situation(
        "half an upload",
        lambda port: Client(
            port, request("/upload", *_UPLOAD, method="POST") + b"x" * 2000
        ),
    ),
    "dripping head": Situation(
        "a dripping head", lambda port: Client(port, _HALF_A_HEAD, b"x" * 1000)
    ),
    "dripping upload": Situation(
        "a dripping upload",
        lambda port: Client(
            port, request("/upload", *_UPLOAD, method="POST"), b"x" * 1000
        ),
    ),
    "silent": Situation("no byte sent", lambda port: Client(port, b"")),
    "idle": Situation(
        "kept alive, idle",
        lambda port: Client(port, request("/slow?s=0")),
        first=b"slow done",
    ),
    "websocket": Situation(
        "a websocket",
        lambda port: Client(port, request("/socket", *_UPGRADE)),
        first=b"\r\n\r\n",
        asgi=True,
    ),
}


def begin(situation: Situation, port: int) -> Client:
    """Return the client, once it does what it is to do."""
    client = situation.connect(port)
    deadline = time.monotonic() + 30
    while situation.first not in client.received:
        assert time.monotonic() < deadline, client.received
        assert not client.ended.is_set(), client.received
        time.sleep(0.01)
    return client
