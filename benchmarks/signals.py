"""
What each server and worker does on each signal, with a request or a task in flight.

    python -m benchmarks.signals [NAME ...]

Each is started by ``prodserver``, given three seconds of work, and signalled in the
middle of it. Written to benchmarks/results/signals.json, per process and signal:

- ``code``: what it exited with, negative for the signal that ended it; null if it
  runs on;
- ``work``: "done" or "cut";
- ``replaced``: whether all of its children are others than before, where it runs on;
- ``left``: whether processes of it were left behind when it had ended.
"""

from __future__ import annotations

import argparse
import contextlib
import signal
import sys
import tempfile
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import psutil

from benchmarks import subject
from benchmarks.machine import machine
from tests.conftest import Starter
from tests.harness import MODULE, Running, Web, free_port, wait_for
from tests.servers import config

SIGNALS = ("TERM", "INT", "QUIT", "HUP", "USR1", "USR2")
BACKENDS = "django_prodserver.backends"
WORK = 3
#: Seconds after the work is over in which what is to end has ended.
PATIENCE = 9

#: Each a server of ``tests.servers``, with more options.
SERVERS: Mapping[str, tuple[str, Mapping[str, Any]]] = {
    "gunicorn": ("gunicorn-2", {}),
    "gunicorn sync": ("gunicorn-2", {"threads": 1}),
    "gunicorn asgi": ("gunicorn-2", {"worker-class": "asgi"}),
    "uvicorn, 1 worker": ("uvicorn", {}),
    "uvicorn, 2 workers": ("uvicorn-2", {}),
    "granian wsgi": ("granian-wsgi-2", {}),
    "granian asgi": ("granian-asgi-2", {}),
    "waitress": ("waitress", {}),
}
CELERY = {"BACKEND": f"{BACKENDS}.celery.CeleryWorker", "APP": "proj.celery.app"}
TASKS = {"BACKEND": f"{BACKENDS}.django_tasks.DjangoTasksWorker"}
ON_RQ = {"TASKS": {"default": {"BACKEND": "django_tasks_rq.RQBackend"}}}
#: Each an entry, the queue that "manage.py enqueue" knows, and more settings.
WORKERS: Mapping[str, tuple[Mapping[str, Any], str, Mapping[str, Any]]] = {
    "celery": ({**CELERY, "CONCURRENCY": 2}, "celery", {}),
    "db_worker": (TASKS, "tasks", {}),
    "rqworker": (TASKS, "tasks", ON_RQ),
    "qcluster": ({"BACKEND": f"{BACKENDS}.django_q2.DjangoQ2Worker"}, "q2", {}),
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("names", nargs="*", default=[*SERVERS, *WORKERS])
    names = subject.options(parser, names=["gunicorn"]).names
    with tempfile.TemporaryDirectory(prefix="ps") as folder, redis(folder) as url:
        found = {name: measure(name, Path(folder), url) for name in names}
    # What is not measured now stays.
    found = subject.read("signals").get("processes", {}) | found
    result = {"machine": machine(), "options": {"seconds": WORK}, "processes": found}
    subject.write("signals", result)


def measure(name: str, folder: Path, redis_url: str) -> dict[str, Any]:
    found = {}
    for word in SIGNALS:
        data = Path(tempfile.mkdtemp(dir=folder))
        start = Starter(data, data)
        try:
            begin = server if name in SERVERS else worker
            running, done = begin(start, name, redis_url)
            found[word] = signalled(running, done, getattr(signal, f"SIG{word}"))
        finally:
            start.end()
        print(f"{name}: SIG{word}: {found[word]}", file=sys.stderr)
    return found


def server(
    start: Starter, name: str, redis_url: str
) -> tuple[Running, Callable[[], bool]]:
    """Start a server, and a request; return what says whether that was answered."""
    port = free_port()
    of, args = SERVERS[name]
    web: Web = start.web(config(of, port, args), port=port, via=MODULE)
    request = web.in_flight(f"/slow?s={WORK}")

    def is_done() -> bool:
        with contextlib.suppress(OSError):
            return request.result() == "slow done"
        return False

    return web, is_done


def worker(
    start: Starter, name: str, redis_url: str
) -> tuple[Running, Callable[[], bool]]:
    """Start a worker, and a task; return what says whether that came to its end."""
    entry, queue, settings = WORKERS[name]
    env: dict[str, Any] = {"settings": settings, "TEST_REDIS_URL": redis_url}
    start.migrate(**env)
    running = start.worker(entry, via=MODULE, **env)
    start.enqueue(queue, "long", seconds=WORK, **env)
    running.until(lambda: start.marks("long")[0], "the task begun")

    def is_done() -> bool:
        time.sleep(WORK)
        return start.marks("long")[1] > 0

    return running, is_done


def signalled(
    running: Running, is_done: Callable[[], bool], signum: int
) -> dict[str, Any]:
    process = psutil.Process(running.process.pid)
    before = {child.pid for child in process.children(recursive=True)}
    running.process.send_signal(signum)
    done = is_done()

    def replaced() -> bool:
        with contextlib.suppress(psutil.Error):
            now = {child.pid for child in process.children(recursive=True)}
            return bool(now and not now & before)
        return False

    deadline = time.monotonic() + PATIENCE
    code = None
    while time.monotonic() < deadline and code is None:
        code = running.process.poll()
        time.sleep(0.1)
    time.sleep(1)  # what ends with it may take that long
    code = running.process.poll()
    return {
        "code": code,
        "work": "done" if done else "cut",
        "replaced": code is None and replaced(),
        "left": code is not None and bool(running.left()),
    }


@contextlib.contextmanager
def redis(folder: str):  # type: ignore[no-untyped-def]
    port = free_port()
    words = ["redis-server", "--port", str(port), "--bind", "127.0.0.1", "--save", ""]
    server = Running(words, {}, Path(folder, "redis.log"), Path(folder))
    wait_for(lambda: "Ready to accept" in server.output, "Redis")
    yield f"redis://127.0.0.1:{port}/0"
    server.kill()


if __name__ == "__main__":
    main()
