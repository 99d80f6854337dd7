"""
Requests that a restart loses under load: native, the peer's and ours.

    python -m benchmarks.stops [--restarts 10] [--requests 10000] [SERVER ...]

Sixteen clients ask without a pause, each request on a connection of its own, while
the server is stopped with SIGTERM and started anew, in each way in turn. A connection
that is refused is no loss, for another replica would have taken it; a request whose
connection was made and that gets no answer of 200 is. Each restart has its share of
the requests before its SIGTERM; a stop that takes longer than 30 seconds is ended as
an orchestrator does it, with SIGKILL. Written to benchmarks/results/stops.json: for
each server and way, and each restart, the requests, those lost, and how long the stop
took (seconds). The results of servers that are not named stay.
"""

from __future__ import annotations

import argparse
import collections
import contextlib
import http.client
import signal
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path
from typing import Any, NamedTuple

from benchmarks import subject
from benchmarks.environments import Project, project
from benchmarks.machine import machine
from benchmarks.starts import CONSOLE, NATIVE, SERVERS, THEIRS, ask, command
from tests.harness import Web, free_port

CLIENTS = 16
#: Seconds after which an orchestrator ends a stop that hangs.
PATIENCE = 30


class Stop(NamedTuple):
    """The requests that were made, those of them that were lost, and seconds."""

    requests: int
    lost: int
    seconds: float


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
    quick = {"restarts": 2, "requests": 400, "servers": ["gunicorn", "waitress"]}
    options = subject.options(parser, **quick)
    small = project("small")
    found = subject.read("stops").get("servers", {})
    for server in options.servers:
        found[server] = compare(small, server, options.restarts, options.requests)
        result = {"machine": machine(), "options": vars(options), "servers": found}
        subject.write("stops", result)
        print(f" {server}", file=sys.stderr)


def compare(
    project: Project, server: str, restarts: int, requests: int
) -> dict[str, Any]:
    """Restart one server in each way, on a port of its own."""
    ports = {way: free_port() for way in (NATIVE, THEIRS, CONSOLE)}
    rows: dict[str, list[Stop]] = {way: [] for way in ports}
    for _ in range(restarts):
        for way, port in ports.items():
            rows[way].append(measure(project, server, way, port, requests // restarts))
        print(".", end="", flush=True, file=sys.stderr)
    return {way: summary(row) for way, row in rows.items()}


def measure(project: Project, server: str, way: str, port: int, requests: int) -> Stop:
    """Start it, and stop it under load when it has had its share of the requests."""
    argv, env = command(project, server, 2, way, port)
    with tempfile.TemporaryDirectory() as folder:
        web = Web(argv, env, Path(folder) / "log", project.folder)
        try:
            while not ask(f"http://127.0.0.1:{port}{project.url}"):
                if (
                    web.process.poll() is not None
                    or time.monotonic() > web.started + 90
                ):
                    sys.exit(f"{server}, {way}: no answer\n{web.output}")
                time.sleep(0.01)
            load = Load(port, project.url)
            try:
                load.until(requests, 120)
                began = time.monotonic()
                web.process.send_signal(signal.SIGTERM)
                with contextlib.suppress(subprocess.TimeoutExpired):
                    web.process.wait(PATIENCE)
                seconds = time.monotonic() - began
            finally:
                # Before the clients end, which may wait for an answer of it.
                web.kill()
                load.end()
        finally:
            web.kill()
    counted = load.counted
    return Stop(counted.total(), counted["lost"], round(seconds, 2))


def summary(rows: list[Stop]) -> dict[str, Any]:
    requests, lost, _ = (sum(column) for column in zip(*rows, strict=True))
    seconds = [row.seconds for row in rows]
    return {
        "runs": rows,
        "requests": requests,
        "lost": lost,
        "lost of 10000": round(lost / requests * 10_000, 1),
        "stop": round(statistics.median(seconds), 2),
        "longest stop": max(seconds),
    }


if __name__ == "__main__":
    main()
