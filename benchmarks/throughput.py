"""
What a request costs with the log that each server has, against the native command.

    python -m benchmarks.throughput [--rounds 20] [--requests 200] [SERVER ...]

All ways of one server run at the same time, and are asked in turn, a burst each, so
that what else the machine does meets all of them alike. What is measured is the CPU
time of the server's processes for each request, which that disturbs less than the
time on the clock. The project is the example, its front page; the log goes to a file.
Printed, and written to benchmarks/results/throughput.json: the medians in
microseconds, and the quartiles of the rounds' ratios to native without an access log.
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
import tempfile
from collections.abc import Mapping
from http.client import HTTPConnection
from pathlib import Path
from typing import Any

import psutil

from benchmarks.warm_start import BACKENDS, EXAMPLE, ROOT, environment, machine
from benchmarks.warm_start import command as native_or_ours
from tests.harness import Web, free_port

RESULTS = ROOT / "benchmarks" / "results" / "throughput.json"
#: Each server, and the options of its own access log; None if it has none.
SERVERS: Mapping[str, tuple[str, Mapping[str, Any] | None]] = {
    "gunicorn": ("gunicorn.GunicornServer", {"access-logfile": "-"}),
    "uvicorn": ("uvicorn.UvicornServer", {}),
    "granian-asgi": ("granian.GranianASGIServer", {"access-log": True}),
    "granian-wsgi": ("granian.GranianWSGIServer", {"access-log": True}),
    "waitress": ("waitress.WaitressServer", None),
}
NATIVE, NATIVE_LOG = "native, no access log", "native, access log"
WAYS: Mapping[str, Mapping[str, Any]] = {
    NATIVE: {"LOG_FORMAT": "native", "ACCESS_LOG": False},
    NATIVE_LOG: {"LOG_FORMAT": "native"},
    "ours, no access log": {"ACCESS_LOG": False},
    "ours, text": {},
    "ours, JSON": {"LOG_FORMAT": "json"},
}


class Server:
    """A server that is asked, on one connection a burst."""

    def __init__(self, name: str, way: str, folder: Path) -> None:
        backend, log = SERVERS[name]
        port = free_port()
        args = dict(log or {}) if way == NATIVE_LOG else {}
        if name == "uvicorn" and way == NATIVE:
            args = {"no-access-log": True}
        config = {
            "BACKEND": f"{BACKENDS}.{backend}",
            "BIND": f"127.0.0.1:{port}",
            "ARGS": args,
            **WAYS[way],
        }
        folder.mkdir()
        env = environment(config, str(folder))
        start = "native" if way.startswith("native") else "prodserver"
        argv = native_or_ours(start, env)
        self.web = Web(argv, env, folder / "log", EXAMPLE)
        self.connection = HTTPConnection("127.0.0.1", port, timeout=60)
        self.web.until(self._answers, "the first answer", 120)
        parent = psutil.Process(self.web.process.pid)
        self.tree = [parent, *parent.children(recursive=True)]

    def ask(self, requests: int) -> float:
        """Return the CPU time of a request, in microseconds."""
        self.connection.close()  # others' turns are longer than it is kept
        before = self._used()
        for _ in range(requests):
            self.connection.request("GET", "/")
            self.connection.getresponse().read()
        return (self._used() - before) / requests * 1e6

    def _used(self) -> float:
        # Of /proc/PID/schedstat, in nanoseconds: cpu_times() are ticks of 10 ms.
        used = 0
        for process in self.tree:
            for task in Path(f"/proc/{process.pid}/task").iterdir():
                used += int((task / "schedstat").read_text().split()[0])
        return used / 1e9

    def _answers(self) -> bool:
        try:
            self.connection.request("GET", "/")
            return self.connection.getresponse().read() != b""
        except OSError:
            self.connection.close()
            return False


def compare(name: str, rounds: int, requests: int, folder: Path) -> dict[str, Any]:
    """Measure one server in each way: medians, and quartiles of the ratios."""
    ways = [way for way in WAYS if way != NATIVE_LOG or SERVERS[name][1] is not None]
    servers: dict[str, Server] = {}
    rows: dict[str, list[float]] = {way: [] for way in ways}
    try:
        for number, way in enumerate(ways):
            servers[way] = Server(name, way, folder / f"{name}-{number}")
        for server in servers.values():
            server.ask(requests)
        for turn in range(rounds):
            # Each is first as often as the others.
            first = turn % len(ways)
            for way in ways[first:] + ways[:first]:
                rows[way].append(servers[way].ask(requests))
    finally:
        for server in servers.values():
            server.web.kill()
    print(f"{name} measured", file=sys.stderr)
    return {
        way: {
            "microseconds": round(statistics.median(row), 1),
            "ratio": [
                round(quartile, 3)
                for quartile in statistics.quantiles(
                    [a / b for a, b in zip(row, rows[NATIVE], strict=True)], n=4
                )
            ],
        }
        for way, row in rows.items()
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=20)
    parser.add_argument("--requests", type=int, default=200)
    parser.add_argument("servers", nargs="*", default=list(SERVERS))
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        servers = {
            name: compare(name, options.rounds, options.requests, Path(folder))
            for name in options.servers
        }
    result = {"machine": machine(), "options": vars(options), "servers": servers}
    RESULTS.write_text(json.dumps(result, indent=2) + "\n")
    print("| server | log | CPU a request (µs) | ratio, quartiles |")
    print("| --- | --- | --- | --- |")
    for name, found in servers.items():
        for way, row in found.items():
            low, middle, high = row["ratio"]
            spread = f"{middle} ({low} to {high})"
            print(f"| {name} | {way} | {row['microseconds']} | {spread} |")


if __name__ == "__main__":
    main()
