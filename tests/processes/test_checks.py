"""One broken entry of the settings does not keep anything else from running."""

from __future__ import annotations

from typing import Any

import pytest

from tests.conftest import Starter
from tests.harness import MANAGE, MODULE
from tests.servers import BACKENDS

pytestmark = pytest.mark.process

#: Each with the ID of what is wrong with it on this machine, or in this project.
BROKEN = {
    "live": ("E013", {"BACKEND": f"{BACKENDS}.uvicorn.UvicornServer"}),
    "mine": ("E017", {"BACKEND": "gone.backends.Mine"}),
    "worker": (
        "E018",
        {"BACKEND": f"{BACKENDS}.celery.CeleryWorker", "APP": "gone.celery.app"},
    ),
}
RELEASE = {
    "BACKEND": f"{BACKENDS}.management.ManagementCommands",
    "COMMANDS": ["migrate --noinput"],
}
DJANGO = MANAGE[:2]


@pytest.fixture
def broken() -> dict[str, Any]:
    """Settings in which only the release can be started."""
    entries = {name: entry for name, (_, entry) in BROKEN.items()}
    return {"processes": {**entries, "release": RELEASE}, "unset": ["ASGI_APPLICATION"]}


def test_other_commands_run_and_warn(start: Starter, broken: dict[str, Any]) -> None:
    done = start.command("migrate", via=DJANGO, **broken)
    assert done.returncode == 0, done.stderr
    assert "Applying contenttypes.0001_initial... OK" in done.stdout
    for fault, _ in BROKEN.values():
        assert done.stderr.count(f"(prodserver.{fault})") == 1


@pytest.mark.parametrize("via", [MANAGE, MODULE], ids=["manage", "-m"])
def test_the_release_runs(
    via: list[str], start: Starter, broken: dict[str, Any]
) -> None:
    done = start.command("release", via=via, **broken)
    assert done.returncode == 0, done.stderr
    assert "Applying contenttypes.0001_initial... OK" in done.stdout


def test_a_deployment_check_fails_and_names_each_once(
    start: Starter, broken: dict[str, Any]
) -> None:
    done = start.command("check", "--deploy", via=DJANGO, **broken)
    assert done.returncode == 1
    errors, _, _ = done.stderr.partition("WARNINGS:")
    for fault, _ in BROKEN.values():
        assert errors.count(f"(prodserver.{fault})") == 1
        assert done.stderr.count(f"(prodserver.{fault})") == 1


@pytest.mark.parametrize("name", BROKEN)
def test_the_broken_process_does_not_start(
    name: str, start: Starter, broken: dict[str, Any]
) -> None:
    done = start.command(name, **broken)
    assert done.returncode == 78
    assert f"PRODUCTION_PROCESSES['{name}']: " in done.stderr
