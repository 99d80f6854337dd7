"""The table of truth in containers: what the probe and the HEALTHCHECK say of each."""

from __future__ import annotations

import json
import signal
import time
from collections.abc import Callable
from typing import Any

import pytest

from tests.backends.contract import MAX_AGE
from tests.backends.sites import NO, YES, entry
from tests.conftest import Row
from tests.containers.harness import Container, Containers, Databases, Site
from tests.harness import wait_for

pytestmark = pytest.mark.container

TABLE = "What prodserver-probe says, in the image"
#: The image's own check, and oftener.
OFTEN = {"interval": 1_000_000_000, "retries": 2}
QUEUES = {
    "celery": "celery",
    "db_worker": "tasks",
    "qcluster": "q2",
    "rqworker": "rq",
    "dramatiq": "dramatiq",
    "huey": "huey",
}
APP = {"APP": "proj.celery.app"}
CELERY = entry("celery.CeleryWorker", APP)
BEAT = entry("celery.CeleryBeat", APP)
WORKERS = {
    "celery": CELERY | {"CONCURRENCY": 1},
    "db_worker": entry("django_tasks.DjangoTasksWorker"),
    "rqworker": entry("rq.RQWorker"),
    "dramatiq": entry("dramatiq.DramatiqWorker", {"CONCURRENCY": 1}),
    "huey": entry("huey.HueyConsumer"),
    "qcluster": entry("django_q2.DjangoQ2Worker"),
}
#: Seconds of a task by which it is longer than the age that counts.
LONG = MAX_AGE + 16


class Seen:
    """A container, and the rows that are seen of it."""

    def __init__(self, row: Row, name: str, container: Container) -> None:
        self.container = container
        self._row = row
        self._name = name
        self._number = 0

    def __call__(self, event: str, live: int, ready: int, words: str) -> None:
        """Wait until it is so, for that reason."""

        def said() -> bool:
            answer = self.container.probe("--ready", self._name)
            is_live = self.container.probe("--live", self._name).code
            return (is_live, answer.code) == (live, ready) and words in answer.output

        self.container.until(said, f"{event}: {live}, {ready} for {words!r}", 120)
        self._number += 1
        answers = {YES: "yes", NO: "no"}
        self._row(
            TABLE,
            process=self._name,
            event=f"{self._number}. {event}",
            live=answers[live],
            ready=answers[ready],
            because=words,
        )

    def signal(self, signum: int) -> None:
        """Send one to the worker itself, and not to the init that is above it."""
        (pid,) = [p.pid for p in self.container.processes() if p.ppid == 1]
        kill(self.container, pid, signum)


def kill(container: Container, pid: int, signum: int) -> None:
    done = container.exec("sh", "-c", f"kill -{int(signum)} {pid}")
    assert done.code == 0, done.output


class Broker:
    """A Redis that can be killed and started without changing its address."""

    _PROGRAM = """
    while sleep 0.2; do
        [ -e /tmp/down ] && continue
        redis-server --bind '*' --protected-mode no --save '' --dir /tmp &
        echo $! >/tmp/pid
        wait
    done
    """

    def __init__(self, containers: Containers) -> None:
        options: dict[str, Any] = {"entrypoint": ["sh"]}
        image = containers.images.redis
        self.container = containers.start("-c", self._PROGRAM, image=image, **options)
        self.container.says("Ready to accept connections")
        self.env = {"TEST_REDIS_URL": f"redis://{self.container.address}:6379/0"}

    def kill(self) -> None:
        self._run("touch /tmp/down; kill -9 $(cat /tmp/pid)")

    def start(self) -> None:
        self._run("rm /tmp/down")

    def _run(self, command: str) -> None:
        done = self.container.exec("sh", "-c", command)
        assert done.code == 0, done.output


class Database:
    """A database of a server that others use, too."""

    def __init__(self, databases: Databases) -> None:
        self._server = databases.server
        self.env = databases.create()
        self._name = self.env["TEST_DATABASE"]

    def kill(self) -> None:
        self._run(f"ALTER DATABASE {self._name} ALLOW_CONNECTIONS false")
        ours = f"FROM pg_stat_activity WHERE datname = '{self._name}'"
        self._run(f"SELECT pg_terminate_backend(pid) {ours}")

    def start(self) -> None:
        self._run(f"ALTER DATABASE {self._name} ALLOW_CONNECTIONS true")

    def _run(self, statement: str) -> None:
        url = "postgresql://postgres:postgres@127.0.0.1/postgres"
        done = self._server.exec("psql", url, "--command", statement)
        assert done.code == 0, done.output


