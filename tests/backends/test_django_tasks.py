"""The workers of Django Tasks: django-tasks-db's, and RQ's."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from tests import postgres
from tests.backends.contract import (
    GRACE,
    TASKS_ON_DATABASE,
    DeadlineContract,
    WorkerContract,
)
from tests.backends.sites import (
    HOLD,
    HOLD_IGNORING_EXCEPTIONS,
    NO,
    YES,
    ProbedProcess,
    WorkerSite,
    entry,
)
from tests.conftest import Starter
from tests.harness import wait_for
from tests.postgres import Postgres

WORKER = "django_tasks.DjangoTasksWorker"
ON_RQ = {"TASKS": {"default": {"BACKEND": "django_tasks_rq.RQBackend"}}}


class TestOnDatabase(WorkerContract):
    backend = WORKER
    variants = {"db_worker": {}}
    queue = "tasks"
    settings = {"TASKS": TASKS_ON_DATABASE}
    ready = "Starting worker"
    task = "proj.jobs.tasks.mark"
    logged_queue = "default"
    on_database = True


class TestOnRQ(WorkerContract):
    backend = WORKER
    variants = {"rqworker": {}}
    queue = "tasks"
    settings = ON_RQ
    ready = "Listening on"
    task = "proj.jobs.tasks.mark"
    logged_queue = "default"


class TestWithoutPreload(DeadlineContract):
    backend = WORKER
    variants = {"db_worker": {"PRELOAD": False}}
    queue = "tasks"
    settings = {"TASKS": TASKS_ON_DATABASE}


@pytest.fixture
def database_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Postgres]:
    with postgres.started(tmp_path_factory.mktemp("postgres") / "log") as server:
        yield server


@pytest.mark.process
class TestDatabaseWorkerOnly:
    """Behaviour that only django-tasks-db's worker has."""

    @pytest.fixture
    def site(self, start: Starter, redis_url: str) -> WorkerSite:
        return WorkerSite(start, redis_url, entry(WORKER), {}, "tasks")

    def test_deadline_ends_a_task_that_ignores_exceptions(
        self, site: WorkerSite
    ) -> None:
        worker = site.start_worker(GRACEFUL_TIMEOUT=GRACE)
        site.start_held_tasks(worker, "long", seconds=HOLD_IGNORING_EXCEPTIONS)
        assert worker.stop(seconds=60) == 1
        site.release_tasks()
        again = site.start_worker(GRACEFUL_TIMEOUT=60)
        site.wait_until_done(again, "long")
        assert site.marks("long") == [(2, 1)]

    def test_deadline_kills_subprocesses_of_the_task(self, site: WorkerSite) -> None:
        worker = site.start_worker(GRACEFUL_TIMEOUT=GRACE)
        site.start_held_tasks(worker, "parent", seconds=HOLD_IGNORING_EXCEPTIONS)
        # The harness fails if a process of the worker is left running.
        assert worker.stop(seconds=60) == 1

    def test_stop_after_claiming_a_task_still_runs_it(self, site: WorkerSite) -> None:
        """Otherwise the task would be lost: a claimed task is never requeued."""
        env: dict[str, Any] = {
            "settings": {"INTERRUPT": "claim"},
            "TEST_APPS": '["proj.interrupted.InterruptedConfig"]',
        }
        worker = site.start_worker(env=env, GRACEFUL_TIMEOUT=60)
        site.enqueue("claimed")
        assert worker.exits() == 0
        assert site.marks("claimed") == [(1, 1)]

    def test_reconnects_after_a_database_error(
        self, start: Starter, database_server: Postgres
    ) -> None:
        """Even if the old connection still works, as after a failover."""
        name = "db_worker"
        database = database_server.database(name)
        env: dict[str, Any] = {
            "settings": {"DATABASES": {"default": {**database, "CONN_MAX_AGE": None}}}
        }
        start.migrate(**env)
        worker = start.worker(entry(WORKER), **env)
        start.enqueue("tasks", "before", **env)
        worker.until(lambda: start.marks("before")[1], "the first task done")
        with database_server.connect() as watcher:

            def connections(waits_for: str = "%") -> set[int]:
                query = (
                    "SELECT pid FROM pg_stat_activity WHERE datname = %s"
                    " AND coalesce(wait_event_type, '') LIKE %s"
                )
                return {pid for (pid,) in watcher.execute(query, [name, waits_for])}

            with database_server.connect(name) as blocker, blocker.transaction():
                blocker.execute("LOCK TABLE django_tasks_database_dbtaskresult")
                [old] = wait_for(lambda: connections("Lock"), "the query blocked")
                watcher.execute("SELECT pg_cancel_backend(%s)", [old])
                worker.says("The database is unavailable, waiting for it")
            start.enqueue("tasks", "after", **env)
            worker.until(lambda: start.marks("after")[1], "a task done after it")
            assert connections()
            assert old not in connections()
        assert worker.stop() == 0

    def test_task_outlives_its_connection(
        self, start: Starter, database_server: Postgres
    ) -> None:
        """Its result is stored when the database is back; a stop puts it back."""
        name = "db_worker_cut"
        env: dict[str, Any] = {
            "settings": {"DATABASES": {"default": database_server.database(name)}}
        }
        site = WorkerSite(start, "", entry(WORKER), env["settings"], "tasks")

        def statuses() -> list[str]:
            with database_server.connect(name) as connection:
                query = (
                    "SELECT status FROM django_tasks_database_dbtaskresult"
                    " ORDER BY enqueued_at"
                )
                return [status for (status,) in connection.execute(query)]

        def cut(*, can_return: bool) -> None:
            with database_server.connect() as watcher:
                watcher.execute(
                    f'ALTER DATABASE "{name}" ALLOW_CONNECTIONS {can_return}'
                )
                watcher.execute(
                    "SELECT pg_terminate_backend(pid, 10000) FROM pg_stat_activity"
                    " WHERE datname = %s",
                    [name],
                )

        worker = site.start_worker(GRACEFUL_TIMEOUT=GRACE)
        probed = ProbedProcess(start, worker)
        site.start_held_tasks(worker, "first")
        assert statuses() == ["RUNNING"]
        cut(can_return=False)
        site.release_tasks()
        worker.says("The database is unavailable, waiting for it")
        probed.wait_for_readiness(NO, "no connection to the database")
        cut(can_return=True)
        worker.until(lambda: statuses() == ["SUCCESSFUL"], "the result stored")
        probed.wait_for_readiness(YES, "is ready")

        (start.data / "go").unlink()
        site.start_held_tasks(worker, "second")
        cut(can_return=True)
        assert worker.stop(seconds=60) == 1
        assert statuses() == ["SUCCESSFUL", "READY"]


@pytest.mark.process
def test_requeued_rq_job_runs_first(start: Starter, redis_url: str) -> None:
    site = WorkerSite(start, redis_url, entry(WORKER), ON_RQ, "tasks")
    worker = site.start_worker(GRACEFUL_TIMEOUT=GRACE)
    site.start_held_tasks(worker, "first")
    site.enqueue("second", seconds=HOLD)
    assert worker.stop(seconds=60) == 1
    again = site.start_worker(GRACEFUL_TIMEOUT=GRACE)
    again.until(
        lambda: site.start.marks("first")[0] == 2 or site.start.marks("second")[0],
        "a job begun",
    )
    assert site.marks("first", "second") == [(2, 0), (0, 0)]
