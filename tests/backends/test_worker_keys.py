"""What the neutral keys of workers do: one dictionary, and BACKEND alone changed."""

from __future__ import annotations

import signal
from typing import Any, NamedTuple

import psutil
import pytest

from tests.backends.test_workers import BACKENDS, CELERY
from tests.conftest import Starter
from tests.harness import SCRIPT, Running, lines

pytestmark = pytest.mark.process

KEYS = {"CONCURRENCY": 2, "QUEUES": ["wanted", "also"], "MAX_TASKS": 1}


class Worker(NamedTuple):
    """A worker, and what is known of it."""

    backend: str
    #: What "manage.py enqueue" calls the queue.
    queue: str
    #: What its log says when it takes tasks.
    ready: str
    cannot: tuple[str, ...] = ()
    tasks: str = "django_tasks_db.DatabaseBackend"


TASKS = f"{BACKENDS}.django_tasks.DjangoTasksWorker"
Q2 = f"{BACKENDS}.django_q2.DjangoQ2Worker"
WORKERS = {
    "celery": Worker(CELERY, "celery", " ready."),
    "db_worker": Worker(TASKS, "tasks", "Starting worker", ("CONCURRENCY",)),
    "rqworker": Worker(
        TASKS, "tasks", "Listening on", ("CONCURRENCY",), "django_tasks_rq.RQBackend"
    ),
    "qcluster": Worker(Q2, "q2", "running.", ("QUEUES",)),
}


@pytest.fixture(params=WORKERS.values(), ids=list(WORKERS))
def worker(request: pytest.FixtureRequest) -> Worker:
    chosen: Worker = request.param
    return chosen


@pytest.fixture
def env(worker: Worker, redis_url: str, start: Starter) -> dict[str, Any]:
    entry = {"BACKEND": worker.tasks, "QUEUES": []}
    queues = {
        name: {"URL": redis_url} for name in ("default", "wanted", "also", "other")
    }
    env = {
        "TEST_REDIS_URL": redis_url,
        "CELERY_WORKER_LOGLEVEL": "INFO",
        "settings": {"TASKS": {"default": entry}, "RQ_QUEUES": queues},
    }
    start.migrate(**env)
    return env


def test_a_worker_is_switched_by_its_backend_alone(
    worker: Worker, env: dict[str, Any], start: Starter
) -> None:
    """So many processes, those queues and no other, each replaced after a task."""
    config = {"BACKEND": worker.backend, "APP": "proj.celery.app", **KEYS}
    running = start.worker(config, via=SCRIPT, **env)
    running.says(worker.ready)
    for key in KEYS:
        assert (f"{key} does nothing here" in running.output) is (key in worker.cannot)
    if "QUEUES" not in worker.cannot:
        start.enqueue(worker.queue, "other", on="other", **env)
    if worker.queue == "tasks":
        # One process, which ends after its one task.
        start.enqueue(worker.queue, "first", on="wanted", **env)
        assert running.exits() == 0
    else:
        on = "" if "QUEUES" in worker.cannot else "wanted"
        names = ("first", "second", "third")
        start.enqueue(worker.queue, *names, on=on, **env)
        running.until(
            lambda: all(start.marks(name)[1] for name in names), "three tasks done"
        )
        marks = start.data / "marks"
        done_by = {lines(marks / f"{name}.ended")[0] for name in names}
        assert len(done_by) == 3
        assert running.stop(signal.SIGTERM) == 0
    assert start.marks("first") == (1, 1)
    assert start.marks("other") == (0, 0)


@pytest.mark.parametrize(
    ("backend", "others"),
    # Django-Q2's are the sentinel, the pusher and the monitor.
    [(CELERY, 0), (Q2, 3)],
    ids=["celery", "qcluster"],
)
def test_concurrency_is_counted_in_processes(
    backend: str, others: int, start: Starter, redis_url: str
) -> None:
    number = 3
    env = {"TEST_REDIS_URL": redis_url, "CELERY_WORKER_LOGLEVEL": "INFO"}
    config = {"BACKEND": backend, "APP": "proj.celery.app", "CONCURRENCY": number}
    start.migrate(**env)
    running = start.worker(config, via=SCRIPT, **env)
    running.says(WORKERS["celery" if backend == CELERY else "qcluster"].ready)
    running.until(
        lambda: processes(running) == number + others, f"{number} worker processes"
    )
    assert running.stop() == 0


def processes(running: Running) -> int:
    return len(psutil.Process(running.process.pid).children(recursive=True))
