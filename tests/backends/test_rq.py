"""RQ's worker, as django-rq starts it, and its scheduler."""

from __future__ import annotations

import signal

import psutil
import pytest

from tests.backends.contract import GRACE, DeadlineContract, WorkerContract
from tests.backends.sites import WorkerSite, entry
from tests.conftest import Starter

WORKER = "rq.RQWorker"
SIMPLE = {"ARGS": {"worker-class": "rq.SimpleWorker"}}
WITH_SCHEDULER = {"ARGS": {"with-scheduler": True}}


class TestRQ(WorkerContract):
    backend = WORKER
    variants = {"rqworker": {}}
    queue = "rq"
    ready = "Listening on"
    task = "proj.jobs.work.mark"
    logged_queue = "default"


class TestOtherWorkers(DeadlineContract):
    """One that does not fork, one that schedules, too, and one without preload."""

    backend = WORKER
    variants = {
        "simple": SIMPLE,
        "scheduler": WITH_SCHEDULER,
        "exec": {"PRELOAD": False},
    }
    queue = "rq"


@pytest.mark.process
class TestRQOnly:
    """Behaviour that only RQ has: a process for each job, and a scheduler."""

    @pytest.fixture
    def site(self, start: Starter, redis_url: str) -> WorkerSite:
        return WorkerSite(start, redis_url, entry(WORKER, WITH_SCHEDULER), {}, "rq")

    def test_scheduled_job_runs(self, site: WorkerSite) -> None:
        worker = site.start_worker()
        site.enqueue("later", queue="rq-scheduled")
        site.wait_until_done(worker, "later")
        assert worker.stop() == 0
        assert site.marks("later") == [(1, 1)]

    def test_sigterm_to_the_process_group_finishes_the_job(
        self, site: WorkerSite
    ) -> None:
        """The scheduler ends at once; the job's process is in a group of its own."""
        worker = site.start_worker(GRACEFUL_TIMEOUT=60)
        site.start_held_tasks(worker, "long")
        site.enqueue("behind")
        worker.signal_all(signal.SIGTERM)
        worker.says("warm shut down requested")
        site.release_tasks()
        assert worker.exits(60) == 0
        assert site.marks("long", "behind") == [(1, 1), (0, 0)]

    def test_requeued_job_runs_first(self, site: WorkerSite) -> None:
        worker = site.start_worker(GRACEFUL_TIMEOUT=GRACE)
        site.start_held_tasks(worker, "first")
        site.enqueue("second")
        assert worker.stop(seconds=60) == 1
        again = site.start_worker(GRACEFUL_TIMEOUT=GRACE)
        again.until(
            lambda: site.start.marks("first")[0] == 2 or site.start.marks("second")[0],
            "a job begun",
        )
        assert site.marks("first", "second") == [(2, 0), (0, 0)]
        site.release_tasks()
        site.wait_until_done(again, "second")

    def test_scheduler_ends_with_the_worker(self, site: WorkerSite) -> None:
        worker = site.start_worker()
        # After a job, the worker handles signals, and the scheduler is its one child.
        site.enqueue("first")
        site.wait_until_done(worker, "first")
        [scheduler] = worker.until(
            lambda: _only_child(worker.process.pid), "the scheduler alone"
        )
        assert worker.stop() == 0
        assert not scheduler.is_running()


def _only_child(pid: int) -> list[psutil.Process]:
    children = psutil.Process(pid).children()
    return children if len(children) == 1 else []
