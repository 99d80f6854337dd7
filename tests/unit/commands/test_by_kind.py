"""``manage.py server`` and ``manage.py worker``, as in django-prodserver 3."""

from __future__ import annotations

import pytest
from django.core.management import CommandError, call_command

from django_prodserver.backends.base import (
    BaseProcessBackend,
    BaseServerBackend,
    BaseWorkerBackend,
)

BACKENDS = "django_prodserver.backends"


class Server(BaseServerBackend):
    """A server of the user's."""

    def start_server(self, *args: str) -> None:
        raise AssertionError


class Worker(BaseWorkerBackend):
    """A worker of the user's."""

    def start_server(self, *args: str) -> None:
        raise AssertionError


class Process(BaseProcessBackend):
    """One that is neither, and a server since 2.x."""

    def start_server(self, *args: str) -> None:
        raise AssertionError


#: The paths of 3.0, for each of its commands.
KINDS = {
    "server": [
        f"{BACKENDS}.servers.gunicorn.GunicornServer",
        f"{BACKENDS}.servers.uvicorn.UvicornServer",
        f"{BACKENDS}.servers.uvicorn.UvicornWSGIServer",
        f"{BACKENDS}.servers.granian.GranianASGIServer",
        f"{BACKENDS}.servers.granian.GranianWSGIServer",
        f"{BACKENDS}.servers.waitress.WaitressServer",
        f"{BACKENDS}.servers.flower.CeleryFlower",
        f"{BACKENDS}.gunicorn.GunicornServer",
        f"{__name__}.Server",
        f"{__name__}.Process",
    ],
    "worker": [
        f"{BACKENDS}.workers.celery.CeleryWorker",
        f"{BACKENDS}.workers.celery.CeleryBeat",
        f"{BACKENDS}.workers.django_tasks.DjangoTasksWorker",
        f"{BACKENDS}.workers.django_q2.DjangoQ2Worker",
        f"{__name__}.Worker",
    ],
}
ROWS = [(kind, path) for kind, paths in KINDS.items() for path in paths]


@pytest.fixture(autouse=True)
def _no_name(monkeypatch):
    monkeypatch.delenv("PROCESS_NAME", raising=False)


@pytest.mark.parametrize(("kind", "path"), ROWS)
def test_a_process_of_the_other_kind_names_the_right_command(kind, path, settings):
    settings.PRODUCTION_PROCESSES = {"it": {"BACKEND": path, "APP": "proj.celery.app"}}
    other = "worker" if kind == "server" else "server"
    with pytest.raises(CommandError) as raised:
        call_command(other, "it")
    assert raised.value.returncode == 2
    assert str(raised.value) == (
        f"The process 'it' is a {kind}, not a {other}.\nRun: python manage.py {kind} it"
    )


@pytest.mark.parametrize(("kind", "path"), ROWS)
def test_a_process_is_listed_by_the_command_of_its_kind(kind, path, settings, capsys):
    settings.PRODUCTION_PROCESSES = {
        "it": {"BACKEND": path, "APP": "proj.celery.app"},
        "broken": {"BACKEND": "nowhere.Backend"},
    }
    other = "worker" if kind == "server" else "server"
    call_command(kind, "--list")
    call_command(other, "--list")
    assert capsys.readouterr().out == (
        f"Available {kind} process names are:\n it\n"
        f"Available {other} process names are:\n"
    )


PROCESSES = {
    "first": {"BACKEND": f"{__name__}.Worker"},
    "site": {"BACKEND": f"{BACKENDS}.gunicorn.GunicornServer", "BIND": "a:1"},
    "web": {"BACKEND": f"{BACKENDS}.gunicorn.GunicornServer", "BIND": "a:2"},
    "release": {
        "BACKEND": f"{BACKENDS}.management.ManagementCommands",
        "COMMANDS": ["check"],
    },
}


@pytest.mark.parametrize(
    ("args", "variable", "address"),
    [
        ([], "", "a:1"),
        (["web"], "", "a:2"),
        ([], "web", "a:2"),
        (["site"], "web", "a:1"),
    ],
    ids=["the-first-of-its-kind", "a-name", "the-variable", "a-name-and-the-variable"],
)
def test_which_process(args, variable, address, settings, monkeypatch, capsys):
    monkeypatch.setenv("PROCESS_NAME", variable)
    settings.PRODUCTION_PROCESSES = PROCESSES
    call_command("server", *args, "--dry-run")
    assert f"--bind={address}" in capsys.readouterr().out


def test_the_servers_own_options_go_to_it(settings, capsys):
    settings.PRODUCTION_PROCESSES = PROCESSES
    call_command("server", "--dry-run", "--workers", "3")
    assert "--workers 3" in capsys.readouterr().out


@pytest.mark.parametrize("command", ["server", "worker"])
def test_a_release_is_neither(command, settings):
    settings.PRODUCTION_PROCESSES = PROCESSES
    with pytest.raises(CommandError, match=r"Run: python manage.py prodserver release"):
        call_command(command, "release")


def test_none_of_that_kind(settings):
    settings.PRODUCTION_PROCESSES = {"web": PROCESSES["web"]}
    with pytest.raises(CommandError, match="PRODUCTION_PROCESSES has no worker"):
        call_command("worker")


@pytest.mark.parametrize("command", ["server", "worker"])
def test_an_unknown_name_is_one_message(command, settings):
    settings.PRODUCTION_PROCESSES = PROCESSES
    with pytest.raises(CommandError, match="Did you mean 'site'") as raised:
        call_command(command, "sit")
    assert raised.value.returncode == 78


def test_all_is_all_of_that_kind(settings):
    """A broken one among them says so; of the other kind, none is looked at."""
    bad = {"BACKEND": f"{BACKENDS}.gunicorn.GunicornServer", "TIMEOUT": "x"}
    settings.PRODUCTION_PROCESSES = {**PROCESSES, "bad": bad}
    with pytest.raises(CommandError, match=r"\['bad'\]\['TIMEOUT'\]"):
        call_command("server", "--all")
