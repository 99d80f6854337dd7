"""
Requests that a restart loses under load: native, the peer's and ours.

    python -m benchmarks.stops [--restarts 10] [--requests 10000] [SERVER ...]

Sixteen clients ask without a pause, each request on a connection of its own, while
the server is stopped with SIGTERM and started anew. A connection that is refused is
no loss, for another replica would have taken it; a request whose connection was made
and that gets no answer of 200 is. Each restart has its share of the requests before
its SIGTERM. Written to benchmarks/results/stops.json: for each server and way the
requests, those lost, and how long the stops took (median, seconds).
"""

from __future__ import annotations

import argparse
import collections
import contextlib
import http.client
import json
import signal
import statistics
import sys
import tempfile
import threading
import time
from pathlib import Path
from typing import Any

from benchmarks.environments import Project, projects
from benchmarks.machine import machine
from benchmarks.starts import CONSOLE, NATIVE, SERVERS, THEIRS, ask, command
from tests.harness import Web, free_port

RESULTS = Path(__file__).parent / "results" / "stops.json"
CLIENTS = 16


class Load:
    """Clients that ask until they are told to end, and count what became of it."""

    def __init__(self, port: int, url: str) -> None:
        self.port, self.url = port, url
        self.counted: collections.Counter[str] = collections.Counter()
        self._lock = threading.Lock()
        self._over = threading.Event()
        self._clients = [threading.Thread(target=self._ask) for _ in range(CLIENTS)]
        for client in self._clients:
            client.start()

    def until(self, answered: int, within: float) -> None:
        deadline = time.monotonic() + within
        while self.counted["answered"] < answered and time.monotonic() < deadline:
            time.sleep(0.01)

    def end(self) -> None:
        self._over.set()
        for client in self._clients:
            client.join()

    def _ask(self) -> None:
        while not self._over.is_set():
            connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=60)
            with contextlib.closing(connection):
                try:
                    connection.connect()
                except OSError:
                    time.sleep(0.005)
                    continue
                outcome = "lost"
                with contextlib.suppress(OSError, http.client.HTTPException):
                    connection.request("GET", self.url, headers={"Connection": "close"})
                    answer = connection.getresponse()
                    answer.read()
                    outcome = "answered" if answer.status == 200 else "lost"
            with self._lock:
                self.counted[outcome] += 1


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--restarts", type=int, default=10)
    parser.add_argument("--requests", type=int, default=10_000)
    parser.add_argument("servers", nargs="*", default=list(SERVERS))
    options = parser.parse_args()
    project = projects()["small"]
    found: dict[str, Any] = {}
    for server in options.servers:
        found[server] = {}
        for way in (NATIVE, THEIRS, CONSOLE):
            row = measure(project, server, way, options.restarts, options.requests)
            found[server][way] = row
            print(f"{server}, {way}: {row}", file=sys.stderr)
    result = {"machine": machine(), "options": vars(options), "servers": found}
    RESULTS.write_text(json.dumps(result, indent=2) + "\n")


def measure(
    project: Project, server: str, way: str, restarts: int, requests: int
) -> dict[str, Any]:
    """Restart one server under load, on one port."""
    port = free_port()
    argv, env = command(project, server, 2, way, port)
    counted: collections.Counter[str] = collections.Counter()
    seconds = []
    with tempfile.TemporaryDirectory() as folder:
        for restart in range(restarts):
            web = Web(argv, env, Path(folder) / f"log-{restart}", project.folder)
            try:
                while not ask(f"http://127.0.0.1:{port}{project.url}"):
                    if web.process.poll() is not None:
                        sys.exit(f"{server}, {way}: no answer\n{web.output}")
                    time.sleep(0.01)
                load = Load(port, project.url)
                load.until(requests // restarts, 120)
                began = time.monotonic()
                web.process.send_signal(signal.SIGTERM)
                # A stop that hangs is one that an orchestrator ends after 30 s.
                with contextlib.suppress(Exception):
                    web.process.wait(30)
                seconds.append(time.monotonic() - began)
                load.end()
                counted += load.counted
            finally:
                web.kill()
    asked = counted.total()
    return {
        "requests": asked,
        "lost": counted["lost"],
        "lost of 10000": round(counted["lost"] / asked * 10_000, 1),
        "stop": round(statistics.median(seconds), 2),
        "longest stop": round(max(seconds), 2),
    }


if __name__ == "__main__":
    main()
