"""
What Celery's worker does with its tasks on each signal, with each of its pools.

    python -m benchmarks.celery_stops [--amqp URL] [--again] [POOL ...]

A worker with one slot has three tasks as it is signalled: one runs, one is prefetched
and one has an ETA. Then each task is looked for. Written to
benchmarks/results/celery_stops.json, by broker, pool, signal and ``acks_late``; a run
that is there already is not repeated without ``--again``:

- ``finished``, ``returned`` (to the queue), ``stuck`` (for an hour, on Redis), ``kept``
  (by the worker, which runs on) and ``lost``: the tasks, by their first letters;
- ``code``: what it exited with, negative for the signal that ended it; null if it
  runs on;
- ``probe``: what the probe said while the task ran: "draining", "ready", "ended".

The queue of RabbitMQ is looked at after a worker that runs on has been killed.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import signal
import sys
import tempfile
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from itertools import product
from pathlib import Path
from typing import Any

from benchmarks import subject
from benchmarks.machine import machine
from benchmarks.signals import redis
from tests import harness
from tests.conftest import Starter
from tests.harness import MODULE, Running

#: Seconds between the signal and the end of the task that runs: the probe is asked.
WORK = 2
#: Seconds after the work is over in which what is to end has ended.
PATIENCE = 12
TASKS = {"R": "running", "P": "prefetched", "E": "eta"}
POOLS = ("prefork", "prefork, all its processes", "threads", "gevent", "solo")
#: How many tasks are received while the one slot works, where it is not all of them:
#: gevent waits with the second one, and solo in the first.
RECEIVED = {"gevent": 2, "solo": 1}
STOPS = ("TERM", "TERM twice", "INT", "QUIT", "HUP", "USR1", "control shutdown")
ACKS = ("early", "late")
WORKER = {
    "BACKEND": "django_prodserver.backends.celery.CeleryWorker",
    "APP": "proj.celery.app",
    "CONCURRENCY": 1,
    # Longer than the task: what is cut here is not cut by the deadline.
    "GRACEFUL_TIMEOUT": 25,
}
ENQUEUE = """
import django, sys
django.setup()
import proj.celery
from proj.jobs import celery_tasks
task = celery_tasks.mark_late if sys.argv[1] == "late" else celery_tasks.mark
task.apply_async(("running", -1.0))  # until the file "go" is there
task.apply_async(("prefetched",))
task.apply_async(("eta",), countdown=3600)
"""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("pools", nargs="*", default=POOLS)
    parser.add_argument("--amqp", help="the URL of a RabbitMQ to measure on, too")
    parser.add_argument("--again", action="store_true", help="repeat what is there")
    options = subject.options(parser, pools=["threads"])
    stops = STOPS[:1] if options.quick else STOPS
    results = Results(again=options.again or options.quick)
    with tempfile.TemporaryDirectory(prefix="ps") as folder, redis(folder) as url:
        brokers = {"redis": url} | ({"rabbitmq": options.amqp} if options.amqp else {})
        runs = [
            Run(brokers[broker], broker, pool, stop, acks)
            for broker, pool, stop, acks in product(brokers, options.pools, stops, ACKS)
        ]
        with ThreadPoolExecutor(2) as threads:
            list(threads.map(lambda run: results.add(run, Path(folder)), runs))


class Results:
    """What has been measured, on the disk after each run."""

    def __init__(self, *, again: bool) -> None:
        self._again = again
        self._runs: dict[str, Any] = subject.read("celery_stops").get("runs", {})
        self._lock = threading.Lock()

    def add(self, run: Run, folder: Path) -> None:
        """Measure it, unless that has been done."""
        if run.name in self._runs and not self._again:
            return
        try:
            found = run.measure(Path(tempfile.mkdtemp(dir=folder)))
        except Exception as error:  # the others are measured all the same
            print(f"{run.name}: {error}", file=sys.stderr)
            return
        print(f"{run.name}: {found}", file=sys.stderr)
        with self._lock:
            self._runs[run.name] = found
            result = {"machine": machine(), "options": {"seconds": WORK}}
            subject.write("celery_stops", {**result, "runs": self._runs})


class Run:
    """One worker, which is signalled once."""

    def __init__(self, url: str, broker: str, pool: str, stop: str, acks: str) -> None:
        self.name = f"{broker}/{pool}/{stop}/{acks}"
        self._url = url
        self._pool, _, self._all = pool.partition(", ")
        self._stop = stop
        self._acks = acks
        # Of this run alone: several share a broker.
        self._queue = f"bench-{os.urandom(4).hex()}"
        self._hostname = f"{self._queue}@localhost"

    def measure(self, data: Path) -> dict[str, Any]:
        start = Starter(data, data)
        try:
            return self._measure(start)
        finally:
            start.end()

    def _measure(self, start: Starter) -> dict[str, Any]:
        settings = {
            "CELERY_BROKER_URL": self._url,
            "CELERY_TASK_DEFAULT_QUEUE": self._queue,
        }
        args = {"pool": self._pool, "hostname": self._hostname}
        config = {**WORKER, "ARGS": args}
        worker = start.worker(config, via=MODULE, settings=settings)
        worker.says(" ready.")
        words = [sys.executable, "-c", ENQUEUE, self._acks]
        harness.running(words, env=start.environment(settings=settings), check=True)
        worker.until(lambda: start.marks("running")[0], "the task begun")
        count = RECEIVED.get(self._pool, len(TASKS))
        worker.until(lambda: worker.output.count(" received") >= count, "received")
        self._send(worker)
        time.sleep(WORK)
        probe = self._ask(start)
        (start.data / "go").touch()
        finished_at = time.monotonic()
        code = None
        while time.monotonic() < finished_at + PATIENCE and code is None:
            code = worker.process.poll()
            time.sleep(0.1)
            # It runs on: it has begun another task long ago. A restart takes longer.
            is_next_done = start.marks("prefetched")[1] > 0 and self._stop != "HUP"
            if is_next_done and time.monotonic() > finished_at + PATIENCE / 2:
                break
        kept = self._unacknowledged() if code is None else set()
        worker.kill()
        queued = self._queued()
        stuck = self._unacknowledged() - kept
        finished = {task for task in TASKS.values() if start.marks(task)[1]}
        found = {"finished": finished, "returned": queued, "kept": kept, "stuck": stuck}
        seen = set().union(*found.values())
        found["lost"] = set(TASKS.values()) - seen
        letters = {
            name: "".join(key for key, task in TASKS.items() if task in tasks)
            for name, tasks in found.items()
        }
        return {**letters, "code": code, "probe": probe}

    def _send(self, worker: Running) -> None:
        if self._stop == "control shutdown":
            from celery import Celery

            with Celery(broker=self._url) as app:
                app.control.shutdown(destination=[self._hostname])
            return
        word, _, twice = self._stop.partition(" ")
        for _ in range(2 if twice else 1):
            signum = getattr(signal, f"SIG{word}")
            if self._all:
                worker.signal_all(signum)
            else:
                worker.process.send_signal(signum)
            if twice:
                time.sleep(1)

    def _ask(self, start: Starter) -> str:
        line = start.probe("worker").stdout
        words = {"draining": "draining", "not running": "ended", "is ready": "ready"}
        return next((what for text, what in words.items() if text in line), line)

    def _queued(self) -> set[str]:
        from kombu import Connection

        found = set()
        with Connection(self._url) as connection:
            # The worker declares it, and with the same arguments.
            queue = connection.SimpleQueue(self._queue)
            with contextlib.suppress(queue.Empty):
                while True:
                    message = queue.get(block=False)
                    found.add(message.headers["argsrepr"].split("'")[1])
                    message.ack()
            queue.close()
        return found

    def _unacknowledged(self) -> set[str]:
        if not self._url.startswith("redis"):
            return set()
        from redis import Redis

        with Redis.from_url(self._url) as client:
            texts = [text.decode() for text in client.hvals("unacked")]
        ours = [text for text in texts if self._queue in text]
        return {task for task in TASKS.values() for text in ours if f"'{task}'" in text}


if __name__ == "__main__":
    main()
