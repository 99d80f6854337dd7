"""Django-Q2's cluster, at the moments that are hard."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from typing import Any

import pytest

from tests.conftest import Starter
from tests.processes.test_worker_shutdown import KINDS, Q2, Site

pytestmark = pytest.mark.process


@pytest.fixture
def site(start: Starter, redis_url: str, request: pytest.FixtureRequest) -> Site:
    return Site(start, redis_url, KINDS[request.param])


@pytest.mark.parametrize("site", ["qcluster-orm"], indirect=True)
def test_a_task_that_is_put_back_is_in_the_database_once(site: Site) -> None:
    """Else it would run twice: at once, and again after Django-Q2's ``retry``."""
    worker = site.worker()
    site.in_progress(worker, "long")
    assert worker.stop(seconds=60) == 1
    with closing(sqlite3.connect(site.start.data / "db.sqlite3")) as database:
        [count] = database.execute("SELECT count(*) FROM django_q_ormq").fetchone()
    assert count == 1


@pytest.mark.parametrize("site", ["qcluster"], indirect=True)
def test_a_signal_to_the_new_sentinel_does_not_stop_it(site: Site) -> None:
    """Between the fork and its own handlers, it has those of its parent."""
    grace = 1
    env: dict[str, Any] = {
        **site.env,
        "settings": {"INTERRUPT": "fork"},
        "TEST_APPS": '["proj.interrupted.InterruptedConfig"]',
    }
    worker = site.start.worker({**Q2, "GRACEFUL_TIMEOUT": grace}, **env)
    worker.says("running.")
    # Longer than the deadline, should one have been started by that signal.
    site.start.enqueue("q2", "long", seconds=3 * grace, **site.env)
    site.done(worker, "long")
    assert "GRACEFUL_TIMEOUT" not in worker.output
    # A stop may take longer than this grace, and its exit code is not the point.
    assert worker.process.poll() is None
