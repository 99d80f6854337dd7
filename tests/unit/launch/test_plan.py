"""Plans: the command, environment and faults of a start, before it starts."""

from __future__ import annotations

import dataclasses
import os
from typing import Any

import pytest

from django_prodserver.backends.base import CommandBackend
from django_prodserver.config.context import VARIABLE, Context
from django_prodserver.config.processes import Process
from django_prodserver.exceptions import ConfigurationError, Fault, UsageError
from django_prodserver.health import conf as health
from django_prodserver.launch.plan import make_plan
from tests.servers import BACKENDS

GUNICORN = f"{BACKENDS}.gunicorn.GunicornServer"
CELERY = f"{BACKENDS}.celery.CeleryWorker"


@pytest.fixture(autouse=True)
def _bare_environment(monkeypatch, tmp_path):
    for name in ("PORT", "PRODSERVER_HOST", "WEB_CONCURRENCY", "GUNICORN_CMD_ARGS"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.chdir(tmp_path)


def process(backend: str = GUNICORN, **config: Any) -> Process:
    pytest.importorskip("gunicorn" if backend is GUNICORN else "celery")
    return Process("web", {"BACKEND": backend, **config})


def workers(words: tuple[str, ...]) -> list[str]:
    return [word for word in words if word.startswith(("--workers", "-w"))]


def test_command_line_overrides_args():
    plan = make_plan(process(ARGS={"workers": 2}), ["-w3"])
    assert workers(plan.args) == ["-w3"]
    assert plan.overrides == ("-w3",)
    assert plan.command[-len(plan.args) :] == plan.args


def test_devserver_has_one_worker_by_default():
    plan = make_plan(process(ARGS={"workers": 2}), development=True)
    assert workers(plan.args) == ["--workers=1"]
    plan = make_plan(process(ARGS={"workers": 2}), ["--workers=3"], development=True)
    assert workers(plan.args) == ["--workers=3"]
    assert workers(make_plan(process(ARGS={"workers": 2})).args) == ["--workers=2"]


@pytest.mark.parametrize(
    ("development", "debug", "serves"),
    [(True, True, True), (True, False, False), (False, True, False)],
)
def test_only_devserver_with_debug_serves_static_files(
    development, debug, serves, settings
):
    settings.DEBUG = debug
    command = make_plan(process(), development=development).command
    assert ("static_files" in " ".join(command)) is serves
    assert ("proj.wsgi:application" in command) is not serves


def test_prefix_precedes_the_command():
    plan = make_plan(process(PREFIX=["env", "-u"], ARGS={"workers": 2}))
    assert plan.prefix == ("env", "-u")
    assert plan.base_command == ("env", "-u", "gunicorn", "proj.wsgi:application")
    assert plan.command[:4] == plan.base_command
    assert plan.commands == (plan.command,)


def test_planning_has_no_side_effects():
    before = dict(os.environ)
    plan = make_plan(process(ENV={"A": 1}, ROOT_PATH="/shop"))
    assert os.environ == before
    assert plan.environment["A"] == "1"
    with pytest.raises(dataclasses.FrozenInstanceError):
        plan.args = ()  # type: ignore[misc]


def test_faults_are_collected_and_check_raises_the_first(monkeypatch):
    monkeypatch.setenv("PORT", "http")
    monkeypatch.setenv("WEB_CONCURRENCY", "many")
    plan = make_plan(process(WRONG=1))
    assert {fault.fault for fault in plan.faults} == {
        Fault.UNKNOWN_KEY,
        Fault.BAD_VARIABLE,
    }
    assert len(plan.faults) == 3
    with pytest.raises(ConfigurationError) as caught:
        plan.check()
    assert caught.value is plan.faults[0]


def test_check_passes_without_faults():
    plan = make_plan(process())
    assert plan.faults == ()
    plan.check()


def test_a_missing_application_is_a_fault_of_the_process(settings):
    settings.WSGI_APPLICATION = None
    plan = make_plan(process())
    assert plan.command == ()
    assert plan.base_command == (GUNICORN,)
    found = [fault for fault in plan.faults if fault.fault is Fault.NO_APPLICATION]
    assert found
    assert all("PRODUCTION_PROCESSES['web']" in each.message for each in found)


@pytest.mark.parametrize("installed", [True, False])
@pytest.mark.parametrize("backend", [GUNICORN, CELERY])
def test_health_setting_is_checked_only_where_the_middleware_runs(
    installed, backend, settings
):
    settings.MIDDLEWARE = [health.MIDDLEWARE] if installed else []
    settings.PRODSERVER_HEALTH = {"TIMEOUT": "long"}
    plan = make_plan(process(backend, APP="proj.celery.app"))
    ids = {fault.fault for fault in plan.faults}
    assert (Fault.BAD_HEALTH in ids) is (installed and backend is GUNICORN)


def test_an_invalid_env_makes_no_plan():
    with pytest.raises(ConfigurationError) as caught:
        make_plan(process(ENV=5))
    assert caught.value.fault is Fault.BAD_VALUE


def test_the_context_is_in_the_environment_but_in_no_row():
    plan = make_plan(process(ROOT_PATH="/shop"))
    assert plan.context
    assert plan.context.root_path == "/shop"
    assert Context.decode(plan.environment[VARIABLE]) == plan.context
    assert VARIABLE not in [row.option for row in plan.rows]


RELEASE = f"{BACKENDS}.management.ManagementCommands"


def test_a_release_has_commands_and_none_that_replaces_it():
    release = Process("release", {"BACKEND": RELEASE, "COMMANDS": ["check", "migrate"]})
    plan = make_plan(release)
    assert plan.command == ()
    assert plan.commands == (("django-admin", "check"), ("django-admin", "migrate"))
    assert plan.base_command == (RELEASE,)


def test_options_for_a_release_are_wrong_usage():
    release = Process("release", {"BACKEND": RELEASE, "COMMANDS": ["check"]})
    with pytest.raises(UsageError, match="takes no options"):
        make_plan(release, ["--fake"])


def test_the_faults_of_a_release_come_before_its_usage():
    release = Process("release", {"BACKEND": RELEASE, "COMMANDS": []})
    plan = make_plan(release, ["--fake"])
    assert [fault.fault for fault in plan.faults] == [Fault.BAD_VALUE]


class NoCommand(CommandBackend):
    """A backend whose options cannot become a command."""

    script = package = "sys"

    def command(self, args):
        raise ConfigurationError(Fault.BAD_VALUE, "['BIND'] is taken.", "Free it.")


def test_a_command_that_only_fails_when_it_is_made_is_a_fault():
    plan = make_plan(Process("web", {"BACKEND": f"{__name__}.NoCommand"}))
    messages = [fault.message for fault in plan.faults]
    assert messages == ["PRODUCTION_PROCESSES['web']['BIND'] is taken."]
    assert plan.command == ()
    assert plan.commands == ()


class OwnStart(CommandBackend):
    """A backend that has a command, and starts in another way."""

    script = package = "sys"

    def command(self, args):
        return ["sys", *args]

    def start_server(self, *args):
        """Start it in another way."""


def test_a_backend_with_its_own_start_has_no_command():
    plan = make_plan(Process("web", {"BACKEND": f"{__name__}.OwnStart"}))
    assert plan.command == ()
    assert plan.commands == ()
    assert plan.faults == ()
