"""The workers of Django Tasks: django-tasks-db's, and RQ's."""

from __future__ import annotations

import pytest

from tests.backends.contract import (
    GRACE,
    TASKS_ON_DATABASE,
    DeadlineContract,
    WorkerContract,
)
from tests.backends.sites import STUBBORN, WorkerSite, entry
from tests.conftest import Starter

WORKER = "django_tasks.DjangoTasksWorker"


class TestOnTheDatabase(WorkerContract):
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
    settings = {"TASKS": {"default": {"BACKEND": "django_tasks_rq.RQBackend"}}}
    ready = "Listening on"
    task = "proj.jobs.tasks.mark"
    logged_queue = "default"


class TestWithoutPreload(DeadlineContract):
    backend = WORKER
    variants = {"db_worker": {"PRELOAD": False}}
    queue = "tasks"
    settings = {"TASKS": TASKS_ON_DATABASE}


@pytest.mark.process
def test_a_task_that_takes_no_exception_is_ended_too(
    start: Starter, redis_url: str
) -> None:
    site = WorkerSite(start, redis_url, entry(WORKER), {}, "tasks")
    worker = site.worker(GRACEFUL_TIMEOUT=GRACE)
    site.hold(worker, "long", seconds=STUBBORN)
    assert worker.stop(seconds=60) == 1
    site.go()
    again = site.worker(GRACEFUL_TIMEOUT=60)
    site.done(again, "long")
    assert site.marks("long") == [(2, 1)]
