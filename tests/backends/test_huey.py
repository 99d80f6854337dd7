"""Huey's consumer, with each type of worker, on Redis and on SQLite."""

from __future__ import annotations

import json
import signal

import psutil
import pytest

from tests.backends.contract import GRACE, DeadlineContract, WorkerContract
from tests.backends.sites import HOLD, HOLD_IGNORING_EXCEPTIONS, WorkerSite, entry
from tests.conftest import Starter
from tests.harness import SCRIPT

WORKER = "huey.HueyConsumer"
PROCESSES = {"ARGS": {"worker-type": "process"}}


class TestThreads(WorkerContract):
    backend = WORKER
    variants = {"thread": {}}
    queue = "huey"
    ready = "consumer started"
    task = "proj.jobs.huey_tasks.mark"
    logged_queue = "test"

    def test_portable_settings(self, start: Starter, redis_url: str) -> None:
        """CONCURRENCY and MAX_TASKS take effect, with threads and with processes."""
        keys = {"CONCURRENCY": 3, "QUEUES": ["wanted"], "MAX_TASKS": 1}
        names = ("first", "second", "third")
        site = WorkerSite(start, redis_url, entry(WORKER, keys), {}, "huey")
        worker = site.start_worker(via=SCRIPT)
        site.start_held_tasks(worker, *names)  # three at once
        assert "QUEUES has no effect here" in worker.output
        site.release_tasks()
        site.wait_until_done(worker, *names)
        worker.says("reached max tasks (1)")
        assert worker.stop() == 0


class TestProcesses(WorkerContract):
    backend = WORKER
    variants = {"process": {}}
    queue = "huey"
    ready = "consumer started"
    task = "proj.jobs.huey_tasks.mark"
    logged_queue = "test"
    other_processes = 1  # the scheduler

    @pytest.fixture(autouse=True)
    def _processes(self, monkeypatch: pytest.MonkeyPatch) -> None:
        value = json.dumps({"worker_type": "process"})
        monkeypatch.setenv("TEST_HUEY_CONSUMER", value)


class TestOtherWays(DeadlineContract):
    backend = WORKER
    variants = {
        "exec": {"PRELOAD": False},
        "options": {**PROCESSES, "ENV": {"REGION": "eu"}},
    }
    queue = "huey"


class TestOnSQLite(DeadlineContract):
    backend = WORKER
    variants = {"thread": {}, "process": PROCESSES}
    queue = "huey"

    @pytest.fixture(autouse=True)
    def _sqlite(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("TEST_HUEY_CLASS", "huey.SqliteHuey")


@pytest.mark.process
class TestHueyOnly:
    """Behaviour that only Huey has: three types of workers, and a storage."""

    @pytest.fixture
    def site(self, start: Starter, redis_url: str) -> WorkerSite:
        return WorkerSite(start, redis_url, entry(WORKER), {}, "huey")

    @pytest.mark.parametrize("worker_type", ["thread", "process"])
    def test_deadline_ends_a_task_that_ignores_exceptions(
        self, site: WorkerSite, worker_type: str
    ) -> None:
        worker = site.start_worker(
            ARGS={"worker-type": worker_type}, GRACEFUL_TIMEOUT=GRACE
        )
        site.start_held_tasks(worker, "long", seconds=HOLD_IGNORING_EXCEPTIONS)
        site.enqueue("behind", seconds=HOLD)
        assert worker.stop(seconds=60) == 1
        site.release_tasks()
        again = site.start_worker(GRACEFUL_TIMEOUT=60)
        site.wait_until_done(again, "long", "behind")
        assert again.stop(seconds=60) == 0
        assert site.marks("long") == [(2, 1)]

    def test_deadline_kills_subprocesses_of_the_task(self, site: WorkerSite) -> None:
        worker = site.start_worker(GRACEFUL_TIMEOUT=GRACE)
        site.start_held_tasks(worker, "parent", seconds=HOLD_IGNORING_EXCEPTIONS)
        # The harness fails if a process of the worker is left running.
        assert worker.stop(seconds=60) == 1

    @pytest.mark.parametrize("signum", [signal.SIGTERM, signal.SIGINT])
    @pytest.mark.parametrize("worker_type", ["thread", "process"])
    def test_signal_to_the_process_group_finishes_the_task(
        self, site: WorkerSite, worker_type: str, signum: signal.Signals
    ) -> None:
        """On its own, one of the two signals interrupts the workers' tasks."""
        worker = site.start_worker(
            ARGS={"worker-type": worker_type}, CONCURRENCY=1, GRACEFUL_TIMEOUT=60
        )
        site.start_held_tasks(worker, "long")
        site.enqueue("behind")
        worker.signal_all(signum)
        worker.says("Shutting down gracefully")
        site.release_tasks()
        assert worker.exits(60) == 0
        assert site.marks("long", "behind") == [(1, 1), (0, 0)]

    def test_own_shutdown_timeout_puts_tasks_back(self, site: WorkerSite) -> None:
        """On its own, the consumer forgets them."""
        worker = site.start_worker(
            ARGS={"shutdown-timeout": GRACE}, GRACEFUL_TIMEOUT=600
        )
        site.start_held_tasks(worker, "long")
        assert worker.stop(seconds=60) == 1
        site.release_tasks()
        again = site.start_worker()
        site.wait_until_done(again, "long")
        assert site.marks("long") == [(2, 1)]

    def test_killed_process_is_replaced(self, site: WorkerSite) -> None:
        """Its task may have killed it, and is not put back at a later stop."""
        worker = site.start_worker(
            ARGS={"worker-type": "process", "health-check-interval": 1},
            CONCURRENCY=1,
            GRACEFUL_TIMEOUT=GRACE,
        )
        site.start_held_tasks(worker, "deadly")
        [pid] = (site.start.data / "marks/deadly.began").read_text().split()
        psutil.Process(int(pid)).kill()
        worker.says("died, restarting")
        site.start_held_tasks(worker, "long")
        assert worker.stop(seconds=60) == 1
        site.release_tasks()
        again = site.start_worker()
        site.wait_until_done(again, "long")
        assert site.marks("long", "deadly") == [(2, 1), (1, 0)]


@pytest.mark.parametrize("preload", ["auto", False])
@pytest.mark.parametrize(
    ("huey", "debug", "why"),
    [
        ({"immediate": True}, False, ""),
        ({}, True, ": DEBUG is True, and HUEY does not set immediate"),
    ],
    ids=["immediate", "debug"],
)
def test_without_a_consumer(
    start: Starter, huey: dict[str, bool], debug: bool, why: str, preload: object
) -> None:
    done = start.command(
        "worker",
        via=SCRIPT,
        processes={"worker": entry(WORKER, {"PRELOAD": preload})},
        settings={"HUEY": huey, "DEBUG": debug},
    )
    assert done.returncode == 78
    assert (
        "PRODUCTION_PROCESSES['worker']: HUEY runs tasks immediately, without a "
        f'consumer{why}.\nWrite "immediate": False in HUEY.\n' in done.stderr
    )
    assert "Traceback" not in done.stderr
