"""Procrastinate's worker, on PostgreSQL."""

from __future__ import annotations

import contextlib
import signal
from collections.abc import Iterator
from typing import Any

import pytest
from proj import settings as project

from tests import postgres
from tests.backends.contract import GRACE, DeadlineContract, WorkerContract
from tests.backends.sites import Broker, WorkerSite
from tests.conftest import Starter
from tests.postgres import Postgres

WORKER = "procrastinate.ProcrastinateWorker"
NAME = "procrastinate"


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Postgres]:
    with postgres.started(tmp_path_factory.mktemp("postgres") / "log") as server:
        yield server


class OnPostgres:
    """A database of its own for each test."""

    backend = WORKER
    queue = NAME
    server: Postgres

    @pytest.fixture(autouse=True)
    def _database(self, server: Postgres, start: Starter) -> None:
        contract: Any = self
        contract.server, contract.database = server, start.data.parent.name
        contract.settings = {
            "DATABASES": {"default": server.database(contract.database)},
            "INSTALLED_APPS": [*project.INSTALLED_APPS, "procrastinate.contrib.django"],
            "PROCRASTINATE_AUTODISCOVER_MODULE_NAME": "procrastinate_tasks",
        }


class TestProcrastinate(OnPostgres, WorkerContract):
    variants = {"worker": {"CONCURRENCY": 2}}
    ready = "Starting worker"
    task = "proj.jobs.procrastinate_tasks.mark"
    logged_queue = "default"
    runs_in_one_process = True
    database: str

    @contextlib.contextmanager
    def broker_unavailable(self, start: Starter, broker: Broker) -> Iterator[None]:
        """Let the server end the worker's connections, and take no new ones."""
        with self.server.connect() as connection:
            allow = f'ALTER DATABASE "{self.database}" ALLOW_CONNECTIONS'
            connection.execute(f"{allow} false")
            connection.execute(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
                " WHERE datname = %s",
                [self.database],
            )
            yield
            connection.execute(f"{allow} true")

    def test_sigterm_to_the_process_group_loses_no_task(self, site: WorkerSite) -> None:
        worker = site.start_worker(GRACEFUL_TIMEOUT=60)
        site.start_held_tasks(worker, "a", "b")
        worker.process.send_signal(signal.SIGTERM)
        worker.signal_all(signal.SIGTERM)
        worker.says("Stop requested")
        site.release_tasks()
        assert worker.exits() == 0
        assert site.marks("a", "b") == [(1, 1)] * 2

    def test_exits_if_the_database_never_answers(self, site: WorkerSite) -> None:
        """With the native message and exit code."""
        databases = {"default": {**self.settings["DATABASES"]["default"], "PORT": 1}}
        settings = {**self.settings, "DATABASES": databases}
        worker = site.start.worker(site.config, settings=settings)
        assert worker.exits(120) == 1
        assert "Traceback" not in worker.output


class TestWithoutPreload(OnPostgres, DeadlineContract):
    variants = {"worker": {"PRELOAD": False, "GRACEFUL_TIMEOUT": GRACE}}
