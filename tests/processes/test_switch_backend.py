"""The switch: one dictionary of neutral keys, and BACKEND alone changed."""

from __future__ import annotations

import signal
import socket
from http.client import HTTPConnection
from pathlib import Path
from typing import Any

import psutil
import pytest

from tests.conftest import Starter
from tests.harness import SCRIPT, Web
from tests.servers import BACKENDS

pytestmark = pytest.mark.process

#: The dictionary, but for the address; what a server cannot, it says at its start.
KEYS = {"WORKERS": 2, "THREADS": 3, "GRACEFUL_TIMEOUT": 20, "KEEP_ALIVE": 30}
#: Each backend, and the keys that it cannot.
WEB: dict[str, tuple[str, ...]] = {
    "gunicorn.GunicornServer": (),
    "uvicorn.UvicornServer": ("THREADS",),
    "uvicorn.UvicornWSGIServer": (),
    "granian.GranianASGIServer": ("THREADS",),
    "granian.GranianWSGIServer": (),
    "waitress.WaitressServer": ("WORKERS",),
}


class UnixWeb(Web):
    """A web server on a unix socket."""

    socket: Path

    def get(self, path: str, timeout: float = 10) -> str:
        connection = HTTPConnection("localhost", timeout=timeout)
        connection.sock = socket.socket(socket.AF_UNIX)
        connection.sock.settimeout(timeout)
        with connection.sock:
            connection.sock.connect(str(self.socket))
            connection.request("GET", path)
            response = connection.getresponse()
            body = response.read().decode()
        assert response.status == 200, body
        return body


@pytest.mark.parametrize("where", ["tcp", "unix"])
@pytest.mark.parametrize("backend", WEB)
def test_a_web_server_is_switched_by_its_backend_alone(
    backend: str, where: str, start: Starter, port: int, short_folder: Path
) -> None:
    """It serves at that address with that many workers, and stops clean."""
    path = short_folder / "web.sock"
    bind = f"127.0.0.1:{port}" if where == "tcp" else f"unix:{path}"
    entry = {"BACKEND": f"{BACKENDS}.{backend}", "BIND": bind, **KEYS}
    env = start.environment({"web": entry})
    kind = Web if where == "tcp" else UnixWeb
    server: Any = start.process([*SCRIPT, "web"], env, kind=kind)
    server.port, server.socket = port, path
    server.wait_until_ready()
    cannot = WEB[backend]
    workers = 1 if "WORKERS" in cannot else 2
    answered = pids(server, workers)
    assert len(answered) == workers
    if workers > 1:
        children = {
            child.pid for child in psutil.Process(server.process.pid).children()
        }
        assert answered <= children
    else:
        assert answered == {server.process.pid}
    for key in KEYS:
        assert (f"{key} does nothing here" in server.output) is (key in cannot)
    request = server.in_flight("/slow?s=2")
    assert server.stop(signal.SIGTERM) == 0
    assert request.result() == "slow done"


def pids(server: Web, workers: int) -> set[str | int]:
    """Return the processes that answer, having asked until there are that many."""
    found: set[str | int] = set()

    def ask() -> bool:
        # At once: one after another, they could all be taken by the same.
        asked = [server._threads.submit(server.get, "/who?s=0.2") for _ in range(8)]
        found.update(int(future.result()) for future in asked)
        return len(found) >= workers

    server.until(ask, f"answers of {workers} workers")
    return found
