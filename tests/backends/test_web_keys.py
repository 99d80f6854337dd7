"""What the neutral keys of web servers do, with the real servers."""

from __future__ import annotations

import re
import signal
import socket
import ssl
import time
import urllib.request
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import Starter
from tests.harness import SCRIPT, Web, free_port
from tests.processes.test_switch_backend import WEB, UnixWeb, pids
from tests.servers import BACKENDS

pytestmark = pytest.mark.process

# A certificate that signs itself, for localhost, until 2126.
TLS = Path(__file__).parents[1] / "tls"
CERTIFICATE = str(TLS / "certificate.pem")
REQUEST = b"GET /who?s=0 HTTP/1.1\r\nHost: localhost\r\n\r\n"


class Server:
    """Starts a web server with the keys of a test."""

    def __init__(self, start: Starter, port: int) -> None:
        self.start = start
        self.port = port

    def __call__(self, backend: str, **keys: Any) -> Web:
        bind = f"127.0.0.1:{self.port}"
        entry = {"BACKEND": f"{BACKENDS}.{backend}", "BIND": bind, **keys}
        return self.start.web(entry, port=self.port, via=SCRIPT)


@pytest.fixture
def serve(start: Starter, port: int) -> Server:
    return Server(start, port)


@pytest.mark.parametrize("backend", WEB)
def test_threads_idle_connections_and_a_stop_with_an_end(
    backend: str, serve: Server
) -> None:
    """THREADS, KEEP_ALIVE and GRACEFUL_TIMEOUT, on one server."""
    server = serve(backend, THREADS=2, KEEP_ALIVE=1, GRACEFUL_TIMEOUT=1)
    with socket.create_connection(("127.0.0.1", server.port), 30) as idle:
        idle.sendall(REQUEST)
        answer = b""
        while more := idle.recv(4096):  # until the server closes it
            answer += more
    assert answer.startswith(b"HTTP/1.1 200")
    if "THREADS" not in WEB[backend]:
        # The third has to wait for one of the two before it.
        two = [server.in_flight("/slow?s=4") for _ in range(2)]
        third = server.in_flight("/slow?s=0")
        for request in (*two, third):
            assert request.result() == "slow done"
        events = re.findall(r"slow (began|ended)", server.output)
        assert events[:3] == ["began", "began", "ended"]
    server.in_flight("/slow?s=60")
    signalled = time.monotonic()
    server.process.send_signal(signal.SIGTERM)
    server.process.wait(45)
    assert time.monotonic() - signalled < 40


@pytest.mark.parametrize(
    "backend", [name for name in WEB if not name.startswith("waitress")]
)
def test_a_certificate_makes_it_tls(backend: str, start: Starter, port: int) -> None:
    keys = {"CERTFILE": CERTIFICATE, "KEYFILE": str(TLS / "key.pem")}
    entry = {
        "BACKEND": f"{BACKENDS}.{backend}",
        "BIND": f"127.0.0.1:{port}",
        **keys,
    }
    server = start.process(
        [*SCRIPT, "web"], start.environment({"web": entry}), kind=Web
    )
    trusted = ssl.create_default_context(cafile=CERTIFICATE)

    def answers() -> bool:
        url = f"https://127.0.0.1:{port}/who?s=0"
        try:
            with urllib.request.urlopen(url, timeout=5, context=trusted) as response:
                return bool(response.status == 200)
        except OSError:
            return False

    server.until(answers, "an answer over TLS")
    done = start.probe("web")
    assert done.returncode == 0, done.stdout + done.stderr


def test_gunicorn_replaces_its_workers_and_drops_nothing(serve: Server) -> None:
    """MAX_REQUESTS: every request is answered, and by more than the two at first."""
    server = serve("gunicorn.GunicornServer", WORKERS=2, MAX_REQUESTS=20)
    first = pids(server, 2)
    seen: set[str] = set()

    def ask() -> bool:
        seen.add(server.get("/who?s=0", timeout=30))
        return len(seen) >= 4

    server.until(ask, f"others than {first}", 60)


def test_two_addresses_are_both_served(start: Starter, port: int) -> None:
    """Where the server can: gunicorn and waitress."""
    other = free_port()
    for backend in ("gunicorn.GunicornServer", "waitress.WaitressServer"):
        bind = [f"127.0.0.1:{port}", f"127.0.0.1:{other}"]
        entry = {"BACKEND": f"{BACKENDS}.{backend}", "BIND": bind}
        server = start.web(entry, port=port, via=SCRIPT)
        server.port = other
        assert server.get("/who").isdecimal()
        assert server.stop() == 0


@pytest.mark.parametrize(
    "backend", ["uvicorn.UvicornServer", "granian.GranianWSGIServer"]
)
def test_a_socket_that_a_kill_has_left_is_taken_over(
    backend: str, start: Starter, short_folder: Path
) -> None:
    """Natively uvicorn, with several workers, and granian do not start on it."""
    path = short_folder / "web.sock"
    with socket.socket(socket.AF_UNIX) as left:
        left.bind(str(path))
    entry = {"BACKEND": f"{BACKENDS}.{backend}", "BIND": f"unix:{path}", "WORKERS": 2}
    env = start.environment({"web": entry})
    server = start.process([*SCRIPT, "web"], env, kind=UnixWeb)
    server.socket = path
    server.wait_until_ready()
    assert server.stop() == 0
