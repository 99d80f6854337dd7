"""Celery's worker, with each of its pools."""

from __future__ import annotations

import signal
from typing import Any

import pytest

from tests.backends.contract import MAX_AGE, DeadlineContract, WorkerContract
from tests.backends.sites import (
    CANNOT_TELL,
    HOLD,
    YES,
    Broker,
    ProbedProcess,
    WorkerSite,
    log_records,
    matching,
)
from tests.conftest import Starter
from tests.harness import MODULE, Running

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
    second_signal_forces_stop = False
    ready = " ready."
    task = "proj.jobs.celery_tasks.mark"
    logged_queue = "celery"


class TestWithoutPreload(DeadlineContract):
    backend = WORKER
    variants = {"prefork": {"CONCURRENCY": 1, "PRELOAD": False}}
    queue = "celery-late"
    second_signal_forces_stop = False


@pytest.mark.process
class TestCeleryOnly:
    """Behaviour that only Celery has."""

    config = {
        "BACKEND": "django_prodserver.backends.celery.CeleryWorker",
        "APP": "proj.celery.app",
        "CONCURRENCY": 1,
    }

    @pytest.fixture
    def site(self, start: Starter, redis_url: str) -> WorkerSite:
        return WorkerSite(start, redis_url, self.config, {}, "celery")

    def test_task_acknowledged_early_is_lost_when_interrupted(
        self, site: WorkerSite
    ) -> None:
        """Celery's default: without acks_late, a task is acknowledged as it starts."""
        worker = site.start_worker(GRACEFUL_TIMEOUT=2)
        site.start_held_tasks(worker, "early", seconds=HOLD)
        assert worker.stop(seconds=60) == 1
        site.release_tasks()
        again = site.start_worker(GRACEFUL_TIMEOUT=60)
        site.enqueue("after")
        site.wait_until_done(again, "after")
        assert site.marks("early") == [(1, 0)]

    def test_sighup_restarts_the_worker_in_place(self, site: WorkerSite) -> None:
        """As with the native command; the task in progress is finished first."""
        worker = site.start_worker()
        site.start_held_tasks(worker, "long")
        worker.process.send_signal(signal.SIGHUP)
        site.release_tasks()
        worker.until(lambda: worker.output.count(" ready.") == 2, "ready again")
        assert site.marks("long") == [(1, 1)]
        site.enqueue("after")
        site.wait_until_done(worker, "after")
        assert worker.stop() == 0

    def test_environment_variables_of_celery_take_precedence(
        self, site: WorkerSite
    ) -> None:
        """CELERY_WORKER_LOGLEVEL overrides the default of LOG_LEVEL, "info"."""
        worker = site.start_worker(env={"CELERY_WORKER_LOGLEVEL": "DEBUG"})
        worker.says(" debug ")
        worker.says(" ready.")
        assert worker.stop() == 0

    def test_exits_with_an_error_if_the_broker_is_unreachable(
        self, start: Starter
    ) -> None:
        settings = {
            "CELERY_BROKER_URL": "redis://127.0.0.1:1/0",
            "CELERY_BROKER_CONNECTION_RETRY_ON_STARTUP": False,
        }
        worker = start.worker(self.config, settings=settings)
        assert worker.exits() == 1

    def test_filesystem_broker(self, start: Starter) -> None:
        """A worker without a broker server runs a task and exits with 0."""
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
class TestLogging:
    """The log of a project that uses Celery's own means to configure it."""

    config = {
        "BACKEND": "django_prodserver.backends.celery.CeleryWorker",
        "APP": "proj.hooked.app",
        "CONCURRENCY": 1,
    }
    #: As cookiecutter-django has it: other loggers are disabled, by default.
    LOGGING = {
        "version": 1,
        "formatters": {"own": {"format": "OWN %(name)s %(levelname)s %(message)s"}},
        "handlers": {"own": {"class": "logging.StreamHandler", "formatter": "own"}},
        "root": {"handlers": ["own"], "level": "INFO"},
    }

    def log_of_a_failing_task(
        self, start: Starter, *args: str, settings: dict[str, Any], **env: Any
    ) -> Running:
        """Return a worker that has run a task, and is stopped."""
        folder = start.data / "broker"
        folder.mkdir()
        settings |= {
            "CELERY_BROKER_URL": "filesystem://",
            "CELERY_BROKER_TRANSPORT_OPTIONS": {
                "data_folder_in": str(folder),
                "data_folder_out": str(folder),
                "control_folder": str(folder / "control"),
            },
        }
        worker = start.worker(self.config, *args, settings=settings, **env)
        worker.says(" ready.")
        start.enqueue("celery", "fail", settings=settings)
        worker.says("raised unexpected: ValueError")
        assert worker.stop() == 0
        return worker

    @pytest.mark.parametrize("log_format", ["json", ""], ids=["json", "unwritten"])
    def test_receiver_of_setup_logging(self, start: Starter, log_format: str) -> None:
        """It replaces what Celery does; the worker and its exceptions are logged."""
        worker = self.log_of_a_failing_task(
            start,
            settings={"LOGGING": self.LOGGING},
            TEST_SETS_UP_LOGGING="1",
            PRODSERVER_LOG_FORMAT=log_format,
        )
        if log_format:
            records = log_records(worker)
            (failure,) = matching(records, state="failure")
            assert "ValueError: it fails" in failure["traceback"]
        else:
            assert "OWN celery.app.trace ERROR Task proj.jobs" in worker.output
            assert "\nValueError: it fails\n" in worker.output
        assert "called for" not in worker.output

    def test_logfile_and_receivers_of_the_other_signals(self, start: Starter) -> None:
        """Each is called once, and the file has what it has natively."""
        file = start.data / "worker.log"
        words = (f"--logfile={file}", "--loglevel=DEBUG")
        worker = self.log_of_a_failing_task(
            start, *words, settings={}, PRODSERVER_LOG_FORMAT="json"
        )
        records = log_records(worker)
        messages = [record["message"] for record in records]
        called = [text for text in messages if text.startswith("called for ")]
        assert called == ["called for root", "called for celery.task"]
        assert matching(records, level="debug")
        text = file.read_text()
        assert ": WARNING/MainProcess] called for root\n" in text
        assert ": INFO/ForkPoolWorker-1] working on fail\n" in text
        assert "\nValueError: it fails\n" in text


