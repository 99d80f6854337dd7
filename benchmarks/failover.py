"""
How long replicas of Celery's beat under ``SINGLETON`` take to replace the active one.

    python -m benchmarks.failover [--minutes 10]

Three replicas share a PostgreSQL and a Redis, and send a task every half second. The
active one is ended by SIGTERM, by SIGKILL, or stopped by SIGSTOP and woken up once
another one is active; then a new replica takes its place. Written to
benchmarks/results/failover.json:

- ``takeovers``: for each signal, the seconds until another replica has sent a task;
- ``returns``: how often a replica has sent a task after another one had: tasks that
  would be sent twice;
- ``codes``: for each signal, the exit codes.
"""

from __future__ import annotations

import argparse
import contextlib
import itertools
import shutil
import signal
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from benchmarks import subject
from benchmarks.machine import machine
from tests import harness, postgres
from tests.conftest import Starter
from tests.harness import Running
from tests.processes.test_singleton import Replicas

SIGNALS = (signal.SIGTERM, signal.SIGKILL, signal.SIGSTOP)
COUNT = 3


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--minutes", type=float, default=10)
    options = subject.options(parser, minutes=0)
    with tempfile.TemporaryDirectory() as folder, contextlib.ExitStack() as stack:
        path = Path(folder)
        server = stack.enter_context(postgres.started(path / "postgres"))
        url = _redis(path, stack)
        (path / "data").mkdir()
        start = Starter(path / "data", path)
        stack.callback(start.end)
        settings = {"DATABASES": {"default": server.database("failover")}}
        replicas = Replicas(start, url, settings)
        result = measure(replicas, options.minutes * 60)
    result = {"machine": machine(), "minutes": options.minutes, **result}
    subject.write("failover", result)


def measure(replicas: Replicas, seconds: float) -> dict[str, Any]:
    takeovers: dict[str, list[float]] = {each.name: [] for each in SIGNALS}
    codes: dict[str, list[int]] = {each.name: [] for each in SIGNALS}
    running = [replicas.begin() for _ in range(COUNT)]
    started = time.monotonic()
    for signum in itertools.cycle(SIGNALS):
        if all(takeovers.values()) and time.monotonic() - started > seconds:
            break
        active = _active(replicas, running)
        others = [each for each in running if each is not active]
        signalled = time.monotonic()
        active.process.send_signal(signum)
        _active(replicas, others)
        takeovers[signum.name].append(round(time.monotonic() - signalled, 2))
        if signum == signal.SIGSTOP:
            active.process.send_signal(signal.SIGCONT)
        codes[signum.name].append(active.exits())
        running = [*others, replicas.begin()]
        running[-1].says("standby: another replica is active")
        print(signum.name, takeovers[signum.name][-1], codes[signum.name][-1])
        sys.stdout.flush()
    order = replicas.senders()
    return {
        "takeovers": takeovers,
        "returns": len(order) - len(set(order)),
        "codes": codes,
    }


def _active(replicas: Replicas, running: list[Running]) -> Running:
    """Wait until one of these has sent the last task, and return it."""
    harness.wait_for(lambda: _sender(replicas) in _pids(running), "an active one")
    pid = _sender(replicas)
    return next(each for each in running if each.process.pid == pid)


def _sender(replicas: Replicas) -> int:
    """Return the process ID of the one who has sent the last task; 0 for none."""
    return (replicas.senders(last=1) or [0])[-1]


def _pids(running: list[Running]) -> set[int]:
    return {each.process.pid for each in running}


def _redis(path: Path, stack: contextlib.ExitStack) -> str:
    program = shutil.which("redis-server")
    if not program:
        raise SystemExit("redis-server is missing")
    port = harness.free_port()
    words = ["--port", str(port), "--bind", "127.0.0.1", "--save", ""]
    server = Running([program, *words], {}, path / "redis", path)
    stack.callback(server.kill)
    server.says("Ready to accept connections")
    return f"redis://127.0.0.1:{port}/0"


if __name__ == "__main__":
    main()
