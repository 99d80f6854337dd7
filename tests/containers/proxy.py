"""
A load balancer that goes by ``/-/ready`` alone, and a load that counts.

The proxy is strict: no request is sent twice, and none elsewhere when it fails. It
has a connection for each request, as nginx has by default: what a server does to a
connection in its queue shows.
"""

from __future__ import annotations

import http.client
import itertools
import threading
import time
from collections.abc import Callable
from contextlib import AbstractContextManager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from tests.harness import wait_for

#: Seconds between two questions to a replica, and those that an answer may take.
INTERVAL = 0.2
PATIENCE = 30
HOST = "127.0.0.1"


def get(port: int, path: str) -> tuple[int, bytes]:
    """Return status and body, by a connection of its own."""
    connection = http.client.HTTPConnection(HOST, port, timeout=PATIENCE)
    try:
        connection.request("GET", path, headers={"Connection": "close"})
        answer = connection.getresponse()
        return answer.status, answer.read()
    finally:
        connection.close()


class Replica:
    """One of those that the proxy may send requests to."""

    def __init__(self, port: int) -> None:
        self.port = port
        self.is_ready = False
        self._ended = threading.Event()
        threading.Thread(target=self._look, daemon=True).start()

    def end(self) -> None:
        self._ended.set()
        self.is_ready = False

    def _look(self) -> None:
        while not self._ended.is_set():
            try:
                self.is_ready = get(self.port, "/-/ready")[0] == 200
            except (OSError, http.client.HTTPException):
                self.is_ready = False
            self._ended.wait(INTERVAL)


class Proxy(AbstractContextManager["Proxy"]):
    """Sends each request to the next replica that is ready."""

    def __init__(self) -> None:
        self.replicas: dict[str, Replica] = {}
        self._lock = threading.Lock()
        self._turn = itertools.count()
        proxy = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                status, body = proxy._forward(self.path)
                self.send_response(status)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *args: Any) -> None:
                """Say nothing."""

        class Server(ThreadingHTTPServer):
            daemon_threads = True
            # A client that is not taken at once is no failure of a replica.
            request_queue_size = 128

        self._server = Server((HOST, 0), Handler)
        self.port = int(self._server.server_address[1])
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    def add(self, name: str, port: int) -> Replica:
        made = Replica(port)
        # One may come while another goes; a new dictionary, for those who read it.
        with self._lock:
            self.replicas = {**self.replicas, name: made}
        return made

    def forget(self, name: str) -> None:
        self.replicas[name].end()
        with self._lock:
            self.replicas = {n: r for n, r in self.replicas.items() if n != name}

    def __exit__(self, *error: object) -> None:
        for name in list(self.replicas):
            self.forget(name)
        self._server.shutdown()
        self._server.server_close()

    def _forward(self, path: str) -> tuple[int, bytes]:
        ready = [(n, r) for n, r in self.replicas.items() if r.is_ready]
        if not ready:
            return 503, b"no replica is ready"
        name, replica = ready[next(self._turn) % len(ready)]
        try:
            status, body = get(replica.port, path)
        except (OSError, http.client.HTTPException) as error:
            return 502, f"{name}: {type(error).__name__}: {error}".encode()
        return status, body


class Load(AbstractContextManager["Load"]):
    """Requests without a pause, of several clients, until it is left."""

    #: Most are short; those that are not are in flight when a replica is stopped.
    PATHS = ("/async-slow?s=0.01",) * 9 + ("/async-slow?s=0.5",)

    def __init__(self, port: int, clients: int = 4) -> None:
        self._port = port
        self._done = threading.Event()
        self.served = 0
        self.failures: list[str] = []
        self._lock = threading.Lock()
        self._threads = [threading.Thread(target=self._ask) for _ in range(clients)]
        self._began = time.monotonic()
        for thread in self._threads:
            thread.start()

    def more(self, count: int) -> None:
        """Wait until that many more have been served."""
        aim = self.served + count
        wait_for(lambda: self.served >= aim or self.failures, "requests", 60)

    @property
    def seconds(self) -> float:
        return time.monotonic() - self._began

    def __exit__(self, *error: object) -> None:
        self._done.set()
        for thread in self._threads:
            thread.join()

    def _ask(self) -> None:
        for path in itertools.cycle(self.PATHS):
            if self._done.is_set():
                return
            problem = self._one(path)
            with self._lock:
                if problem:
                    self.failures.append(f"after {self.seconds:.1f} s: {problem}")
                else:
                    self.served += 1
            self._done.wait(0.03)

    def _one(self, path: str) -> str:
        try:
            status, body = get(self._port, path)
        except (OSError, http.client.HTTPException) as error:
            return f"{type(error).__name__}: {error}"
        return "" if (status, body) == (200, b"slow done") else f"{status} {body!r}"


def at_the_same_time(*actions: Callable[[], object]) -> None:
    """Do them all, and raise what the first of them raises."""
    from concurrent.futures import ThreadPoolExecutor

    with ThreadPoolExecutor() as pool:
        for future in [pool.submit(action) for action in actions]:
            future.result()
