"""Replicas of a scheduler, or of a command, of which one is active at a time."""

from __future__ import annotations

import json
import signal
from collections.abc import Iterator
from itertools import groupby
from pathlib import Path
from typing import Any

import pytest

from tests import postgres
from tests.backends.sites import YES, entry
from tests.conftest import Starter
from tests.harness import MODULE, SCRIPT, Running
from tests.postgres import Postgres

pytestmark = pytest.mark.process

STANDBY = "is ready: it is standby"
LOST = "The SINGLETON lock was lost, another replica may be active: "


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Postgres]:
    with postgres.started(tmp_path_factory.mktemp("postgres") / "log") as server:
        yield server


class Replicas:
    """Replicas of one beat, each with a directory of its own, as in containers."""

    name = "beat"

    def __init__(self, start: Starter, redis_url: str, settings: Any) -> None:
        self.start = start
        self.redis_url = redis_url
        self.settings = settings
        self._number = 0

    def entry(self, folder: Path, **keys: Any) -> dict[str, Any]:
        schedule = {"ARGS": {"schedule": str(folder / "schedule")}}
        app = {"APP": "proj.celery.app", "SINGLETON": True}
        return entry("celery.CeleryBeat", app, schedule, keys)

    def begin(self, via: Any = MODULE, **keys: Any) -> Running:
        self._number += 1
        folder = self.start.data / str(self._number)
        folder.mkdir()
        environment = self.start.environment(
            {self.name: self.entry(folder, **keys)},
            self.settings,
            TEST_REDIS_URL=self.redis_url,
            PRODSERVER_RUNTIME_DIR=str(folder),
        )
        started: Running = self.start.process([*via, self.name], environment)
        return started

    def standby(self, **keys: Any) -> Running:
        """Start a replica, and wait until it is a standby that counts as ready."""
        started = self.begin(**keys)
        started.says("standby: another replica is active")
        code, line = self.probe()
        assert (code, line.partition(" (last")[0]) == (YES, f"{self.name} {STANDBY}")
        return started

    def probe(self) -> tuple[int, str]:
        """Ask how the last replica is."""
        folder = self.start.data / str(self._number)
        return _probe(self.start.environment(PRODSERVER_RUNTIME_DIR=str(folder)))

    def senders(self, last: int = 0) -> list[int]:
        """
        Return the process IDs of those who sent tasks, in the order of sending.

        Args:
            last: Of how many tasks, the last ones; 0 for all.
        """
        from redis import Redis

        with Redis.from_url(self.redis_url) as client:
            tasks = reversed(client.lrange("celery", 0, last - 1))
        origins = [json.loads(task)["headers"]["origin"] for task in tasks]
        pids = [int(o.partition("@")[0].removeprefix("gen")) for o in origins]
        return [pid for pid, _ in groupby(pids)]

    def sends(self, replica: Running) -> None:
        """Wait until this replica has sent a task, and was the last who did."""
        replica.until(
            lambda: self.senders(last=1) == [replica.process.pid], "a task sent"
        )


class Commands(Replicas):
    """Replicas of a command that runs until it is stopped."""

    name = "bot"

    def entry(self, folder: Path, way: str = "loop", **keys: Any) -> dict[str, Any]:
        command = {"COMMAND": ["run_bot", way], "SINGLETON": True}
        return entry("management.LongRunningCommand", command, keys)


def _probe(env: dict[str, str]) -> tuple[int, str]:
    from tests.harness import running

    done = running([*MODULE[:1], "-m", "django_prodserver.health.probe"], env=env)
    return done.returncode, done.stdout


@pytest.fixture(params=["postgresql", "sqlite"])
def replicas(
    request: pytest.FixtureRequest, start: Starter, redis_url: str
) -> Replicas:
    settings: dict[str, Any] = {}
    if request.param == "postgresql":
        server = request.getfixturevalue("server")
        name = f"singleton-{start.data.parent.name}"
        settings = {"DATABASES": {"default": server.database(name)}}
    return Replicas(start, redis_url, settings)


def test_one_is_active_whatever_ends_the_other(replicas: Replicas) -> None:
    first = replicas.begin()
    replicas.sends(first)
    second = replicas.standby(PRELOAD=False)
    assert first.stop() == 0
    replicas.sends(second)
    third = replicas.standby(via=SCRIPT)
    second.process.kill()
    replicas.sends(third)
    assert third.stop() == 0
    pids = [each.process.pid for each in (first, second, third)]
    assert replicas.senders() == pids


@pytest.mark.parametrize("replicas", ["postgresql"], indirect=True)
def test_one_that_is_frozen_is_replaced_and_stays_silent(replicas: Replicas) -> None:
    frozen = replicas.begin()
    replicas.sends(frozen)
    other = replicas.standby()
    frozen.process.send_signal(signal.SIGSTOP)
    replicas.sends(other)
    frozen.process.send_signal(signal.SIGCONT)
    assert frozen.exits() == 69
    assert LOST in frozen.output
    again = replicas.standby()
    assert other.stop() == 0
    replicas.sends(again)
    # The signal may have come in the middle of sending a task: that one is sent late.
    one, two, three = (each.process.pid for each in (frozen, other, again))
    order = replicas.senders()
    assert order in ([one, two, three], [one, two, one, two, three])


def test_one_command_runs_whatever_ends_the_other(start: Starter) -> None:
    (start.data / "go").touch()
    commands = Commands(start, "", {})
    first = commands.begin()
    first.says("running")
    second = commands.standby(PRELOAD=False)
    assert "running" not in second.output
    first.process.kill()
    second.says("running")
    code, line = commands.probe()
    assert (code, "its command writes no heartbeat" in line) == (YES, True)
    third = commands.standby(via=SCRIPT)
    assert third.stop() == 0
    assert "running" not in third.output
    assert second.stop() == 0
    assert "cleaned up" in second.output


def test_a_command_that_was_frozen_ends_with_its_children(
    start: Starter, server: Postgres
) -> None:
    database = server.database(f"singleton-{start.data.parent.name}")
    commands = Commands(start, "", {"DATABASES": {"default": database}})
    frozen = commands.begin(way="stubborn")
    frozen.says("running")
    other = commands.standby()
    frozen.process.send_signal(signal.SIGSTOP)
    other.says("running")
    frozen.process.send_signal(signal.SIGCONT)
    assert frozen.exits() == 69
    assert LOST in frozen.output
    frozen.until(lambda: not frozen.left(), "the end of its children")
