"""Django-Q2's cluster, on Redis and on the database."""

from __future__ import annotations

import signal
import sqlite3
from collections.abc import Mapping
from contextlib import closing
from typing import Any

import pytest

from tests.backends.contract import GRACE, MAX_AGE, DeadlineContract, WorkerContract
from tests.backends.sites import HOLD, YES, Broker, ProbedProcess, WorkerSite, entry
from tests.conftest import Starter
from tests.harness import children

WORKER = "django_q2.DjangoQ2Worker"
ON_DATABASE: Mapping[str, Any] = {
    "Q_CLUSTER": {
        "name": "test",
        "workers": 2,
        # Longer than GRACEFUL_TIMEOUT, so that the latter ends the task.
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


class TestOnDatabase(DeadlineContract):
    backend = WORKER
    variants = {"orm": {}}
    queue = "q2"
    settings = ON_DATABASE


class TestWithoutPreload(DeadlineContract):
    backend = WORKER
    variants = {"redis": {"PRELOAD": False}}
    queue = "q2"


@pytest.mark.process
class TestClusterOnly:
    """Behaviour that only Django-Q2 has: a cluster of six processes, and its queue."""

    @pytest.mark.parametrize("settings", [{}, ON_DATABASE], ids=["redis", "orm"])
    def test_prefetched_tasks_are_requeued(
        self, settings: Mapping[str, Any], start: Starter, redis_url: str
    ) -> None:
        """Two workers run tasks; the cluster has fetched two more."""
        site = WorkerSite(start, redis_url, entry(WORKER), settings, "q2")
        worker = site.start_worker(GRACEFUL_TIMEOUT=GRACE)
        site.start_held_tasks(worker, "a", "b")
        site.enqueue("c", "d", seconds=HOLD)
        assert worker.stop(seconds=60) == 1
        site.release_tasks()
        again = site.start_worker(GRACEFUL_TIMEOUT=60)
        site.wait_until_done(again, *"abcd")
        assert again.stop(seconds=60) == 0
        assert site.marks(*"abcd") == [(2, 1)] * 2 + [(1, 1)] * 2

    def test_sigterm_to_the_process_group_loses_no_task(
        self, start: Starter, redis_url: str
    ) -> None:
        """Without our fix the cluster hangs: django-q2#346."""
        site = WorkerSite(start, redis_url, entry(WORKER), {}, "q2")
        worker = site.start_worker(GRACEFUL_TIMEOUT=60)
        site.start_held_tasks(worker, "a", "b")
        for _ in range(2):
            worker.signal_all(signal.SIGTERM)
        worker.says("stopping")
        site.release_tasks()
        assert worker.exits(60) == 0
        assert site.marks("a", "b") == [(1, 1)] * 2

    def test_requeued_task_is_stored_once(self, start: Starter, redis_url: str) -> None:
        """Stored twice, it would run at once and again after Django-Q2's ``retry``."""
        site = WorkerSite(start, redis_url, entry(WORKER), ON_DATABASE, "q2")
        worker = site.start_worker(GRACEFUL_TIMEOUT=GRACE)
        site.start_held_tasks(worker, "long")
        assert worker.stop(seconds=60) == 1
        with closing(sqlite3.connect(start.data / "db.sqlite3")) as database:
            [count] = database.execute("SELECT count(*) FROM django_q_ormq").fetchone()
        assert count == 1

    def test_sentinel_survives_sigterm_right_after_its_fork(
        self, start: Starter, redis_url: str
    ) -> None:
        """Until it installs its own handlers, it has those of its parent."""
        deadline = 1
        site = WorkerSite(start, redis_url, entry(WORKER), {}, "q2")
        env: dict[str, Any] = {
            "settings": {"INTERRUPT": "fork"},
            "TEST_APPS": '["proj.interrupted.InterruptedConfig"]',
        }
        worker = site.start_worker(env=env, GRACEFUL_TIMEOUT=deadline)
        worker.says("running.")
        # Longer than the deadline that the signal must not have started.
        site.enqueue("long", seconds=3 * deadline)
        site.wait_until_done(worker, "long")
        assert "GRACEFUL_TIMEOUT" not in worker.output
        # Still running; how it stops is tested elsewhere.
        assert worker.process.poll() is None

    def test_hanging_sentinel_is_not_live(self, start: Starter, broker: Broker) -> None:
        """Although the started process runs and waits for its sentinel."""
        start.migrate()
        config = entry(WORKER, {"HEALTH": {"MAX_AGE": MAX_AGE}})
        probed = ProbedProcess(start, start.worker(config, TEST_REDIS_URL=broker.url))
        probed.wait_for_readiness(YES, "is ready")
        [sentinel] = children(probed.worker.process.pid)
        sentinel.suspend()
        probed.wait_until_not_live("is not live: last heartbeat")
