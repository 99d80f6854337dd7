"""What the probe says of each worker, as things happen to it: the table of truth."""

from __future__ import annotations

import os
import shutil
import signal
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from tests import harness
from tests.conftest import Starter
from tests.harness import Running

pytestmark = pytest.mark.process

BACKENDS = "django_prodserver.backends"
CELERY = {"BACKEND": f"{BACKENDS}.celery.CeleryWorker", "APP": "proj.celery.app"}
LIVE, DEAD, CANNOT_TELL = 0, 1, 2


class Kind(NamedTuple):
    """
    A worker.

    Attributes:
        max_age: Where the loop waits for its task, what counts is that there is
            one: a small age shows it. Where it does not, the age must allow for a
            machine that stands still for seconds, and be shorter than the task.
        seconds: How long the task takes.
    """

    config: Mapping[str, Any]
    queue: str
    max_age: float
    seconds: float
    settings: Mapping[str, Any] = {}


KINDS = {
    "celery": Kind(CELERY | {"ARGS": {"concurrency": 1}}, "celery", 8, 12),
    "celery-threads": Kind(CELERY | {"ARGS": {"pool": "threads"}}, "celery", 8, 12),
    "celery-gevent": Kind(CELERY | {"ARGS": {"pool": "gevent"}}, "celery", 8, 12),
    "celery-solo": Kind(CELERY | {"ARGS": {"pool": "solo"}}, "celery", 2, 8),
    "db_worker": Kind(
        {"BACKEND": f"{BACKENDS}.django_tasks.DjangoTasksWorker"}, "tasks", 2, 8
    ),
    "rqworker": Kind(
        {"BACKEND": f"{BACKENDS}.django_tasks.DjangoTasksWorker"},
        "tasks",
        8,
        12,
        {"TASKS": {"default": {"BACKEND": "django_tasks_rq.RQBackend"}}},
    ),
    "qcluster": Kind({"BACKEND": f"{BACKENDS}.django_q2.DjangoQ2Worker"}, "q2", 8, 12),
}
BEAT = {
    "BACKEND": f"{BACKENDS}.celery.CeleryBeat",
    "APP": "proj.celery.app",
    "ARGS": {"loglevel": "INFO"},
}


class Broker:
    """A Redis of the test's own, on a port of its own."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._port = harness.free_port()
        self._server: Running | None = None
        self.url = f"redis://127.0.0.1:{self._port}/0"

    def start(self) -> None:
        program = shutil.which("redis-server")
        assert program
        words = ["--port", str(self._port), "--bind", "127.0.0.1", "--save", ""]
        log = self._folder / "redis.log"
        log.unlink(missing_ok=True)
        self._server = Running([program, *words], {}, log, self._folder)
        self._server.says("Ready to accept connections")

    def kill(self) -> None:
        if self._server:
            self._server.kill()


@pytest.fixture
def broker(tmp_path: Path) -> Iterator[Broker]:
    broker = Broker(tmp_path)
    broker.start()
    yield broker
    broker.kill()


class Watched:
    """A worker, and what the probe says of it."""

    def __init__(
        self,
        start: Starter,
        broker: Broker,
        config: Mapping[str, Any],
        settings: Mapping[str, Any] | None = None,
        **keys: Any,
    ) -> None:
        self.start = start
        self.env: dict[str, Any] = {
            "settings": dict(settings or {}),
            "TEST_REDIS_URL": broker.url,
        }
        self.worker = start.worker({**config, **keys}, **self.env)

    def ask(self, question: str) -> tuple[int, str]:
        done = self.start.probe(question, "worker")
        return done.returncode, done.stdout.strip()

    def becomes(self, ready: int, words: str = "", seconds: float = 60) -> None:
        """Wait until the readiness is that, for that reason; it is alive then."""

        def said() -> bool:
            code, line = self.ask("--ready")
            return code == ready and words in line

        self.worker.until(said, f"ready is {ready} for {words!r}", seconds)
        assert self.ask("--live")[0] == LIVE

    def dies(self, words: str, seconds: float = 60) -> None:
        """Wait until it is not alive, for that reason; then it is not ready."""

        def said() -> bool:
            code, line = self.ask("--live")
            return code == DEAD and words in line

        harness.wait_for(said, f"dead for {words!r}", seconds)
        assert self.ask("--ready")[0] == DEAD

    def enqueue(self, queue: str, name: str, seconds: float) -> None:
        self.start.enqueue(queue, name, seconds=seconds, **self.env)
        self.worker.until(lambda: self.start.marks(name)[0], "the task begun")


@pytest.fixture(params=list(KINDS))
def kind(request: pytest.FixtureRequest) -> Kind:
    return KINDS[request.param]


@pytest.fixture
def watched(kind: Kind, start: Starter, broker: Broker) -> Watched:
    """The worker of that kind, ready."""
    if kind.queue == "tasks" and not kind.settings:
        start.migrate()
    watched = Watched(
        start, broker, kind.config, kind.settings, HEALTH={"MAX_AGE": kind.max_age}
    )
    watched.becomes(LIVE, "is ready")
    return watched


def test_a_life(kind: Kind, watched: Watched) -> None:
    """Ready; at work for longer than the age that counts; stopped; draining; gone."""
    watched.enqueue(kind.queue, "long", kind.seconds)
    time.sleep((kind.max_age + kind.seconds) / 2)
    if not watched.start.marks("long")[1]:
        assert watched.ask("--live")[0] == LIVE
        assert watched.ask("--ready")[0] == LIVE
    watched.worker.until(lambda: watched.start.marks("long")[1], "the task done")
    watched.becomes(LIVE, "is ready")

    os.kill(watched.worker.process.pid, signal.SIGSTOP)
    watched.dies("is stopped")
    os.kill(watched.worker.process.pid, signal.SIGCONT)
    watched.becomes(LIVE, "is ready")

    watched.enqueue(kind.queue, "last", 8)
    watched.worker.process.send_signal(signal.SIGTERM)
    watched.becomes(DEAD, "draining", seconds=6)
    watched.worker.exits()
    assert watched.start.marks("last") == (1, 1)
    watched.dies("is not running")


def test_the_broker_goes_and_comes_back(
    kind: Kind, watched: Watched, broker: Broker
) -> None:
    """Not ready and alive for as long; then ready, and at work, without a restart."""
    if kind.queue == "tasks" and not kind.settings:
        database = watched.start.data / "db.sqlite3"
        away = database.with_suffix(".away")
        database.rename(away)
        database.mkdir()
    else:
        broker.kill()
    watched.becomes(DEAD, "no connection to")
    # Longer than the age that counts, and than a first retry.
    time.sleep(kind.max_age + 1)
    assert watched.ask("--live")[0] == LIVE
    assert watched.ask("--ready")[0] == DEAD
    if kind.queue == "tasks" and not kind.settings:
        database.rmdir()
        away.rename(database)
    else:
        broker.start()
    watched.becomes(LIVE, "is ready", seconds=120)
    watched.enqueue(kind.queue, "after", 0)
    watched.worker.until(lambda: watched.start.marks("after")[1], "the task done")
