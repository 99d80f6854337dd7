"""
``TRUSTED_PROXIES``: what a request's headers do, on every server.

The application under test answers outside Django and is not wrapped by anything of
Django's; ``proj.outside`` has it. Each server is started preloaded, and natively in a
project that does not have this package in ``INSTALLED_APPS``.
"""

from __future__ import annotations

import base64
import contextlib
import json
import socket
import struct
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from tests import harness
from tests.conftest import Starter
from tests.harness import SCRIPT, Running
from tests.servers import BACKENDS, config

TRUSTED = ["127.0.0.1", "10.0.0.0/8"]
PROXY, UNTRUSTED = "127.0.0.1", "127.0.0.2"
SERVERS: dict[str, dict[str, Any]] = {
    "gunicorn": {"BACKEND": "gunicorn.GunicornServer"},
    "gunicorn-sync": {"BACKEND": "gunicorn.GunicornServer", "worker-class": "sync"},
    "gunicorn-asgi": {"BACKEND": "gunicorn.GunicornServer", "worker-class": "asgi"},
    "gunicorn-uvicorn": {
        "BACKEND": "gunicorn.GunicornServer",
        "worker-class": "uvicorn_worker.UvicornWorker",
    },
    "uvicorn": {"BACKEND": "uvicorn.UvicornServer"},
    "uvicorn-h11": {"BACKEND": "uvicorn.UvicornServer", "http": "h11"},
    "uvicorn-wsgi": {"BACKEND": "uvicorn.UvicornWSGIServer"},
    "granian-asgi": {"BACKEND": "granian.GranianASGIServer"},
    "granian-wsgi": {"BACKEND": "granian.GranianWSGIServer"},
    "hypercorn": {"BACKEND": "hypercorn.HypercornServer"},
    "hypercorn-wsgi": {"BACKEND": "hypercorn.HypercornWSGIServer"},
    "waitress": {"BACKEND": "waitress.WaitressServer"},
}
WEBSOCKETS = {"gunicorn-asgi", "uvicorn", "granian-asgi", "hypercorn"}


class Form(NamedTuple):
    """
    A form of the headers.

    Attributes:
        headers: Their lines.
        client: The client's address if the peer is trusted; "" for the peer's own.
        scheme: The scheme, if the peer is trusted.
    """

    headers: str
    client: str = ""
    scheme: str = "http"


FORMS = {
    "none": Form(""),
    "for": Form("X-Forwarded-For: 203.0.113.7", "203.0.113.7"),
    "proto": Form("X-Forwarded-Proto: https", "", "https"),
    "lower case": Form("x-forwarded-for: 203.0.113.7", "203.0.113.7"),
    "upper case": Form("X-FORWARDED-FOR: 203.0.113.7", "203.0.113.7"),
    "appended": Form("X-Forwarded-For: 6.6.6.6, 203.0.113.7", "203.0.113.7"),
    "through two": Form("X-Forwarded-For: 203.0.113.7, 10.0.0.9", "203.0.113.7"),
    "all trusted": Form("X-Forwarded-For: 10.0.0.8, 10.0.0.9", "10.0.0.8"),
    "two lines": Form(
        "X-Forwarded-For: 6.6.6.6\nX-Forwarded-For: 203.0.113.7", "203.0.113.7"
    ),
    "spaces": Form("X-Forwarded-For:   203.0.113.7  ", "203.0.113.7"),
    "no spaces": Form("X-Forwarded-For: 6.6.6.6,203.0.113.7", "203.0.113.7"),
    "port": Form("X-Forwarded-For: 203.0.113.7:4711", "203.0.113.7"),
    "IPv6": Form("X-Forwarded-For: 2001:db8::7", "2001:db8::7"),
    "IPv6 port": Form("X-Forwarded-For: [2001:db8::7]:4711", "2001:db8::7"),
    "IPv6 long": Form("X-Forwarded-For: 2001:0DB8:0:0::7", "2001:db8::7"),
    "zone": Form("X-Forwarded-For: fe80::1%eth0", "fe80::1"),
    "text in a zone": Form("X-Forwarded-For: fe80::1%\"'<script>", "fe80::1"),
    "mapped": Form("X-Forwarded-For: ::ffff:203.0.113.7", "203.0.113.7"),
    "unknown": Form("X-Forwarded-For: 6.6.6.6, unknown"),
    "junk": Form("X-Forwarded-For: <script>"),
    "empty": Form("X-Forwarded-For:"),
    "empty entry": Form("X-Forwarded-For: 6.6.6.6,"),
    "no such scheme": Form("X-Forwarded-Proto: javascript"),
    "HTTPS": Form("X-Forwarded-Proto: HTTPS", "", "https"),
    "wss": Form("X-Forwarded-Proto: wss", "", "https"),
    "scheme appended": Form("X-Forwarded-Proto: https, http"),
    "scheme through two": Form(
        "X-Forwarded-For: 203.0.113.7, 10.0.0.9\nX-Forwarded-Proto: https, http",
        "203.0.113.7",
        "https",
    ),
    "underscores": Form("X_Forwarded_For: 6.6.6.6\nX_Forwarded_Proto: https"),
    "underscores after": Form(
        "X-Forwarded-For: 203.0.113.7\nX_Forwarded_For: 6.6.6.6\n"
        "X_Forwarded_Proto: https",
        "203.0.113.7",
    ),
    "underscores before": Form(
        "X_Forwarded_For: 6.6.6.6\nX_Forwarded_Proto: https\n"
        "X-Forwarded-For: 203.0.113.7\nX-Forwarded-Proto: http",
        "203.0.113.7",
    ),
    "half underscores": Form("X-Forwarded_For: 6.6.6.6\nX_Forwarded-Proto: https"),
    "Forwarded": Form("Forwarded: for=6.6.6.6;proto=https"),
    "other headers": Form(
        "X-Real-IP: 6.6.6.6\nX-Forwarded-Ssl: on\nFront-End-Https: on"
    ),
    "host": Form("X-Forwarded-Host: evil.example\nX-Forwarded-Port: 443"),
    "prefix": Form("X-Forwarded-Prefix: /evil\nScript-Name: /evil"),
}

