"""Every worker, for real: given a task, signalled in the middle of it, looked at."""

from __future__ import annotations

import json
import signal
import time
from collections.abc import Mapping
from typing import Any, NamedTuple

import pytest

from tests.conftest import STOPS, Row, Starter
from tests.harness import MANAGE, MODULE, PROJECT, Running, running

pytestmark = pytest.mark.process

BACKENDS = "django_prodserver.backends"
CELERY = f"{BACKENDS}.celery.CeleryWorker"


class Queue(NamedTuple):
    """A worker, and the queue that it works on."""

    config: Mapping[str, Any]
    #: What "manage.py enqueue" calls the queue.
    name: str
    #: What the worker's log says when it takes tasks.
    ready: str
    tasks: str = "django_tasks_db.DatabaseBackend"
    on_int: int = 0


WORKERS = {
    # Natively celery ends with 1 after SIGINT.
    "celery": Queue(
        {
            "BACKEND": CELERY,
            "APP": "proj.celery.app",
            "ARGS": {"concurrency": 2, "loglevel": "INFO"},
        },
        "celery",
        " ready.",
        on_int=1,
    ),
    "celery-threads": Queue(
        {
            "BACKEND": CELERY,
            "APP": "proj.celery",
            "ARGS": {"pool": "threads", "loglevel": "INFO"},
        },
        "celery",
        " ready.",
        on_int=1,
    ),
    "celery-gevent": Queue(
        {
            "BACKEND": CELERY,
            "APP": "proj.celery:app",
            "ARGS": {"P": "gevent", "loglevel": "INFO"},
        },
        "celery",
        " ready.",
        on_int=1,
    ),
    "db_worker": Queue(
        {"BACKEND": f"{BACKENDS}.django_tasks.DjangoTasksWorker"},
        "tasks",
        "Starting worker",
    ),
    "rqworker": Queue(
        {"BACKEND": f"{BACKENDS}.django_tasks.DjangoTasksWorker"},
        "tasks",
        "Listening on default",
        tasks="django_tasks_rq.RQBackend",
    ),
    "qcluster": Queue(
        {"BACKEND": f"{BACKENDS}.django_q2.DjangoQ2Worker"}, "q2", "running."
    ),
}


@pytest.fixture(params=WORKERS.values(), ids=list(WORKERS))
def queue(request: pytest.FixtureRequest) -> Queue:
    chosen: Queue = request.param
    return chosen


class Site:
    """The project with a database and a broker, for one kind of worker."""

    def __init__(self, start: Starter, redis_url: str, queue: Queue) -> None:
        self.start = start
        self.queue = queue
        self.name = next(name for name, known in WORKERS.items() if known is queue)
        self.env: dict[str, Any] = {
            "TEST_REDIS_URL": redis_url,
            "settings": {"TASKS": {"default": {"BACKEND": queue.tasks}}},
        }
        start.migrate(**self.env)

    def worker(self, *args: str, **more: Any) -> Running:
        config = {**self.queue.config, **more.pop("config", {})}
        worker = self.start.worker(config, *args, **{**self.env, **more})
        worker.says(self.queue.ready)
        return worker

    def enqueue(self, *names: str, seconds: float = 0) -> None:
        self.start.enqueue(self.queue.name, *names, seconds=seconds, **self.env)

    def done(self, worker: Running, name: str) -> None:
        """Return when the task of that name has ended."""
        worker.until(lambda: self.start.marks(name)[1], f"task {name} done")

    def in_flight(self, worker: Running, name: str, seconds: float = 3) -> None:
        """Put a task on the queue, and return when it has begun."""
        self.enqueue(name, seconds=seconds)
        worker.until(lambda: self.start.marks(name)[0], f"task {name} begun")


@pytest.fixture
def site(start: Starter, redis_url: str, queue: Queue) -> Site:
    return Site(start, redis_url, queue)


def test_sigterm_finishes_the_task(site: Site, row: Row) -> None:
    """The task in progress is finished, one behind it not lost, the exit clean."""
    begun = time.monotonic()
    worker = site.worker()
    site.enqueue("first")
    site.done(worker, "first")
    ready_after = time.monotonic() - begun
    site.in_flight(worker, "long")
    site.enqueue("behind")
    signalled = time.monotonic()
    code = worker.stop(signal.SIGTERM)
    took = time.monotonic() - signalled
    assert site.start.marks("long") == (1, 1)
    assert code == 0
    assert took < 15
    again = site.worker(via=MODULE)
    # One more, that is surely the second worker's: it is in its loop by then.
    site.enqueue("last")
    site.done(again, "behind")
    site.done(again, "last")
    assert again.stop() == 0
    assert site.start.marks("behind") == (1, 1)
    assert site.start.marks("long") == (1, 1)
    row(
        STOPS,
        **{"backend": site.name, "first (s)": ready_after},
        **{"in flight": "completed", "exit": code, "stop (s)": took},
    )


