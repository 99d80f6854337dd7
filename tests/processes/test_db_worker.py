"""django-tasks-db's worker, at the moments that are hard."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from tests import postgres
from tests.conftest import Starter
from tests.harness import wait_for
from tests.postgres import Postgres
from tests.processes.test_worker_shutdown import KINDS, STUBBORN, TASKS, Site

pytestmark = pytest.mark.process


@pytest.fixture
def site(start: Starter, redis_url: str) -> Site:
    return Site(start, redis_url, KINDS["db_worker"])


@pytest.fixture(scope="module")
def database_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Postgres]:
    with postgres.started(tmp_path_factory.mktemp("postgres") / "log") as server:
        yield server


def test_a_stop_between_claim_and_run_runs_the_task(site: Site) -> None:
    """A task that is claimed and not run would be lost: it is never ready again."""
    env: dict[str, Any] = {
        **site.env,
        "settings": {"INTERRUPT": "claim"},
        "TEST_APPS": '["proj.interrupted.InterruptedConfig"]',
    }
    worker = site.start.worker({**TASKS, "GRACEFUL_TIMEOUT": 60}, **env)
    site.start.enqueue("tasks", "claimed", **site.env)
    assert worker.exits() == 0
    assert site.start.marks("claimed") == (1, 1)


def test_the_deadline_kills_what_the_task_has_started(site: Site) -> None:
    worker = site.worker()
    site.in_progress(worker, "parent", seconds=STUBBORN)
    # The harness fails if a process of the worker is left.
    assert worker.stop(seconds=60) == 1


def test_a_database_error_makes_a_new_connection(
    start: Starter, database_server: Postgres
) -> None:
    """Even where the old connection still answers, as after a failover."""
    name = "db_worker"
    database = database_server.database(name)
    env: dict[str, Any] = {
        "settings": {"DATABASES": {"default": {**database, "CONN_MAX_AGE": None}}}
    }
    start.migrate(**env)
    worker = start.worker(TASKS, **env)
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
            [old] = wait_for(lambda: connections("Lock"), "the worker's query blocked")
            watcher.execute("SELECT pg_cancel_backend(%s)", [old])
            worker.says("The database is away, waiting for it")
        start.enqueue("tasks", "after", **env)
        worker.until(lambda: start.marks("after")[1], "a task done after the error")
        assert connections()
        assert old not in connections()
    assert worker.stop() == 0
