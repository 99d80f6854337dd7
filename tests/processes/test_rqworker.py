"""RQ's worker with the jobs of django-tasks-rq, at the moments that are hard."""

from __future__ import annotations

import pytest

from tests.conftest import Starter
from tests.processes.test_worker_shutdown import HOLD, KINDS, Site

pytestmark = pytest.mark.process


@pytest.fixture
def site(start: Starter, redis_url: str) -> Site:
    return Site(start, redis_url, KINDS["rqworker"])


def test_a_job_that_is_put_back_is_the_next_of_its_queue(site: Site) -> None:
    worker = site.worker()
    site.in_progress(worker, "first")
    site.start.enqueue("tasks", "second", seconds=HOLD, **site.env)
    assert worker.stop(seconds=60) == 1
    again = site.worker()
    again.until(
        lambda: site.start.marks("first")[0] == 2 or site.start.marks("second")[0],
        "a job begun",
    )
    assert site.start.marks("first") == (2, 0)
    assert site.start.marks("second") == (0, 0)
