"""
What a request costs, with and without its line in the log, against the native command.

    python -m benchmarks.throughput [--starts 8] [--rounds 50] [--requests 5]
                                    [SERVER ...]

All ways of one server run at the same time, and are asked in turn, a few requests
each, so that what else the machine does meets all of them alike. They are started
anew eight times, for two processes of one program differ by some percent all their
lives (of how its memory lies, and of the hashes' seed). What is measured is
the CPU time of the server's processes for each request, which that disturbs less than
the time on the clock; that, the latency, is beside it. The project is the example, its
front page; the log goes to a file. Written to benchmarks/results/throughput.json: the
medians in microseconds, and the median of the rounds' ratios to the native command
that logs as much (waitress has no access log: to the one that logs nothing), with the
interval that has it at 95 %. The results of servers that are not named stay.
"""

from __future__ import annotations

import argparse
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping
from http.client import HTTPConnection
from pathlib import Path
from typing import Any

import psutil

from benchmarks import subject
from benchmarks.environments import ROOT, compiled
from benchmarks.machine import BACKENDS, machine
from tests.harness import BIN, Web, free_port

EXAMPLE = ROOT / "example"
#: Each server, and the options of its own access log; None if it has none.
SERVERS: Mapping[str, tuple[str, Mapping[str, Any] | None]] = {
    "gunicorn": ("gunicorn.GunicornServer", {"access-logfile": "-"}),
    "uvicorn": ("uvicorn.UvicornServer", {}),
    "uvicorn-wsgi": ("uvicorn.UvicornWSGIServer", {}),
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

    def __init__(self, name: str, way: str, folder: Path, **more: object) -> None:
        backend, log = SERVERS[name]
        self.port = port = free_port()
        args = dict(log or {}) if way == NATIVE_LOG else {}
        if name.startswith("uvicorn") and way == NATIVE:
            args = {"no-access-log": True}
        config = {
            "BACKEND": f"{BACKENDS}.{backend}",
            "BIND": f"127.0.0.1:{port}",
            "ARGS": args,
            **WAYS[way],
            **more,
        }
        folder.mkdir()
        env = environment(config, str(folder))
        argv = command(way, env)
        self.web = Web(argv, env, folder / "log", EXAMPLE)
        self.connection = HTTPConnection("127.0.0.1", port, timeout=60)
        self.web.until(self._answers, "the first answer", 120)
        parent = psutil.Process(self.web.process.pid)
        self.tree = [parent, *parent.children(recursive=True)]

    def ask(self, requests: int) -> tuple[float, float]:
        """Return a request's CPU time and (median) latency, in microseconds."""
        self._answers()  # others' turns are longer than a connection is kept
        latencies = []
        before = self._used()
        for _ in range(requests):
            began = time.perf_counter()
            self.connection.request("GET", "/")
            self.connection.getresponse().read()
            latencies.append(time.perf_counter() - began)
        used = self._used() - before
        return used / requests * 1e6, statistics.median(latencies) * 1e6

    def _used(self) -> float:
        # clock_getcpuclockid(3): nanoseconds, of threads that have ended too;
        # /proc and psutil have ticks of 10 ms, or the threads that are there.
        return sum(time.clock_gettime(~child.pid << 3 | 2) for child in self.tree)

    def _answers(self) -> bool:
        try:
            self.connection.request("GET", "/")
            return self.connection.getresponse().read() != b""
        except OSError:
            self.connection.close()
            return False


def command(way: str, env: Mapping[str, str]) -> list[str]:
    """Return the words of a start; the native command is what --dry-run prints."""
    if not way.startswith("native"):
        return [str(BIN / "prodserver"), "web"]
    words = [sys.executable, "manage.py", "prodserver", "web", "--dry-run"]
    line = subprocess.check_output(words, env=env, cwd=EXAMPLE, text=True)
    return ["sh", "-c", f"exec env {line}"]


def environment(config: Mapping[str, Any], folder: str) -> dict[str, str]:
    module = Path(folder) / "bench_settings.py"
    processes = f"PRODUCTION_PROCESSES = {{'web': {config!r}}}"
    module.write_text(f"from paperwork.settings import *\n{processes}\n")
    # All only read it, and a migration takes longer than a start.
    data = Path(folder).parents[1] / "data"
    env = {
        **os.environ,
        "EXAMPLE_DATA_DIR": str(data),
        "PYTHONPATH": folder,
        "DJANGO_SETTINGS_MODULE": "bench_settings",
    }
    if not data.exists():
        data.mkdir()
        migrate = [sys.executable, "manage.py", "migrate", "-v0"]
        subprocess.run(migrate, env=env, cwd=EXAMPLE, check=True)
    return env


def compare(
    name: str, starts: int, rounds: int, requests: int, folder: Path
) -> dict[str, Any]:
    """Measure one server in each way: medians, and those of the ratios."""
    compared = ways(name)
    rows: dict[str, list[tuple[float, float]]] = {way: [] for way in compared}
    for start in range(starts):
        turns = turned(compared, start)
        measure(name, turns, rows, rounds, requests, folder / f"{name}-{start}")
        print(".", end="", flush=True, file=sys.stderr)
    return {
        way: {
            quantity: summary(
                [row[index] for row in found],
                [row[index] for row in rows[like(way, compared)]],
            )
            for index, quantity in enumerate(("cpu", "latency"))
        }
        for way, found in rows.items()
    }


def ways(name: str) -> list[str]:
    """Return the ways of one server."""
    return [way for way in WAYS if way != NATIVE_LOG or SERVERS[name][1] is not None]


def turned(names: list[str], turn: int) -> list[str]:
    """Return them in the order of that turn: each is first as often as the others."""
    first = turn % len(names)
    return names[first:] + names[:first]


def measure(
    name: str,
    turns: list[str],
    rows: dict[str, list[tuple[float, float]]],
    rounds: int,
    requests: int,
    folder: Path,
) -> None:
    """Start the server in each way, and add the rounds of asking them in turn."""
    folder.mkdir()
    servers: dict[str, Server] = {}
    try:
        for number, way in enumerate(turns):
            servers[way] = Server(name, way, folder / str(number))
        for server in servers.values():
            server.ask(30)
        for turn in range(rounds):
            for way in turned(turns, turn):
                rows[way].append(servers[way].ask(requests))
    finally:
        for server in servers.values():
            server.web.kill()


def like(way: str, ways: list[str]) -> str:
    """Return the native way that logs what this one does."""
    return NATIVE_LOG if "no access" not in way and NATIVE_LOG in ways else NATIVE


def summary(own: list[float], native: list[float]) -> dict[str, Any]:
    """Return the median, and that of the ratios with its 95 % interval."""
    return {
        "microseconds": round(statistics.median(own), 1),
        "ratio": interval(own, native),
    }


def interval(own: list[float], native: list[float]) -> list[float]:
    """Return the median of the ratios, between the ends of its 95 % interval."""
    ratios = sorted(a / b for a, b in zip(own, native, strict=True))
    # Of the order statistics (a binomial's normal approximation): no assumption.
    middle, reach = len(ratios) / 2, 0.98 * len(ratios) ** 0.5
    low, high = ratios[int(middle - reach)], ratios[-1 - int(middle - reach)]
    return [round(each, 3) for each in (low, statistics.median(ratios), high)]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--starts", type=int, default=8)
    parser.add_argument("--rounds", type=int, default=50)
    parser.add_argument("--requests", type=int, default=5)
    parser.add_argument("servers", nargs="*", default=list(SERVERS))
    quick = {"starts": 1, "rounds": 6, "servers": ["gunicorn", "uvicorn"]}
    options = subject.options(parser, **quick)
    # What is not measured now stays.
    servers = subject.read("throughput").get("servers", {})
    compiled(ROOT / "src", EXAMPLE)
    with tempfile.TemporaryDirectory() as folder:
        for name in options.servers:
            servers[name] = compare(
                name, options.starts, options.rounds, options.requests, Path(folder)
            )
            result = {"machine": machine(), "options": vars(options)}
            subject.write("throughput", {**result, "servers": servers})
            print(f" {name}", file=sys.stderr)


if __name__ == "__main__":
    main()
