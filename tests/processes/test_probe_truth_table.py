"""What the probe says of each worker, as things happen to it: the table of truth."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import psutil
import pytest

from django_prodserver.health import probe
from tests import harness
from tests.conftest import Starter
from tests.harness import PROJECT, Running

pytestmark = pytest.mark.process

BACKENDS = "django_prodserver.backends"
CELERY = {"BACKEND": f"{BACKENDS}.celery.CeleryWorker", "APP": "proj.celery.app"}
BEAT = {"BACKEND": f"{BACKENDS}.celery.CeleryBeat", "APP": "proj.celery.app"}
TASKS = f"{BACKENDS}.django_tasks.DjangoTasksWorker"
Q2 = f"{BACKENDS}.django_q2.DjangoQ2Worker"
YES, NO, CANNOT_TELL = 0, 1, 2
# Seconds. No test fails for a tick that comes late: it asks again. That a loop goes
# round, or that a task counts, is seen in the time by which a task is longer.
MAX_AGE = 3
LONG = MAX_AGE + 16


class Kind(NamedTuple):
    """A worker, and what "manage.py enqueue" calls its queue."""

    config: Mapping[str, Any]
    queue: str
    settings: Mapping[str, Any] = {}

    @property
    def on_database(self) -> bool:
        return self.queue == "tasks" and not self.settings


KINDS = {
    "celery": Kind(CELERY | {"ARGS": {"concurrency": 1}}, "celery"),
    "celery-threads": Kind(CELERY | {"ARGS": {"pool": "threads"}}, "celery"),
    "celery-gevent": Kind(CELERY | {"ARGS": {"pool": "gevent"}}, "celery"),
    "celery-solo": Kind(CELERY | {"ARGS": {"pool": "solo"}}, "celery"),
    "db_worker": Kind({"BACKEND": TASKS}, "tasks"),
    "rqworker": Kind(
        {"BACKEND": TASKS},
        "tasks",
        {"TASKS": {"default": {"BACKEND": "django_tasks_rq.RQBackend"}}},
    ),
    "qcluster": Kind({"BACKEND": Q2}, "q2"),
}


class Broker:
    """A Redis of the test's own, on a port of its own."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._port = harness.free_port()
        self._servers: list[Running] = []
        self.url = f"redis://127.0.0.1:{self._port}/0"

    def start(self) -> None:
        program = shutil.which("redis-server")
        assert program, "redis-server is missing; make test installs it"
        words = ["--port", str(self._port), "--bind", "127.0.0.1", "--save", ""]
        log = self._folder / f"redis-{len(self._servers)}.log"
        self._servers.append(Running([program, *words], {}, log, self._folder))
        self._servers[-1].says("Ready to accept connections")

    def kill(self) -> None:
        for server in self._servers:
            server.kill()


@pytest.fixture
def broker(tmp_path: Path) -> Iterator[Broker]:
    broker = Broker(tmp_path)
    broker.start()
    yield broker
    broker.kill()


class Watched:
    """A process, and what the probe says of it."""

    def __init__(
        self,
        start: Starter,
        broker: Broker,
        config: Mapping[str, Any],
        settings: Mapping[str, Any] | None = None,
        name: str = "worker",
    ) -> None:
        self.start = start
        self.name = name
        self.env: dict[str, Any] = {
            "settings": dict(settings or {}),
            "TEST_REDIS_URL": broker.url,
        }
        processes = {name: {"HEALTH": {"MAX_AGE": MAX_AGE}, **config}}
        environment = start.environment(processes, **self.env)
        self.worker: Running = start.process([*harness.MANAGE, name], environment)

    @property
    def pid(self) -> int:
        return self.worker.process.pid

    def ask(self, question: str) -> tuple[int, str]:
        done = self.start.probe(question, self.name)
        return done.returncode, done.stdout.strip()

    def is_live(self) -> bool:
        return self.ask("--live")[0] == YES

    def becomes(self, ready: int, words: str, seconds: float = 60) -> None:
        """Wait until the readiness is that, for that reason, and it is alive."""

        def said() -> bool:
            code, line = self.ask("--ready")
            return code == ready and words in line and self.is_live()

        self.worker.until(said, f"ready is {ready} for {words!r}", seconds)

    def dies(self, words: str) -> None:
        """Wait until it is not alive, for that reason; then it is not ready."""

        def said() -> bool:
            code, line = self.ask("--live")
            return code == NO and words in line

        harness.wait_for(said, f"dead for {words!r}", 60)
        assert self.ask("--ready")[0] == NO

    def enqueue(self, queue: str, name: str, seconds: float = 0) -> None:
        self.start.enqueue(queue, name, seconds=seconds, **self.env)