#: What a client sends itself, and the address that the proxy has appended.
SPOOFED = "X-Forwarded-For: 6.6.6.6, 203.0.113.7\nX-Forwarded-Proto: https"
#: What the application sees of a peer that is not trusted.
IGNORED = {"client": UNTRUSTED, "scheme": "http", "root": "", "forwarded": []}


class Site:
    """A process whose requests come from a chosen address."""

    def __init__(self, process: Running, data: Path, connect: Callable[..., Any]):
        self.process = process
        self._log = data / "outside.log"
        self._connect = connect

    def request(self, source: str, headers: str = "") -> dict[str, Any]:
        """Return what the application has seen of a request from that address."""
        with self._connect(source) as client:
            client.sendall(self._head(headers, "Connection: close"))
            answer = b"".join(iter(lambda: client.recv(65536), b""))
        assert b" 200 " in answer.partition(b"\r\n")[0], answer
        return dict(json.loads(answer[answer.index(b"{") : answer.rindex(b"}") + 1]))

    def websocket(self, source: str, headers: str) -> dict[str, Any]:
        """Return what the application has seen of a websocket from that address."""
        key = base64.b64encode(b"0123456789abcdef").decode()
        upgrade = (
            "Connection: Upgrade\nUpgrade: websocket\nSec-WebSocket-Version: 13\n"
            f"Sec-WebSocket-Key: {key}"
        )
        answer = b""
        with self._connect(source) as client:
            client.sendall(self._head(headers, upgrade))
            while b"}" not in answer:
                answer += (received := client.recv(65536))
                assert received, answer
        return dict(json.loads(answer[answer.index(b"{") : answer.rindex(b"}") + 1]))

    def reset(self, source: str, headers: str) -> list[dict[str, Any]]:
        """Return what has been seen of requests whose clients reset the connection."""
        self._log.unlink(missing_ok=True)
        for _ in range(40):
            client = self._connect(source)
            linger = struct.pack("ii", 1, 0)
            client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
            client.sendall(self._head(headers))
            client.close()
        self.request(source)  # it has taken those before, or never will
        return [json.loads(line) for line in harness.lines(self._log)]

    @staticmethod
    def _head(*headers: str) -> bytes:
        lines = ["GET /outside HTTP/1.1", "Host: localhost"]
        lines += [line for text in headers for line in text.split("\n") if line]
        return "\r\n".join([*lines, "", ""]).encode()


