"""
Requests a second and their 99th percentile under load, ours against the native command.

    python -m benchmarks.load [--starts 2] [--rounds 3] [--seconds 2]
                              [--connections 16] [--workers 2] [SERVER ...]

All ways of one server are up at the same time, and have the load in turn, a short
burst each, so that what else the machine does meets all of them alike. The load is
wrk's, in one thread on the machine of the server: each connection is kept, and asks
anew when it has its answer. They are started anew, for two processes of one program
differ all their lives. The project is the example, its front page; both ways have the
same options. Written to benchmarks/results/load.json: of each burst the requests a
second, and the 99th percentile of their time (ms); the medians, and the median of the
bursts' ratios to the native command that logs as much, with its interval at 95 %; and
the requests that failed. The results of servers that are not named stay.
"""

from __future__ import annotations

import argparse
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any, NamedTuple

from benchmarks import subject
from benchmarks.environments import ROOT, compiled
from benchmarks.machine import machine
from benchmarks.throughput import (
    EXAMPLE,
    SERVERS,
    Server,
    interval,
    like,
    turned,
    ways,
)

#: What wrk says at its end, in the order of ``Burst`` and with the seconds.
SCRIPT = """
done = function(summary, latency, requests)
  local failed = 0
  for _, number in pairs(summary.errors) do failed = failed + number end
  io.write(string.format("%d %d %f %d",
    summary.requests, summary.duration, latency:percentile(99), failed))
end
"""


class Burst(NamedTuple):
    """Requests a second, milliseconds, and requests that failed."""

    rate: float
    p99: float
    failed: int


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--starts", type=int, default=2)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seconds", type=int, default=2)
    parser.add_argument("--connections", type=int, default=16)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("servers", nargs="*", default=list(SERVERS))
    quick = {"starts": 1, "rounds": 2, "seconds": 1, "servers": ["gunicorn", "uvicorn"]}
    options = subject.options(parser, **quick)
    found = subject.read("load").get("servers", {})
    compiled(ROOT / "src", EXAMPLE)
    with tempfile.TemporaryDirectory() as folder:
        script = Path(folder) / "done.lua"
        script.write_text(SCRIPT)
        for name in options.servers:
            found[name] = compare(name, options, script)
            here = {**machine(), "wrk": version()}
            subject.write(
                "load", {"machine": here, "options": vars(options), "servers": found}
            )
            print(f" {name}", file=sys.stderr)


def compare(name: str, options: argparse.Namespace, script: Path) -> dict[str, Any]:
    """Measure one server in each way: its bursts, their medians, and the ratios."""
    compared = [way for way in ways(name) if "JSON" not in way]
    rows: dict[str, list[Burst]] = {way: [] for way in compared}
    for start in range(options.starts):
        folder = script.parent / f"{name}-{start}"
        folder.mkdir()
        servers: dict[str, Server] = {}
        try:
            # Waitress has one process.
            more = {} if name == "waitress" else {"WORKERS": options.workers}
            for number, way in enumerate(turned(compared, start)):
                servers[way] = Server(name, way, folder / str(number), **more)
            for server in servers.values():
                burst(server, 1, options.connections, script)
            for turn in range(options.rounds):
                for way in turned(compared, turn):
                    row = burst(
                        servers[way], options.seconds, options.connections, script
                    )
                    rows[way].append(row)
                print(".", end="", flush=True, file=sys.stderr)
        finally:
            for server in servers.values():
                server.web.kill()
    return {way: summary(row, rows[like(way, compared)]) for way, row in rows.items()}


def burst(server: Server, seconds: int, connections: int, script: Path) -> Burst:
    """Let wrk ask for some seconds."""
    # What was asked of another may still be in its log's buffer.
    time.sleep(0.2)
    words = [
        *("wrk", "--threads=1", f"--connections={connections}"),
        *(f"--duration={seconds}s", "--timeout=30s", f"--script={script}"),
        f"http://127.0.0.1:{server.port}/",
    ]
    done = subprocess.run(words, capture_output=True, text=True)
    if done.returncode:
        sys.exit(f"{' '.join(words)}: {done.stdout}{done.stderr}")
    requests, duration, p99, failed = map(float, done.stdout.split("\n")[-1].split())
    if not requests:
        sys.exit(f"{' '.join(words)}: no answer\n{server.web.output}")
    # wrk has microseconds.
    return Burst(round(requests / duration * 1e6, 1), round(p99 / 1000, 1), int(failed))


def summary(own: list[Burst], native: list[Burst]) -> dict[str, Any]:
    def of(column: int) -> dict[str, Any]:
        mine, theirs = ([row[column] for row in rows] for rows in (own, native))
        return {
            "median": round(statistics.median(mine), 1),
            "ratio": interval(mine, theirs),
        }

    return {
        "runs": own,
        "requests per second": of(0),
        "p99": of(1),
        "failed": sum(row.failed for row in own),
    }


def version() -> str:
    """Return wrk's version."""
    # It has no option for that alone, and says it in its usage.
    said = subprocess.run(["wrk", "-v"], capture_output=True, text=True)
    return (said.stdout + said.stderr).split()[1]


if __name__ == "__main__":
    main()
