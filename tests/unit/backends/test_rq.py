"""The command of RQ's worker, and the queues in it."""

from __future__ import annotations

import pytest

from django_prodserver.backends.rq import RQWorker
from django_prodserver.config.processes import Process
from django_prodserver.launch.plan import make_plan


@pytest.mark.parametrize(
    ("config", "words"),
    [
        ({}, []),
        (
            {"QUEUES": ["high", "low"], "MAX_TASKS": 9},
            ["--max-jobs=9", "high", "low"],
        ),
        (
            {"QUEUES": ["high"], "ARGS": {"with-scheduler": True}},
            ["--with-scheduler", "high"],
        ),
        ({"QUEUES": ["high"], "ARGS": ["--burst", "low"]}, ["--burst", "low"]),
        ({"QUEUES": ["high"], "ARGS": "--name a"}, ["--name", "a", "high"]),
    ],
)
def test_command(config, words):
    backend = RQWorker(**config)
    assert backend.command(backend.args) == ["django-admin", "rqworker", *words]


def test_queues_on_the_command_line_replace_those_of_the_settings():
    config = {"BACKEND": "django_prodserver.backends.rq.RQWorker", "QUEUES": ["high"]}
    plan = make_plan(Process("worker", config), ["--burst", "low"])
    assert list(plan.command) == ["django-admin", "rqworker", "--burst", "low"]
