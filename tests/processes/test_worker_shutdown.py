"""``GRACEFUL_TIMEOUT`` of every worker: what it does not finish, it gives back."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Mapping
from typing import Any, NamedTuple

import pytest

from tests.conftest import Starter
from tests.harness import Running
from tests.servers import BACKENDS, config

pytestmark = pytest.mark.process

CELERY = {"BACKEND": f"{BACKENDS}.celery.CeleryWorker", "APP": "proj.celery.app"}
TASKS = {"BACKEND": f"{BACKENDS}.django_tasks.DjangoTasksWorker"}
Q2 = {"BACKEND": f"{BACKENDS}.django_q2.DjangoQ2Worker"}
ON_RQ = {"TASKS": {"default": {"BACKEND": "django_tasks_rq.RQBackend"}}}
Q2_ON_ORM = {
    "Q_CLUSTER": {
        "name": "test",
        "workers": 2,
        # Far from the grace, which is to be what ends it.
        "timeout": 600,
        "retry": 1200,
        "orm": "default",
        "poll": 0.2,
    }
}
#: Seconds, of which a worker under test is given so many to stop.
GRACE = 2
HOLD, STUBBORN = -1, -2


class Kind(NamedTuple):
    """A worker, and the queue that it works on."""

    config: Mapping[str, Any]
    #: What "manage.py enqueue" calls the queue.
    queue: str
    settings: Mapping[str, Any] = {}


def celery(**args: Any) -> dict[str, Any]:
    return {**CELERY, "ARGS": {"concurrency": 1, "loglevel": "INFO", **args}}


COLD = {"PRELOAD": False}
KINDS = {
    "celery": Kind(celery(), "celery-late"),
    "celery-exec": Kind({**celery(), **COLD}, "celery-late"),
    "celery-threads": Kind(celery(pool="threads"), "celery-late"),
    "celery-solo": Kind(celery(pool="solo"), "celery-late"),
    "celery-gevent": Kind(celery(pool="gevent"), "celery-late"),
    "db_worker": Kind(TASKS, "tasks"),
    "db_worker-exec": Kind({**TASKS, **COLD}, "tasks"),
    "rqworker": Kind(TASKS, "tasks", ON_RQ),
    "qcluster": Kind(Q2, "q2"),
    "qcluster-orm": Kind(Q2, "q2", Q2_ON_ORM),
    "qcluster-exec": Kind({**Q2, **COLD}, "q2"),
}


class Site:
    """The project with a database and a broker, for one kind of worker."""

    def __init__(self, start: Starter, redis_url: str, kind: Kind) -> None:
        self.start = start
        self.kind = kind
        self.env: dict[str, Any] = {
            "TEST_REDIS_URL": redis_url,
            "settings": kind.settings,
        }
        start.migrate(**self.env)

    def worker(self, seconds: int = GRACE) -> Running:
        config = {**self.kind.config, "GRACEFUL_TIMEOUT": seconds}
        return self.start.worker(config, **self.env)

    def in_progress(self, worker: Running, *names: str, seconds: float = HOLD) -> None:
        """Put tasks on the queue, and return when they have begun."""
        self.start.enqueue(self.kind.queue, *names, seconds=seconds, **self.env)
        worker.until(
            lambda: all(self.start.marks(name)[0] for name in names), "tasks begun"
        )

    def go(self) -> None:
        """Let all tasks come to their end."""
        (self.start.data / "go").touch()

    def done(self, worker: Running, *names: str) -> None:
        worker.until(
            lambda: all(self.start.marks(name)[1] for name in names), "tasks done", 60
        )


@pytest.fixture
def site(start: Starter, redis_url: str, request: pytest.FixtureRequest) -> Site:
    return Site(start, redis_url, KINDS[request.param])


@pytest.mark.parametrize("site", KINDS, indirect=True)
def test_what_is_not_finished_is_ended_and_put_back(site: Site) -> None:
    worker = site.worker()
    site.in_progress(worker, "long")
    signalled = time.monotonic()
    assert worker.stop(seconds=60) == 1
    assert GRACE - 0.5 < time.monotonic() - signalled < 30
    assert f"not finished within {GRACE} s (GRACEFUL_TIMEOUT)" in worker.output
    assert site.start.marks("long") == (1, 0)
    again = site.worker(60)
    again.until(lambda: site.start.marks("long")[0] == 2, "the task begun again", 60)
    site.go()
    site.done(again, "long")
    assert again.stop(seconds=60) == 0
    assert site.start.marks("long") == (2, 1)


@pytest.mark.parametrize("site", ["qcluster", "qcluster-orm"], indirect=True)
def test_a_cluster_gives_back_what_it_has_fetched(site: Site) -> None:
    """It has two workers, and more tasks in a queue of its own."""
    worker = site.worker()
    site.in_progress(worker, "a", "b")
    site.start.enqueue("q2", "c", "d", seconds=HOLD, **site.env)
    assert worker.stop(seconds=60) == 1
    site.go()
    again = site.worker(60)
    site.done(again, *"abcd")
    assert again.stop(seconds=60) == 0
    assert [site.start.marks(name) for name in "abcd"] == [(2, 1)] * 2 + [(1, 1)] * 2


@pytest.mark.parametrize("site", ["qcluster"], indirect=True)
def test_a_signal_for_the_whole_group_of_a_cluster_loses_nothing(site: Site) -> None:
    """Natively it hangs: django-q2#346."""
    worker = site.worker(60)
    site.in_progress(worker, "a", "b")
    for _ in range(2):
        os.killpg(worker.process.pid, signal.SIGTERM)
    worker.says("stopping")
    site.go()
    assert worker.exits(60) == 0
    assert [site.start.marks(name) for name in "ab"] == [(1, 1)] * 2