@pytest.fixture
def serve(start: Starter, short_folder: Path, port: int) -> Callable[..., Site]:
    """Return a function that starts a server, on a port or on a unix socket."""

    def serve(server: str, keys: Mapping[str, Any], *, unix: bool = False) -> Site:
        path = str(short_folder / "s")
        options = dict(SERVERS[server])
        backend = options.pop("BACKEND")
        entry = {
            "BACKEND": f"{BACKENDS}.{backend}",
            "BIND": f"unix:{path}" if unix else f"127.0.0.1:{port}",
            "ARGS": options,
            "TRUSTED_PROXIES": TRUSTED,
            **keys,
        }
        settings: dict[str, Any] = {
            "WSGI_APPLICATION": "proj.outside.wsgi",
            "ASGI_APPLICATION": "proj.outside.asgi",
        }
        if not keys.get("PRELOAD", True):
            settings["INSTALLED_APPS"] = []
        environment = start.environment({"web": entry}, settings)
        process = start.process([*SCRIPT, "web"], environment)

        def connect(source: str = "") -> socket.socket:
            if not unix:
                return socket.create_connection(("127.0.0.1", port), 30, (source, 0))
            client = socket.socket(socket.AF_UNIX)
            client.settimeout(30)
            try:
                client.connect(path)
            except OSError:
                client.close()
                raise
            return client

        site = Site(process, start.data, connect)

        def answers() -> bool:
            with contextlib.suppress(OSError):
                return bool(site.request(PROXY))
            return False

        process.until(answers, "the first answer")
        return site

    return serve


@pytest.mark.process
@pytest.mark.parametrize("preload", [True, False], ids=["preloaded", "native"])
@pytest.mark.parametrize("server", SERVERS)
def test_headers_count_if_the_peer_is_trusted(
    serve: Callable[..., Site], server: str, preload: bool
) -> None:
    site = serve(server, {} if preload else {"PRELOAD": False})
    wrong = {}
    for name, form in FORMS.items():
        seen = site.request(PROXY, form.headers)
        if not is_believed(seen, form):
            wrong[name, "trusted"] = seen
        seen = site.request(UNTRUSTED, form.headers)
        if seen != IGNORED:
            wrong[name, "untrusted"] = seen
    assert not wrong
    for seen in site.reset(UNTRUSTED, SPOOFED):
        # The server may not have asked for the address before.
        assert seen["client"] in ("", UNTRUSTED)
        assert {**seen, "client": UNTRUSTED} == IGNORED
    if server in WEBSOCKETS:
        believed = Form(SPOOFED, "203.0.113.7", "wss")
        assert is_believed(site.websocket(PROXY, SPOOFED), believed)
        seen = site.websocket(UNTRUSTED, SPOOFED)
        assert {**seen, "scheme": "http"} == IGNORED
        assert seen["scheme"] == "ws"
    site.process.stop()


def is_believed(seen: Mapping[str, Any], form: Form) -> bool:
    """Tell whether a request has the client and the scheme of its headers."""
    expected = {"client": form.client or PROXY, "scheme": form.scheme, "root": ""}
    return {**seen, **expected} == seen


@pytest.mark.process
@pytest.mark.parametrize("server", SERVERS)
def test_headers_count_on_a_unix_socket(
    serve: Callable[..., Site], server: str
) -> None:
    site = serve(server, {}, unix=True)
    wrong = {}
    for name, form in FORMS.items():
        seen = site.request(PROXY, form.headers)
        if form.client and seen["client"] != form.client:
            wrong[name] = seen
    assert not wrong
    site.process.stop()


@pytest.mark.process
def test_keys_of_another_process_do_not_apply(start: Starter, port: int) -> None:
    """A process that another one has started inherits its environment."""
    settings = {"ROOT_URLCONF": "proj.logged"}
    keys: dict[str, Any] = {"ROOT_PATH": "/shop", "TRUSTED_PROXIES": ["*"]}
    web = start.web(config("waitress", port, **keys), port=port, settings=settings)
    inherited = web.about()["environ"]
    private = {k: v for k, v in inherited.items() if k.startswith("_PRODSERVER")}
    assert private
    assert json.loads(web.get("/seen"))["path"] == "/shop/seen"
    web.stop()
    other = start.web(config("gunicorn", port), port=port, settings=settings, **private)
    assert json.loads(other.get("/seen"))["path"] == "/seen"
