"""
What lazy imports save, which Python 3.15 has: ``PYTHON_LAZY_IMPORTS=all``.

    python -m benchmarks.lazy_imports [--runs 10]

Each command is run with and without it, alternating, by Python 3.15 in a container
(``scripts/test-python``), on the tests' project with Gunicorn: the launcher as far as
``--dry-run``, the probe of a server that runs, and a release that has nothing left to
do. Written to benchmarks/results/lazy_imports.json: CPU time, which is user and system
time, and wall time in milliseconds, and peak memory in MB.
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from benchmarks import subject
from benchmarks.machine import MEASURE, machine
from tests.harness import (
    BIN,
    MODULE,
    PROJECT,
    Web,
    environment,
    free_port,
)
from tests.servers import BACKENDS, config

VERSION = "3.15"
ROOT = Path(__file__).parents[1]
LAZY = {"normal": {}, "lazy": {"PYTHON_LAZY_IMPORTS": "all"}}
PROBE = str(BIN / "prodserver-probe")
COMMANDS: Mapping[str, Sequence[str]] = {
    "prodserver web --dry-run": (*MODULE, "web", "--dry-run"),
    "prodserver-probe --live web": (PROBE, "--live", "web"),
    "prodserver-probe --ready web": (PROBE, "--ready", "web"),
    "prodserver release": (*MODULE, "release"),
}


class Cost(NamedTuple):
    """Milliseconds, and MB of 10**6 bytes."""

    cpu: float
    wall: float
    memory: float


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=10)
    parser.add_argument("--here", action="store_true", help="print it, of this Python")
    options = subject.options(parser, runs=1)
    if options.here:
        print(json.dumps(measure_all(options.runs)))
        return
    script = [str(ROOT / "scripts" / "test-python"), VERSION]
    command = [
        "--module",
        "benchmarks.lazy_imports",
        "--here",
        f"--runs={options.runs}",
    ]
    done = subprocess.run([*script, *command], stdout=subprocess.PIPE, check=True)
    subject.write("lazy_imports", json.loads(done.stdout.splitlines()[-1]))


def measure_all(runs: int) -> dict[str, Any]:
    """Measure each command with this Python."""
    with tempfile.TemporaryDirectory(prefix="ps") as folder:
        port = free_port()
        env = project(Path(folder), port)
        web = Web([*MODULE, "web"], env, Path(folder) / "log", PROJECT)
        web.port = port
        try:
            web.wait_until_ready()
            measure(COMMANDS["prodserver release"], env)  # the first one migrates
            found = {name: compare(argv, env, runs) for name, argv in COMMANDS.items()}
        finally:
            web.kill()
    return {
        "machine": machine(),
        "options": {"runs": runs},
        "commands": found,
    }


def project(data: Path, port: int) -> dict[str, str]:
    """Return the environment of the tests' project with a server and a release."""
    processes = {
        "web": config("gunicorn", port),
        "release": {
            "BACKEND": f"{BACKENDS}.management.ManagementCommands",
            "COMMANDS": ["migrate --noinput"],
        },
    }
    return environment(data, {"PRODUCTION_PROCESSES": processes})


def compare(argv: Sequence[str], env: Mapping[str, str], runs: int) -> dict[str, Any]:
    """Run a command with and without lazy imports, alternating."""
    costs: dict[str, list[Cost]] = {way: [] for way in LAZY}
    for run in range(runs + 1):
        for way, variables in LAZY.items():
            cost = measure(argv, {**env, **variables})
            if run:  # the first writes the bytecode and fills the disk cache
                costs[way].append(cost)
    return {
        way: {
            "runs": found,
            "median": [
                round(statistics.median(column), 1)
                for column in zip(*found, strict=True)
            ],
        }
        for way, found in costs.items()
    }


def measure(argv: Sequence[str], env: Mapping[str, str]) -> Cost:
    """Run a command; exit if it fails."""
    done = subprocess.run(
        [sys.executable, "-IS", "-c", MEASURE, *argv],
        env=dict(env),
        cwd=PROJECT,
        capture_output=True,
        text=True,
        check=True,
    )
    code, cpu, wall, kibibytes = map(float, done.stdout.split())
    if code:
        sys.exit(f"{argv} exits with {code:.0f}: {done.stderr}")
    return Cost(
        round(cpu * 1000, 1), round(wall * 1000, 1), round(kibibytes * 1024 / 1e6, 1)
    )


if __name__ == "__main__":
    main()