@pytest.mark.parametrize("name", list(KINDS))
def test_a_life(name: str, start: Starter, broker: Broker) -> None:
    """What a worker waits for goes and comes back; it works; it is stopped."""
    kind = KINDS[name]
    if kind.on_database:
        start.migrate()
    watched = Watched(start, broker, kind.config, kind.settings)
    watched.becomes(YES, "is ready")

    # Not ready, and alive for as long; ready again without a restart.
    database = start.data / "db.sqlite3"
    away = database.with_suffix(".away")
    if kind.on_database:
        database.rename(away)
        database.mkdir()
    else:
        broker.kill()
    watched.becomes(NO, "no connection to")
    time.sleep(MAX_AGE + 1)
    assert watched.is_live()
    assert watched.ask("--ready")[0] == NO
    if kind.on_database:
        database.rmdir()
        away.rename(database)
    else:
        broker.start()
    watched.becomes(YES, "is ready", seconds=120)

    os.kill(watched.pid, signal.SIGSTOP)
    watched.dies("is stopped")
    os.kill(watched.pid, signal.SIGCONT)
    watched.becomes(YES, "is ready")

    # One task at a time, and longer than the age that counts.
    watched.enqueue(kind.queue, "long", LONG)
    watched.worker.until(lambda: start.marks("long")[0], "the task begun")
    time.sleep(MAX_AGE + 1)
    watched.becomes(YES, "is ready")
    assert start.marks("long") == (1, 0), "the task was to be longer"
    watched.worker.process.send_signal(signal.SIGTERM)
    watched.becomes(NO, "draining")
    watched.worker.exits()
    assert start.marks("long") == (1, 1)
    watched.dies("is not running")


def test_a_loop_that_hangs_is_dead(start: Starter, broker: Broker) -> None:
    """Its process runs, and the broker has not lost it."""
    watched = Watched(start, broker, KINDS["celery"].config)
    watched.becomes(YES, "is ready")
    watched.enqueue("celery-loop", "hang", 600)
    watched.dies("is not alive: its last heartbeat is")


def test_a_sentinel_that_hangs_is_dead(start: Starter, broker: Broker) -> None:
    """The process that was started runs, and waits for it."""
    watched = Watched(start, broker, KINDS["qcluster"].config)
    watched.becomes(YES, "is ready")
    [sentinel] = psutil.Process(watched.pid).children()
    sentinel.suspend()
    watched.dies("is not alive: its last heartbeat is")


def test_no_broker_at_the_start(start: Starter, broker: Broker) -> None:
    """It waits, alive and not ready, until there is one."""
    broker.kill()
    watched = Watched(start, broker, CELERY)
    watched.worker.says("Cannot connect to")
    watched.becomes(NO, "it is starting")
    broker.start()
    watched.becomes(YES, "is ready")


def test_beat(start: Starter, broker: Broker) -> None:
    """As workers; and it is dead where they are alive."""
    worker = Watched(start, broker, CELERY | {"ARGS": {"concurrency": 1}})
    schedule = {"ARGS": {"schedule": str(start.data / "schedule")}}
    beat = Watched(start, broker, BEAT | schedule, name="beat")
    beat.becomes(YES, "is ready")
    worker.becomes(YES, "is ready")
    broker.kill()
    beat.becomes(NO, "no connection to the broker")
    time.sleep(MAX_AGE + 1)
    assert beat.is_live()
    broker.start()
    beat.becomes(YES, "is ready")
    worker.becomes(YES, "is ready", seconds=120)
    beat.worker.process.kill()
    beat.worker.exits()
    beat.dies("is not running")
    worker.becomes(YES, "is ready")


def test_a_scheduler_of_the_users_own(start: Starter, broker: Broker) -> None:
    """It sleeps for minutes and is alive; it is not asked more often; it hangs."""
    scheduler = {"ARGS": {"scheduler": "proj.schedulers.Sleepy"}}
    watched = Watched(start, broker, BEAT | scheduler, {"HURRY": False})
    watched.becomes(YES, "is ready")
    time.sleep(MAX_AGE + 1)
    watched.becomes(YES, "is ready")
    assert harness.lines(start.data / "ticks") == ["tick"]
    assert watched.worker.stop() == 0

    (start.data / "hang").touch()
    watched = Watched(start, broker, BEAT | scheduler, {"HURRY": True})
    watched.dies("is not alive: its last heartbeat is")


def test_an_execd_worker_is_joined_by_the_app(start: Starter, broker: Broker) -> None:
    """Or the probe says what to do, and never yes."""
    config = CELERY | {"PRELOAD": False, "ARGS": {"concurrency": 1}}
    watched = Watched(start, broker, config)
    watched.becomes(YES, "is ready")
    assert watched.worker.stop() == 0

    apps = ["django.contrib.contenttypes", "django.contrib.auth", "proj.jobs"]
    environment = start.environment(
        {"worker": config},
        settings={"INSTALLED_APPS": apps},
        TEST_REDIS_URL=broker.url,
    )
    worker = start.process([*harness.MODULE, "worker"], environment)
    worker.until(lambda: start.probe("worker").returncode == CANNOT_TELL, "the word")
    line = start.probe("--live", "worker").stdout
    assert 'add "django_prodserver" to INSTALLED_APPS' in line


def test_a_hundred_probes_at_once(start: Starter, broker: Broker) -> None:
    """They share nothing that they could wait for."""
    watched = Watched(start, broker, CELERY | {"HEALTH": {"MAX_AGE": 60}})
    watched.becomes(YES, "is ready")
    argv = [sys.executable, "-I", "-S", probe.__file__, "--live", "worker"]
    probes = [
        subprocess.Popen(argv, cwd=PROJECT, env=start.environment(), stdout=log)
        for log in [subprocess.DEVNULL] * 100
    ]
    assert [each.wait(60) for each in probes] == [YES] * 100
