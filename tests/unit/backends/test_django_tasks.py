"""The backend of Django Tasks: the choice of the worker, and its installation."""

from __future__ import annotations

import sys
from collections.abc import Callable
from functools import partial
from itertools import permutations

import pytest
from django_tasks_db.management.commands import db_worker

from django_prodserver.backends.django_tasks import (
    DjangoTasksWorker,
    other_workers,
)
from django_prodserver.backends.django_tasks.db_worker import worker as managed
from django_prodserver.backends.django_tasks.db_worker.command import DatabaseWorker
from django_prodserver.backends.django_tasks.rqworker import RQWorker
from django_prodserver.config.processes import Process
from django_prodserver.launch.plan import make_plan

MODULE = "django_prodserver.backends.django_tasks"
TASKS = {
    "default": {"BACKEND": "django_tasks_db.DatabaseBackend"},
    "reports": {"BACKEND": "django_tasks_rq.RQBackend", "QUEUES": ["slow"]},
}


@pytest.mark.parametrize(
    ("args", "expected"),
    [
        ({}, DatabaseWorker),
        ({"backend": "default"}, DatabaseWorker),
        ({"backend": "reports"}, RQWorker),
        ({"backend": "no-such"}, DatabaseWorker),
    ],
)
def test_tasks_setting_selects_the_worker(args, expected, settings):
    settings.TASKS = TASKS
    assert type(DjangoTasksWorker(ARGS=args).worker) is expected


def test_command_of_the_database_worker(settings):
    settings.TASKS = TASKS
    backend = DjangoTasksWorker(ARGS={"interval": 5}, QUEUES=["a", "b"], MAX_TASKS=9)
    assert backend.command(backend.args) == [
        *("django-admin", "db_worker", "--no-reload"),
        *("--queue-name=a,b", "--max-tasks=9", "--interval=5"),
    ]


def test_command_of_the_rq_worker(settings):
    settings.TASKS = TASKS
    backend = DjangoTasksWorker(ARGS={"backend": "reports", "burst": True}, MAX_TASKS=9)
    assert backend.command(backend.args) == [
        *("django-admin", "rqworker", "--job-class=django_tasks_rq.backend.Job"),
        *("--max-jobs=9", "--burst", "slow"),
    ]


@pytest.mark.parametrize(
    ("args", "overrides"),
    [
        ({"--backend": "reports", "burst": True}, []),
        ({"backend": "reports"}, ["--burst"]),
        ("--backend reports --burst", []),
        (["--backend=reports", "--burst"], []),
        ({"burst": True}, ["--backend", "reports"]),
        ({"backend": "default", "burst": True}, ["--backend=reports"]),
    ],
)
def test_every_spelling_selects_the_worker(args, overrides, settings):
    settings.TASKS = TASKS
    config = {"BACKEND": f"{MODULE}.DjangoTasksWorker", "ARGS": args}
    plan = make_plan(Process("worker", config), overrides)
    assert list(plan.command) == [
        *("django-admin", "rqworker", "--job-class=django_tasks_rq.backend.Job"),
        *("--burst", "slow"),
    ]


@pytest.mark.parametrize(
    ("args", "seconds"), [({}, 30), ({"interval": 60}, 90), ({"interval": "x"}, 30)]
)
def test_heartbeat_max_age_grows_with_the_poll_interval(args, seconds, settings):
    settings.TASKS = TASKS
    backend = DjangoTasksWorker(ARGS=args)
    assert backend.heartbeat_max_age(backend.args) == seconds


PARTS: dict[str, Callable[[], None]] = {
    "heartbeat": managed.install_heartbeat,
    "deadline": partial(managed.install_shutdown_deadline, 5),
}


@pytest.mark.parametrize(
    "parts", [*permutations(PARTS), ("heartbeat",), ("deadline",)], ids="-".join
)
def test_heartbeat_and_deadline_in_any_order(parts, monkeypatch):
    monkeypatch.setattr(db_worker, "Worker", db_worker.Worker)
    monkeypatch.setattr(managed.ManagedWorker, "has_heartbeat", False)
    monkeypatch.setattr(managed.ManagedWorker, "graceful_timeout", None)
    for part in parts:
        PARTS[part]()
    worker = db_worker.Worker(
        queue_names=["default"],
        interval=1,
        batch=False,
        backend_name="default",
        startup_delay=False,
        max_tasks=None,
        worker_id="test",
        excluded_queue_names=[],
    )
    assert isinstance(worker, managed.ManagedWorker)
    assert worker.has_heartbeat is ("heartbeat" in parts)
    assert (worker.deadline is not None) is ("deadline" in parts)
    if worker.deadline:
        assert worker.deadline.seconds == 5


@pytest.mark.parametrize(
    ("path", "keys", "words"),
    [
        (
            "django_ox.backend.OxBackend",
            {"CONCURRENCY": 3, "QUEUES": ["a", "b"], "MAX_TASKS": 9},
            [
                *("ox_worker", "--concurrency=3", "--queues=a,b", "--max-tasks=9"),
                "--backend=other",
            ],
        ),
        ("dj_queue.backend.DjQueueBackend", {}, ["dj_queue", "--backend=other"]),
        ("steady_queue.backend.SteadyQueueBackend", {}, ["steady_queue"]),
    ],
)
def test_command_of_another_package(path, keys, words, settings):
    settings.TASKS = {**TASKS, "other": {"BACKEND": path}}
    backend = DjangoTasksWorker(ARGS={"backend": "other"}, **keys)
    assert backend.command(backend.args) == ["django-admin", *words]
    fault, *_ = backend.check()
    assert str(fault).startswith(f"{path.partition('.')[0]} is not installed.")


class Loop:
    """The worker of another package, whose loop calls turn()."""

    turns = 0

    def turn(self, by):
        self.turns += by
        return self.turns


def test_loop_of_another_package_beats(monkeypatch):
    beats: list[str] = []
    monkeypatch.setattr(other_workers, "beat", beats.append)
    monkeypatch.setattr(Loop, "turn", Loop.turn)  # restored after the test
    monkeypatch.setattr(other_workers.OxWorker, "loop", f"{__name__}.Loop.turn")
    monkeypatch.setitem(sys.modules, __name__, sys.modules[Loop.__module__])
    other_workers.OxWorker({}).install_heartbeat()
    loop = Loop()
    assert (loop.turn(2), loop.turn(by=3)) == (2, 5)
    assert beats == ["ready", "ready"]
