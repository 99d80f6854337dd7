"""Django-Q2's cluster, on Redis and on the database."""

from __future__ import annotations

import signal
import sqlite3
from collections.abc import Mapping
from contextlib import closing
from typing import Any

import psutil
import pytest

from tests.backends.contract import GRACE, MAX_AGE, DeadlineContract, WorkerContract
from tests.backends.sites import HOLD, YES, Broker, Watched, WorkerSite, entry
from tests.conftest import Starter

WORKER = "django_q2.DjangoQ2Worker"
ON_DATABASE: Mapping[str, Any] = {
    "Q_CLUSTER": {
        "name": "test",
        "workers": 2,
        # Far from the deadline, which is to be what ends it.
        "timeout": 600,
        "retry": 1200,
        "orm": "default",
        "poll": 0.2,
    }
}


class TestDjangoQ2(WorkerContract):
    backend = WORKER
    variants = {"redis": {}}
    queue = "q2"
    ready = "running."
    task = "proj.jobs.work.mark"
    other_processes = 3  # the sentinel, the pusher and the monitor


class TestOnTheDatabase(DeadlineContract):
    backend = WORKER
    variants = {"orm": {}}
    queue = "q2"
    settings = ON_DATABASE


class TestWithoutPreload(DeadlineContract):
    backend = WORKER
    variants = {"redis": {"PRELOAD": False}}
    queue = "q2"


@pytest.mark.process
class TestItsOwn:
    """What only a cluster does: it is six processes, with a queue of their own."""

    @pytest.mark.parametrize("settings", [{}, ON_DATABASE], ids=["redis", "orm"])
    def test_it_gives_back_what_it_has_fetched(
        self, settings: Mapping[str, Any], start: Starter, redis_url: str
    ) -> None:
        """It has two workers, and more tasks in a queue of its own."""
        site = WorkerSite(start, redis_url, entry(WORKER), settings, "q2")
        worker = site.worker(GRACEFUL_TIMEOUT=GRACE)
        site.hold(worker, "a", "b")
        site.enqueue("c", "d", seconds=HOLD)
        assert worker.stop(seconds=60) == 1
        site.go()
        again = site.worker(GRACEFUL_TIMEOUT=60)
        site.done(again, *"abcd")
        assert again.stop(seconds=60) == 0
        assert site.marks(*"abcd") == [(2, 1)] * 2 + [(1, 1)] * 2

    def test_a_signal_for_the_whole_group_loses_nothing(
        self, start: Starter, redis_url: str
    ) -> None:
        """Natively it hangs: django-q2#346."""
        site = WorkerSite(start, redis_url, entry(WORKER), {}, "q2")
        worker = site.worker(GRACEFUL_TIMEOUT=60)
        site.hold(worker, "a", "b")
        for _ in range(2):
            worker.signal_all(signal.SIGTERM)
        worker.says("stopping")
        site.go()
        assert worker.exits(60) == 0
        assert site.marks("a", "b") == [(1, 1)] * 2

    def test_a_task_that_is_put_back_is_in_the_database_once(
        self, start: Starter, redis_url: str
    ) -> None:
        """Else it would run twice: at once, and again after Django-Q2's ``retry``."""
        site = WorkerSite(start, redis_url, entry(WORKER), ON_DATABASE, "q2")
        worker = site.worker(GRACEFUL_TIMEOUT=GRACE)
        site.hold(worker, "long")
        assert worker.stop(seconds=60) == 1
        with closing(sqlite3.connect(start.data / "db.sqlite3")) as database:
            [count] = database.execute("SELECT count(*) FROM django_q_ormq").fetchone()
        assert count == 1

    def test_a_signal_to_the_new_sentinel_does_not_stop_it(
        self, start: Starter, redis_url: str
    ) -> None:
        """Between the fork and its own handlers, it has those of its parent."""
        deadline = 1
        site = WorkerSite(start, redis_url, entry(WORKER), {}, "q2")
        env: dict[str, Any] = {
            "settings": {"INTERRUPT": "fork"},
            "TEST_APPS": '["proj.interrupted.InterruptedConfig"]',
        }
        worker = site.worker(env=env, GRACEFUL_TIMEOUT=deadline)
        worker.says("running.")
        # Longer than the deadline, should one have been started by that signal.
        site.enqueue("long", seconds=3 * deadline)
        site.done(worker, "long")
        assert "GRACEFUL_TIMEOUT" not in worker.output
        # A stop may take longer than this, and its exit code is not the point.
        assert worker.process.poll() is None

    def test_a_sentinel_that_hangs_is_dead(
        self, start: Starter, broker: Broker
    ) -> None:
        """The process that was started runs, and waits for it."""
        start.migrate()
        config = entry(WORKER, {"HEALTH": {"MAX_AGE": MAX_AGE}})
        watched = Watched(start, start.worker(config, TEST_REDIS_URL=broker.url))
        watched.becomes(YES, "is ready")
        [sentinel] = psutil.Process(watched.worker.process.pid).children()
        sentinel.suspend()
        watched.dies("is not alive: its last heartbeat is")