@pytest.mark.process
class TestProbe:
    """The probe's answers to failures that only Celery's worker has."""

    config = {**TestCeleryOnly.config, "HEALTH": {"MAX_AGE": MAX_AGE}}

    def start_probed(
        self, start: Starter, broker: Broker, **more: Any
    ) -> ProbedProcess:
        config = {**self.config, **more}
        return ProbedProcess(start, start.worker(config, TEST_REDIS_URL=broker.url))

    def test_hanging_event_loop_is_not_live(
        self, start: Starter, broker: Broker
    ) -> None:
        """Although its process runs, and the broker is connected to it."""
        probed = self.start_probed(start, broker)
        probed.wait_for_readiness(YES, "is ready")
        start.enqueue("celery-loop", "hang", seconds=600, TEST_REDIS_URL=broker.url)
        probed.wait_until_not_live("is not live: last heartbeat")

    def test_starts_without_a_broker(self, start: Starter, broker: Broker) -> None:
        """It is live and not ready until the broker can be reached."""
        broker.kill()
        probed = self.start_probed(start, broker)
        probed.worker.says("Cannot connect to")
        probed.wait_for_readiness(1, "it is starting")
        broker.start()
        probed.wait_for_readiness(YES, "is ready")

    def test_without_preload_the_django_app_installs_the_heartbeat(
        self, start: Starter, broker: Broker
    ) -> None:
        """Without the app, the probe cannot tell, and says to add the app."""
        probed = self.start_probed(start, broker, PRELOAD=False)
        probed.wait_for_readiness(YES, "is ready")
        assert probed.worker.stop() == 0

        apps = ["django.contrib.contenttypes", "django.contrib.auth", "proj.jobs"]
        worker = start.worker(
            {**self.config, "PRELOAD": False},
            via=MODULE,
            settings={"INSTALLED_APPS": apps},
            TEST_REDIS_URL=broker.url,
        )
        worker.until(
            lambda: start.probe("worker").returncode == CANNOT_TELL,
            "the probe unable to tell",
        )
        line = start.probe("--live", "worker").stdout
        assert 'add "django_prodserver" to INSTALLED_APPS' in line
