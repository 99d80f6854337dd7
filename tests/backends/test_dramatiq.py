"""Dramatiq's workers, on Redis."""

from __future__ import annotations

import contextlib
import signal
from collections.abc import Iterator
from contextlib import closing

import psutil
import pytest
import redis

from tests.backends.contract import GRACE, MAX_AGE, DeadlineContract, WorkerContract
from tests.backends.sites import HOLD, YES, Broker, ProbedProcess, WorkerSite, entry
from tests.conftest import Starter
from tests.harness import wait_for

WORKER = "dramatiq.DramatiqWorker"


class TestDramatiq(WorkerContract):
    backend = WORKER
    variants = {"redis": {"ARGS": {"processes": 2, "threads": 2}}}
    queue = "dramatiq"
    ready = "Worker process is ready for action."
    task = "mark-default"
    logged_queue = "default"
    prefetches = True

    @contextlib.contextmanager
    def broker_unavailable(self, start: Starter, broker: Broker) -> Iterator[None]:
        # Once the tasks are acknowledged: Dramatiq logs a line, in the task's name, for
        # each that it cannot acknowledge.
        with closing(redis.Redis.from_url(broker.url)) as client:
            wait_for(
                lambda: not client.keys("dramatiq:__acks__.*.default"),
                "the tasks are acknowledged",
            )
        with super().broker_unavailable(start, broker):
            yield


class TestWithoutPreload(DeadlineContract):
    backend = WORKER
    variants = {"redis": {"PRELOAD": False, "CONCURRENCY": 1}}
    queue = "dramatiq"


@pytest.mark.process
class TestDramatiqOnly:
    """Behaviour that only Dramatiq has: worker processes, each with threads."""

    @pytest.fixture
    def site(self, start: Starter, redis_url: str) -> WorkerSite:
        args = {"processes": 1, "threads": 2}
        config = entry(WORKER, {"ARGS": args})
        return WorkerSite(start, redis_url, config, {}, "dramatiq")

    def test_fetched_tasks_are_put_back_too(self, site: WorkerSite) -> None:
        """Natively they come back when Dramatiq misses the worker, a minute later."""
        worker = site.start_worker(GRACEFUL_TIMEOUT=GRACE)
        site.start_held_tasks(worker, "a", "b")
        site.enqueue("c", "d", seconds=HOLD)
        assert worker.stop() == 1
        site.release_tasks()
        again = site.start_worker(GRACEFUL_TIMEOUT=60)
        site.wait_until_done(again, *"abcd")
        assert again.stop() == 0
        assert site.marks(*"abcd") == [(2, 1)] * 2 + [(1, 1)] * 2

    def test_sigterm_to_the_process_group_loses_no_task(self, site: WorkerSite) -> None:
        """Natively the second signal kills a worker process with its tasks."""
        worker = site.start_worker(GRACEFUL_TIMEOUT=60)
        site.start_held_tasks(worker, "a", "b")
        worker.signal_all(signal.SIGTERM)
        worker.says("Shutting down")
        site.release_tasks()
        assert worker.exits() == 0
        assert site.marks("a", "b") == [(1, 1)] * 2

    def test_sighup_starts_new_worker_processes(self, site: WorkerSite) -> None:
        worker = site.start_worker()
        worker.says("is ready for action")
        worker.process.send_signal(signal.SIGHUP)
        worker.until(
            lambda: worker.output.count("is ready for action") == 2, "ready again"
        )
        site.enqueue("after")
        site.wait_until_done(worker, "after")
        assert worker.stop() == 0

    def test_hanging_worker_process_is_not_live(
        self, start: Starter, broker: Broker
    ) -> None:
        """Although the started process runs, and waits for it."""
        start.migrate()
        config = entry(WORKER, {"HEALTH": {"MAX_AGE": MAX_AGE}, "CONCURRENCY": 2})
        probed = ProbedProcess(start, start.worker(config, TEST_REDIS_URL=broker.url))
        probed.wait_for_readiness(YES, "is ready")
        [child, _] = psutil.Process(probed.worker.process.pid).children()
        child.suspend()
        probed.wait_until_not_live("is not live: last heartbeat")