def test_sigint_finishes_the_task(site: Site) -> None:
    worker = site.worker(via=MODULE)
    site.in_flight(worker, "long", 2)
    assert worker.stop(signal.SIGINT) == site.queue.on_int
    assert site.start.marks("long") == (1, 1)


def test_what_dry_run_prints_works_the_same(site: Site) -> None:
    """The line can be pasted into a shell, and is the whole command."""
    env = site.start.environment({"worker": site.queue.config}, **site.env)
    printed = running([*MANAGE, "worker", "--dry-run"], env=env).stdout
    bare = {k: env[k] for k in env if k != "DJANGO_SETTINGS_MODULE"}
    worker = site.start.process(["sh", "-c", f"exec env {printed}"], bare)
    worker.says(site.queue.ready)
    site.enqueue("pasted")
    worker.until(lambda: site.start.marks("pasted")[1], "the task done")
    assert worker.stop() == 0


class TestCelery:
    """What only celery does."""

    queue = WORKERS["celery"]

    @pytest.fixture
    def site(self, start: Starter, redis_url: str) -> Site:
        return Site(start, redis_url, self.queue)

    def test_a_broker_that_cannot_be_reached_is_no_success(
        self, start: Starter
    ) -> None:
        env: dict[str, Any] = {
            "settings": {
                "CELERY_BROKER_URL": "redis://127.0.0.1:1/0",
                "CELERY_BROKER_CONNECTION_RETRY_ON_STARTUP": False,
            }
        }
        worker = start.worker(self.queue.config, **env)
        assert worker.exits() == 1

    def test_the_filesystem_is_a_broker_too(self, start: Starter) -> None:
        """Where no server is wanted; a task is done, and the exit clean."""
        folder = start.data / "broker"
        folder.mkdir()
        options = {"data_folder_in": str(folder), "data_folder_out": str(folder)}
        env: dict[str, Any] = {
            "settings": {
                "CELERY_BROKER_URL": "filesystem://",
                "CELERY_BROKER_TRANSPORT_OPTIONS": options
                | {"control_folder": str(folder / "control")},
            }
        }
        worker = start.worker(self.queue.config, **env)
        worker.says(" ready.")
        start.enqueue("celery", "filed", **env)
        worker.until(lambda: start.marks("filed")[1], "the task done")
        assert worker.stop() == 0

    def test_sighup_starts_it_again_in_place(self, site: Site) -> None:
        """As natively: the task in progress is finished, then it is a new worker."""
        worker = site.worker()
        site.in_flight(worker, "long", 1)
        worker.process.send_signal(signal.SIGHUP)
        worker.until(lambda: worker.output.count(" ready.") == 2, "ready again")
        assert site.start.marks("long") == (1, 1)
        site.enqueue("after")
        worker.until(lambda: site.start.marks("after")[1], "the task after it done")
        assert worker.stop() == 0

    def test_its_own_environment_variables_work(self, site: Site) -> None:
        worker = site.worker(config={"ARGS": {}}, CELERY_WORKER_LOGLEVEL="INFO")
        assert worker.stop() == 0


def test_beat_sends_and_stops(start: Starter, redis_url: str) -> None:
    """Beat puts its task on the queue every half second, until SIGTERM."""
    from redis import Redis

    beat = start.worker(
        {
            "BACKEND": f"{BACKENDS}.celery.CeleryBeat",
            "APP": "proj.celery.app",
            "ARGS": {"schedule": str(start.data / "schedule"), "loglevel": "INFO"},
        },
        TEST_REDIS_URL=redis_url,
    )
    with Redis.from_url(redis_url) as client:
        beat.until(lambda: int(client.llen("celery")) >= 2, "two tasks sent")
        task = json.loads(client.lrange("celery", 0, 0)[0])
    assert task["headers"]["task"] == "proj.jobs.celery_tasks.mark"
    assert beat.stop() == 0


def test_flower_answers_and_stops(start: Starter, redis_url: str, port: int) -> None:
    from tests.harness import Web

    environment = start.environment(
        {
            "web": {
                "BACKEND": f"{BACKENDS}.celery.CeleryFlower",
                "APP": "proj.celery.app",
                "ARGS": {"port": port, "address": "127.0.0.1", "url-prefix": "f"},
            }
        },
        TEST_REDIS_URL=redis_url,
    )
    server: Web = start.process([*MANAGE], environment, kind=Web, cwd=PROJECT)
    server.port = port
    server.until(lambda: _answers(server), "the first answer")
    # The probe asks what Flower has for that.
    ready, live = start.probe("--ready"), start.probe("--live")
    assert (ready.returncode, live.returncode) == (0, 0)
    assert f"200 from 127.0.0.1:{port}" in ready.stdout
    assert server.stop() == 0


def _answers(server: Any) -> bool:
    try:
        return str(server.get("/f/healthcheck")) == "OK"
    except OSError:
        return False