@pytest.mark.parametrize("name", QUEUES)
def test_a_worker(
    name: str,
    containers: Containers,
    databases: Callable[[], Databases],
    row: Row,
) -> None:
    """Its broker goes and comes back; it is stopped; it works; it drains."""
    redis, database = Broker(containers), Database(databases())
    broker = database if name == "db_worker" else redis
    site = Site(containers, redis.container, {**redis.env, **database.env})
    config = {**WORKERS[name], "HEALTH": {"MAX_AGE": MAX_AGE}}
    settings = json.dumps({"PRODUCTION_PROCESSES": {name: config}})
    worker = site.start(name, env={"TEST_SETTINGS": settings}, healthcheck=OFTEN)
    see = Seen(row, name, worker)
    see("started", YES, YES, "is ready")
    worker.healthy()

    broker.kill()
    see("broker killed", YES, NO, "no connection to")
    time.sleep(MAX_AGE + 1)
    see("and away for longer than MAX_AGE", YES, NO, "no connection to")
    worker.until(lambda: worker.health == "unhealthy", "unhealthy")
    broker.start()
    see("broker back", YES, YES, "is ready")
    worker.healthy()

    see.signal(signal.SIGSTOP)
    see("SIGSTOP", NO, NO, "is stopped")
    see.signal(signal.SIGCONT)
    see("SIGCONT", YES, YES, "is ready")

    site.enqueue(QUEUES[name], "long", seconds=LONG + 6)
    worker.until(lambda: site.marks("long")[0], "the task begun")
    time.sleep(MAX_AGE + 1)
    see("a task longer than MAX_AGE", YES, YES, "is ready")
    assert site.marks("long") == (1, 0), "the task was to be longer"
    worker.signal("SIGTERM")
    see("SIGTERM, the task goes on", YES, NO, "draining")
    assert worker.exits() == 0
    assert site.marks("long") == (1, 1)


def test_beat_is_dead_and_workers_are_alive(site: Site, row: Row) -> None:
    """Two processes of one container."""
    beat = {**BEAT, "ARGS": {"schedule": "/tmp/schedule"}}
    processes = {"worker": dict(CELERY), "beat": beat}
    settings = json.dumps({"PRODUCTION_PROCESSES": processes})
    worker = site.start("worker", env={"TEST_SETTINGS": settings})
    see_worker, see_beat = Seen(row, "worker", worker), Seen(row, "beat", worker)
    worker.docker.exec_run(["prodserver", "beat"], detach=True)
    see_beat("started", YES, YES, "is ready")
    see_worker("started, beside beat", YES, YES, "is ready")
    (pid,) = [p.pid for p in worker.processes() if "beat" in p.command]
    kill(worker, pid, signal.SIGKILL)
    see_beat("beat killed", NO, NO, "is not running")
    see_worker("beat killed", YES, YES, "is ready")


def test_of_another_container_nothing_is_believed(site: Site, row: Row) -> None:
    """Neither while that runs, nor when it has left its files behind."""
    folder = site.containers.folder / "run"
    folder.mkdir()
    folder.chmod(0o777)
    settings = json.dumps({"PRODUCTION_PROCESSES": {"worker": dict(CELERY)}})
    env = {"TEST_SETTINGS": settings, "PRODSERVER_RUNTIME_DIR": "/data/run"}
    worker = site.start("worker", env=env)
    worker.until(lambda: worker.probe().code == YES, "ready")
    other = site.containers.start("sleep", "infinity", env=env)
    line = "cannot tell: the state of worker is from another container or boot\n"
    assert other.probe("--live", "worker") == (2, line)
    assert other.probe("--ready", "worker") == (2, line)
    worker.docker.kill()
    assert (folder / "worker.heartbeat").exists()
    assert other.probe("--live", "worker") == (2, line)

    # The pids of the next one are the same.
    worker.docker.start()
    wait_for(lambda: worker.probe("worker").code == YES, "ready again", 60)
    row(
        TABLE,
        process="worker",
        event="asked in another container",
        live="cannot tell",
        ready="cannot tell",
        because="of another container",
    )