@pytest.mark.parametrize("site", ["qcluster", "db_worker", "rqworker"], indirect=True)
def test_a_second_signal_does_not_wait(site: Site) -> None:
    worker = site.worker(600)
    site.in_progress(worker, "long")
    worker.process.send_signal(signal.SIGTERM)
    time.sleep(1.5)  # RQ takes two within a second for one
    assert worker.stop(seconds=60) == 1
    site.go()
    again = site.worker(60)
    site.done(again, "long")
    assert site.start.marks("long") == (2, 1)


@pytest.mark.parametrize("site", ["db_worker"], indirect=True)
def test_a_task_that_takes_no_exception_is_ended_too(site: Site) -> None:
    worker = site.worker()
    site.in_progress(worker, "long", seconds=STUBBORN)
    assert worker.stop(seconds=60) == 1
    site.go()
    again = site.worker(60)
    site.done(again, "long")
    assert site.start.marks("long") == (2, 1)


@pytest.mark.parametrize("site", ["celery"], indirect=True)
def test_a_task_that_celery_has_acknowledged_is_lost(site: Site) -> None:
    """As its default is: a task that is not acks_late is acknowledged first."""
    worker = site.worker()
    site.start.enqueue("celery", "early", seconds=HOLD, **site.env)
    worker.until(lambda: site.start.marks("early")[0], "the task begun")
    assert worker.stop(seconds=60) == 1
    site.go()
    again = site.worker(60)
    site.start.enqueue("celery", "after", **site.env)
    site.done(again, "after")
    assert site.start.marks("early") == (1, 0)


@pytest.mark.parametrize(
    ("server", "args", "code"),
    [
        ("gunicorn-2", {"threads": 2}, 0),
        ("uvicorn", {}, -signal.SIGTERM),
        ("uvicorn-2", {}, 0),
        ("granian-asgi", {}, 0),
        ("granian-wsgi-2", {}, 0),
        ("waitress", {}, 1),
    ],
)
def test_a_request_that_is_not_finished_is_cut(
    start: Starter, port: int, server: str, args: dict[str, Any], code: int
) -> None:
    """The exit code is the server's own."""
    web = start.web(config(server, port, args, GRACEFUL_TIMEOUT=GRACE), port=port)
    request = web.in_flight("/slow?s=120")
    signalled = time.monotonic()
    assert web.stop(seconds=60) == code
    assert GRACE - 0.5 < time.monotonic() - signalled < 30
    with pytest.raises(OSError, match=r"closed connection|reset"):
        request.result(30)


@pytest.mark.parametrize("site", ["celery"], indirect=True)
def test_beat_has_a_deadline_too(site: Site) -> None:
    """It ends by itself in time, and that is a clean end."""
    beat = site.start.worker(
        {
            "BACKEND": f"{BACKENDS}.celery.CeleryBeat",
            "APP": "proj.celery.app",
            "GRACEFUL_TIMEOUT": GRACE,
            "ARGS": {"schedule": str(site.start.data / "s"), "loglevel": "INFO"},
        },
        **site.env,
    )
    beat.says("beat: Starting")
    assert beat.stop(seconds=60) == 0
