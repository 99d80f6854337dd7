"""Celery's worker, with each of its pools."""

from __future__ import annotations

import signal
from typing import Any

import pytest

from tests.backends.contract import MAX_AGE, DeadlineContract, WorkerContract
from tests.backends.sites import CANNOT_TELL, HOLD, YES, Broker, Watched, WorkerSite
from tests.conftest import Starter
from tests.harness import MODULE

WORKER = "celery.CeleryWorker"


class TestCeleryWorker(WorkerContract):
    backend = WORKER
    variants = {
        "prefork": {"CONCURRENCY": 1},
        "threads": {"APP": "proj.celery", "ARGS": {"pool": "threads"}},
        "gevent": {"APP": "proj.celery:app", "ARGS": {"P": "gevent"}},
        "solo": {"ARGS": {"pool": "solo"}},
    }
    queue = "celery"
    late_queue = "celery-late"
    hurries_on_a_second_signal = False
    ready = " ready."
    task = "proj.jobs.celery_tasks.mark"
    logged_queue = "celery"


class TestWithoutPreload(DeadlineContract):
    backend = WORKER
    variants = {"prefork": {"CONCURRENCY": 1, "PRELOAD": False}}
    queue = "celery-late"
    hurries_on_a_second_signal = False


@pytest.mark.process
class TestItsOwn:
    """What only Celery does."""

    config = {
        "BACKEND": "django_prodserver.backends.celery.CeleryWorker",
        "APP": "proj.celery.app",
        "CONCURRENCY": 1,
    }

    @pytest.fixture
    def site(self, start: Starter, redis_url: str) -> WorkerSite:
        return WorkerSite(start, redis_url, self.config, {}, "celery")

    def test_a_task_that_is_acknowledged_is_lost(self, site: WorkerSite) -> None:
        """As its default is: a task that is not acks_late is acknowledged first."""
        worker = site.worker(GRACEFUL_TIMEOUT=2)
        site.hold(worker, "early", seconds=HOLD)
        assert worker.stop(seconds=60) == 1
        site.go()
        again = site.worker(GRACEFUL_TIMEOUT=60)
        site.enqueue("after")
        site.done(again, "after")
        assert site.marks("early") == [(1, 0)]

    def test_sighup_starts_it_again_in_place(self, site: WorkerSite) -> None:
        """As natively: the task in progress is finished, then it is a new worker."""
        worker = site.worker()
        site.hold(worker, "long")
        worker.process.send_signal(signal.SIGHUP)
        site.go()
        worker.until(lambda: worker.output.count(" ready.") == 2, "ready again")
        assert site.marks("long") == [(1, 1)]
        site.enqueue("after")
        site.done(worker, "after")
        assert worker.stop() == 0

    def test_its_own_environment_variables_work(self, site: WorkerSite) -> None:
        """LOG_LEVEL is "info" by default, and yields to it."""
        worker = site.worker(env={"CELERY_WORKER_LOGLEVEL": "DEBUG"})
        worker.says(" debug ")
        worker.says(" ready.")
        assert worker.stop() == 0

    def test_a_broker_that_cannot_be_reached_is_no_success(
        self, start: Starter
    ) -> None:
        settings = {
            "CELERY_BROKER_URL": "redis://127.0.0.1:1/0",
            "CELERY_BROKER_CONNECTION_RETRY_ON_STARTUP": False,
        }
        worker = start.worker(self.config, settings=settings)
        assert worker.exits() == 1

    def test_the_filesystem_is_a_broker_too(self, start: Starter) -> None:
        """Where no server is wanted; a task is done, and the exit clean."""
        folder = start.data / "broker"
        folder.mkdir()
        settings = {
            "CELERY_BROKER_URL": "filesystem://",
            "CELERY_BROKER_TRANSPORT_OPTIONS": {
                "data_folder_in": str(folder),
                "data_folder_out": str(folder),
                "control_folder": str(folder / "control"),
            },
        }
        worker = start.worker(self.config, settings=settings)
        worker.says(" ready.")
        start.enqueue("celery", "filed", settings=settings)
        worker.until(lambda: start.marks("filed")[1], "the task done")
        assert worker.stop() == 0


@pytest.mark.process
class TestTheProbe:
    """What it says of a worker where things go wrong that no other worker has."""

    config = {**TestItsOwn.config, "HEALTH": {"MAX_AGE": MAX_AGE}}

    def watched(self, start: Starter, broker: Broker, **more: Any) -> Watched:
        config = {**self.config, **more}
        return Watched(start, start.worker(config, TEST_REDIS_URL=broker.url))

    def test_a_loop_that_hangs_is_dead(self, start: Starter, broker: Broker) -> None:
        """Its process runs, and the broker has not lost it."""
        watched = self.watched(start, broker)
        watched.becomes(YES, "is ready")
        start.enqueue("celery-loop", "hang", seconds=600, TEST_REDIS_URL=broker.url)
        watched.dies("is not alive: its last heartbeat is")

    def test_no_broker_at_the_start(self, start: Starter, broker: Broker) -> None:
        """It waits, alive and not ready, until there is one."""
        broker.kill()
        watched = self.watched(start, broker)
        watched.worker.says("Cannot connect to")
        watched.becomes(1, "it is starting")
        broker.start()
        watched.becomes(YES, "is ready")

    def test_an_execd_worker_is_joined_by_the_app(
        self, start: Starter, broker: Broker
    ) -> None:
        """Or the probe says what to do, and never yes."""
        watched = self.watched(start, broker, PRELOAD=False)
        watched.becomes(YES, "is ready")
        assert watched.worker.stop() == 0

        apps = ["django.contrib.contenttypes", "django.contrib.auth", "proj.jobs"]
        worker = start.worker(
            {**self.config, "PRELOAD": False},
            via=MODULE,
            settings={"INSTALLED_APPS": apps},
            TEST_REDIS_URL=broker.url,
        )
        worker.until(
            lambda: start.probe("worker").returncode == CANNOT_TELL, "the word"
        )
        line = start.probe("--live", "worker").stdout
        assert 'add "django_prodserver" to INSTALLED_APPS' in line
