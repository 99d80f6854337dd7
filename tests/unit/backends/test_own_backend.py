"""A backend of somebody else's, for a command of whose options nothing is known."""

from __future__ import annotations

from typing import Any

import pytest

from django_prodserver.checks.ids import WarningId
from django_prodserver.checks.processes import check_deployment, check_processes
from django_prodserver.config import processes
from django_prodserver.launch.plan import make_plan

CONFIG = {
    "BACKEND": "proj.thirdparty.StepWorker",
    "QUEUES": ["mail", "sms"],
    "ARGS": {"interval": 0.2, "dry_run": True, "quiet": False, "tag": ["a", "b"]},
}
WORDS = [
    *("django-admin", "step", "--queue=mail", "--queue=sms"),
    *("--interval=0.2", "--dry_run", "--tag=a", "--tag=b"),
]


def configure(settings: Any, **more: Any) -> None:
    settings.PRODUCTION_PROCESSES = {"step": {**CONFIG, **more}}


@pytest.mark.parametrize(
    ("overrides", "expected"),
    [
        ([], WORDS),
        (["--interval", "5"], [*WORDS[:4], *WORDS[5:], "--interval", "5"]),
    ],
)
def test_its_options_are_passed_on(
    settings: Any, overrides: list[str], expected: list[str]
) -> None:
    configure(settings)
    assert make_plan(processes.process(), overrides).command == tuple(expected)


def test_no_check_knows_better(settings: Any) -> None:
    configure(settings)
    assert check_processes() == []
    assert not [found for found in check_deployment() if "step" in found.msg]


def test_a_key_that_it_cannot_honour_is_said(settings: Any) -> None:
    configure(settings, CONCURRENCY=2)
    [found] = check_processes()
    assert found.id == WarningId.USELESS_KEY
    assert "one step at a time" in found.msg


def test_it_is_explained(settings: Any) -> None:
    configure(settings)
    origins = {row.option: row.origin for row in make_plan(processes.process()).rows}
    assert (origins["--queue"], origins["--interval"]) == ("QUEUES", "ARGS")
