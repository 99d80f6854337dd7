"""
What a probe costs, in the image: its own time and its peak memory.

    python -m benchmarks.probe [--runs 9]

Each kind of process is started in a container of the test image, and asked there
by the probe and by what is used in its place: ``celery inspect ping``, and the
management command ``check --database default``. Runs alternate, so that what else
the machine does meets all of them alike. "cpu" is user and system time, which a
busy machine hardly changes; "wall" is what an orchestrator waits for, without the
runtime's own part. Written to benchmarks/results/probe.json.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import statistics
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

# Before testcontainers reads it; as in the tests' conftest.
os.environ["TESTCONTAINERS_RYUK_DISABLED"] = "true"

from testcontainers.core.network import Network

from benchmarks.machine import machine
from tests.containers.harness import Container, Containers, Databases, Site
from tests.containers.images import LABEL, PREFIX, build

RESULTS = Path(__file__).parent / "results" / "probe.json"
PROCESSES = ("gunicorn", "worker", "beat", "db_worker", "qcluster")
PROBES = {
    "--live": ("prodserver-probe", "--live"),
    "--ready": ("prodserver-probe", "--ready"),
}
PING = ("sh", "-c", "exec celery -A proj.celery inspect ping -d celery@$(hostname)")
CHECK = ("python", "manage.py", "check", "--database", "default")
# In a process as small as can be: what it is made of counts in its child's memory.
_MEASURE = """
import os, sys, time
began = time.monotonic()
if not (child := os.fork()):
    os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
    os.execvp(sys.argv[1], sys.argv[1:])
_, status, used = os.wait4(child, 0)
wall = time.monotonic() - began
cpu = used.ru_utime + used.ru_stime
print(os.waitstatus_to_exitcode(status), cpu, wall, used.ru_maxrss)
"""


class Cost(NamedTuple):
    """Milliseconds, and MB of 10**6 bytes."""

    cpu: float
    wall: float
    memory: float


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=9)
    options = parser.parse_args()
    images = build()
    network = Network(docker_network_kw={"labels": {LABEL: PREFIX}})
    with tempfile.TemporaryDirectory() as folder, network:
        databases: list[Databases] = []
        containers = Containers(
            images, network, Path(folder) / "data", lambda: databases[0]
        )
        try:
            databases.append(Databases(containers))
            site = containers.site()
            python = site.shell.exec("python", "--version").output.split()[1]
            found = {name: compare(site, name, options.runs) for name in PROCESSES}
        finally:
            containers.remove()
    here = {**machine(), "python": python}
    result = {"machine": here, "options": vars(options), "processes": found}
    text = json.dumps(result, indent=2)
    # A run is a line.
    text = re.sub(r"\[\s+([\d.]+),\s+([\d.]+),\s+([\d.]+)\s+\]", r"[\1, \2, \3]", text)
    RESULTS.write_text(f"{text}\n")
    print_table(found)


def compare(site: Site, name: str, runs: int) -> dict[str, Any]:
    """Measure every way to ask one process."""
    container = site.start(name)
    container.until(lambda: container.probe().code == 0, f"{name} ready")
    ways: dict[str, Sequence[str]] = dict(PROBES)
    if name == "worker":
        ways["celery inspect ping"] = PING
    ways["manage.py check"] = CHECK
    rows: dict[str, list[Cost]] = {way: [] for way in ways}
    for run in range(runs + 1):
        for way, argv in ways.items():
            cost = measure(container, argv)
            if run:  # the first fills the disk cache
                rows[way].append(cost)
        print(".", end="", flush=True, file=sys.stderr)
    print(f" {name}", file=sys.stderr)
    container.stop()
    return {
        way: {
            "runs": costs,
            "median": Cost(
                *(
                    round(statistics.median(column), 1)
                    for column in zip(*costs, strict=True)
                )
            ),
        }
        for way, costs in rows.items()
    }


def measure(container: Container, argv: Sequence[str]) -> Cost:
    done = container.exec("python", "-IS", "-c", _MEASURE, *argv)
    code, cpu, wall, kibibytes = map(float, done.output.split())
    if code:
        sys.exit(f"{argv} exits with {code:.0f}: {done.output}")
    return Cost(
        round(cpu * 1000, 1), round(wall * 1000, 1), round(kibibytes * 1024 / 1e6, 1)
    )


def print_table(processes: dict[str, Any]) -> None:
    print("| process | asked by | cpu (ms) | wall (ms) | peak memory (MB) |")
    print("| --- | --- | --- | --- | --- |")
    for name, ways in processes.items():
        for way, found in ways.items():
            cells = " | ".join(f"{number:g}" for number in found["median"])
            print(f"| {name} | {way} | {cells} |")


if __name__ == "__main__":
    main()
