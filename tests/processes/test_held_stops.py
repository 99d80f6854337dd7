"""A stop with clients that hold it up; benchmarks.held_stops compares the servers."""

from __future__ import annotations

import time
from typing import Any

import pytest

from tests.clients import SITUATIONS, Client, begin, request
from tests.conftest import Starter
from tests.servers import BACKENDS

pytestmark = pytest.mark.process

SERVERS: dict[str, dict[str, Any]] = {
    "gunicorn sync": {
        "BACKEND": f"{BACKENDS}.gunicorn.GunicornServer",
        "WORKERS": 6,
        "THREADS": 1,
    },
    "gunicorn gthread": {
        "BACKEND": f"{BACKENDS}.gunicorn.GunicornServer",
        "THREADS": 6,
    },
    "gunicorn asgi": {
        "BACKEND": f"{BACKENDS}.gunicorn.GunicornServer",
        "ARGS": {"worker-class": "asgi"},
    },
    "waitress": {"BACKEND": f"{BACKENDS}.waitress.WaitressServer", "THREADS": 6},
}
SETTINGS = {
    "ROOT_URLCONF": "proj.held",
    "WSGI_APPLICATION": "proj.held.wsgi",
    "ASGI_APPLICATION": "proj.held.asgi",
}
#: Bytes of an upload that takes 6 s, at 1000 bytes a time.
UPLOAD = 20_000
#: As long as a stop may take; one that is held up takes that long.
GRACE = 40


@pytest.mark.parametrize("server", SERVERS)
def test_drips_hold_up_no_stop_and_a_slow_upload_is_finished(
    start: Starter, port: int, server: str
) -> None:
    entry = {
        **SERVERS[server],
        "BIND": f"127.0.0.1:{port}",
        "GRACEFUL_TIMEOUT": GRACE,
    }
    web = start.web(entry, port=port, settings=SETTINGS)
    head = request("/upload", f"Content-Length: {UPLOAD}", method="POST")
    upload = Client(port, head, b"x" * UPLOAD, at_once=1000)
    held = [
        begin(SITUATIONS[name], port)
        for name in ("dripping head", "dripping upload", "half an upload", "idle")
    ]
    slow = web.in_flight("/slow?s=2")
    signalled = time.monotonic()
    assert web.stop() in (0, -15)
    assert time.monotonic() - signalled < GRACE - 10
    assert slow.result() == "slow done"
    assert b" 200 OK\r\n" in upload.received
    assert f"{UPLOAD} uploaded".encode() in upload.received
    for client in (upload, *held):
        client.close()
        assert client is upload or b"uploaded" not in client.received
