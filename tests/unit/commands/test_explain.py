"""``--explain``: each option of the final command, its value and its origin."""

from __future__ import annotations

import json
import shlex
from typing import Any

import pytest
from django.conf import settings
from django.core.management import call_command

from django_prodserver.backends.base import BaseServerBackend
from django_prodserver.commands import cli, explain
from django_prodserver.config import concurrency
from django_prodserver.config.processes import Process
from django_prodserver.launch.plan import make_plan
from django_prodserver.process.preload_memory import Memory
from tests.servers import BACKENDS

GUNICORN = f"{BACKENDS}.gunicorn.GunicornServer"
UVICORN = f"{BACKENDS}.uvicorn.UvicornServer"
CELERY = f"{BACKENDS}.celery.CeleryWorker"


@pytest.fixture(autouse=True)
def _bare_environment(monkeypatch, tmp_path):
    monkeypatch.setenv("PRODSERVER_RUNTIME_DIR", str(tmp_path))
    for name in ("PORT", "PRODSERVER_HOST", "WEB_CONCURRENCY", "PROCESS_NAME"):
        monkeypatch.delenv(name, raising=False)


def explained(*overrides: str, **config: Any) -> dict[str, tuple[str, str, str]]:
    config = {"BACKEND": GUNICORN, **config}
    plan = make_plan(Process("web", config), overrides)
    return {row[0]: row[1:] for row in plan.rows}


def test_every_origin(monkeypatch):
    monkeypatch.setenv("WEB_CONCURRENCY", "3")
    rows = explained(
        *("--backlog", "99", "-b", "c:3"),
        BIND="a:1",
        TIMEOUT=70,
        ARGS={"max-requests": 1000, "preload": True},
        ENV={"A": "b"},
    )
    assert rows["command"] == ("gunicorn proj.wsgi:application", "BACKEND", "")
    assert rows["--timeout"] == ("70", "TIMEOUT", "")
    assert rows["--max-requests"] == ("1000", "ARGS", "")
    assert rows["--preload"] == ("", "ARGS", "")
    assert rows["--workers"] == ("3", "WEB_CONCURRENCY", "")
    assert rows["--backlog"] == ("99", "command line", "")
    assert rows["-b"] == ("c:3", "command line", "")
    assert rows["A"] == ("b", "ENV", "")
    why = "shorter than the 30 s that Kubernetes and ECS allow"
    assert rows["--graceful-timeout"] == ("25", "default", why)
    assert "--bind" not in rows


def test_every_word_of_the_command_is_explained():
    """The rows come to the command that is run, no less and no more."""
    config = {"BACKEND": UVICORN, "WORKERS": 2, "ARGS": {"header": ["A:1", "B:2"]}}
    plan = make_plan(Process("web", config), ["--reload"])
    words = []
    for option, value, _, _ in plan.rows:
        if option == "command":
            words += shlex.split(value)
        elif option.startswith("--"):
            words.append(f"{option}={value}" if value else option)
    assert tuple(words) == plan.command


@pytest.mark.parametrize(
    ("environment", "origin"),
    [({}, "default"), ({"PORT": "1"}, "PORT"), ({"PRODSERVER_HOST": "a"}, None)],
)
def test_an_address_is_of_what_says_it(environment, origin, monkeypatch):
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    assert explained()["--bind"][1] == (origin or "PRODSERVER_HOST")


def test_a_variable_that_the_server_reads_is_a_row(monkeypatch):
    monkeypatch.setenv("UVICORN_LOOP", "asyncio")
    monkeypatch.setenv("UVICORN_NOT_AN_OPTION", "x")
    rows = explained(BACKEND=UVICORN)
    assert rows["UVICORN_LOOP"] == (
        "asyncio",
        "environment",
        "the server reads it itself",
    )
    assert "UVICORN_NOT_AN_OPTION" not in rows


def test_what_the_backend_does_by_itself_is_a_row(monkeypatch):
    monkeypatch.setattr(concurrency, "auto", lambda key: (5, "5 CPUs"))
    rows = explained(BACKEND=CELERY, APP="proj.celery.app")
    assert rows["CONCURRENCY"] == ("5", "default", "5 CPUs")


def test_a_secret_is_not_shown():
    plan = make_plan(
        Process("web", {"BACKEND": GUNICORN, "ENV": {"DB_PASSWORD": "hunter2"}}),
        ["--env", "API_KEY=hunter2", "--statsd-host=redis://me:hunter2@a"],
    )
    assert "hunter2" not in explain.as_text(plan) + explain.as_json(plan)
    assert explain.as_text(plan, show_secrets=True).count("hunter2") == 3


def test_auto_is_said_with_the_number_and_why(monkeypatch):
    monkeypatch.setattr(concurrency, "auto", lambda key: (5, "5 CPUs"))
    plan = make_plan(Process("web", {"BACKEND": GUNICORN, "WORKERS": "auto"}))
    assert plan.notes == ("WORKERS is 5: 5 CPUs",)
    plan = make_plan(plan.process, ["--workers=2"])
    assert plan.notes == ()


class Theirs(BaseServerBackend):
    def start_server(self, *args):
        """Their own affair."""


def test_a_backend_without_a_command_is_explained_too():
    rows = explained("-x", BACKEND=f"{__name__}.Theirs", ARGS={"a": 1})
    assert rows["command"] == (f"{__name__}.Theirs", "BACKEND", "")
    assert rows["--a"] == ("1", "ARGS", "")
    assert rows["-x"] == ("", "command line", "")


@pytest.fixture
def processes(settings):
    settings.PRODUCTION_PROCESSES = {"web": {"BACKEND": GUNICORN, "WORKERS": 3}}


def test_the_table_is_for_people(processes, capsys):
    with pytest.raises(SystemExit):
        cli.main(["web", "--explain", "--backlog=9"])
    head, *rows = capsys.readouterr().out.splitlines()
    assert head.split() == ["OPTION", "VALUE", "FROM", "WHY"]
    assert ["--backlog", "9", "command", "line"] in [row.split() for row in rows]
    assert not [row for row in rows if row != row.rstrip()]


def test_the_list_is_for_machines(processes, capsys):
    call_command("prodserver", "web", "--explain", "--format=json")
    rows = json.loads(capsys.readouterr().out)
    assert {"option": "--workers", "value": "3", "from": "WORKERS", "why": ""} in rows


def test_devserver_mirrors_it(processes, capsys):
    call_command("devserver", "web", "--explain", "--format=json", "--backlog=9")
    rows = {row["option"]: row for row in json.loads(capsys.readouterr().out)}
    assert rows["--workers"]["value"] == "1"
    assert rows["--workers"]["from"] == "devserver"
    assert rows["--backlog"]["from"] == "command line"


def preload_row(*overrides: str, **config: Any) -> tuple[str, str, str]:
    """Return value, origin and reason of the row of PRELOAD."""
    plan = make_plan(Process("web", {"BACKEND": GUNICORN, **config}), overrides)
    rows = {row["option"]: row for row in json.loads(explain.as_json(plan))}
    return tuple(rows["PRELOAD"][column] for column in ("value", "from", "why"))


def test_preload_says_what_the_last_start_decided():
    assert preload_row() == ("auto", "default", "")
    memory = Memory("web", ["gunicorn"])
    memory.remember(preloaded=True, reason="")
    assert preload_row() == ("auto", "default", "preloaded at the last start")
    memory.remember(preloaded=False, reason="a thread")
    why = "not preloaded at the last start, because a thread"
    assert preload_row() == ("auto", "default", why)
    memory.remember(preloaded=True, reason="a thread")
    why = "preloaded at the last start, although a thread"
    assert preload_row(PRELOAD=True) == ("True", "PRELOAD", why)
    assert preload_row(PRELOAD=False) == ("False", "PRELOAD", "")


def test_preload_says_what_rules_it_out():
    Memory("web", ["gunicorn"]).remember(preloaded=True, reason="")
    assert preload_row(PREFIX=["nice"])[2].startswith("not preloaded: PREFIX")
    assert preload_row("--reload")[2].startswith("not preloaded, because --reload")


def test_release_shows_its_commands_lock_and_waits():
    """Passwords in a command are masked."""
    commands = ["migrate --noinput", "load --url=postgres://u:hidden@db/x"]
    entry = {
        "BACKEND": "django_prodserver.backends.management.ManagementCommands",
        "COMMANDS": commands,
        "WAIT_FOR": ["database", "tcp://db:5432"],
    }
    plan = make_plan(Process("release", entry))
    rows = [tuple(row.values()) for row in json.loads(explain.as_json(plan))]
    assert [row[:3] for row in rows if row[0] in ("COMMANDS", "LOCK", "WAIT_FOR")] == [
        ("COMMANDS", "django-admin migrate --noinput", "COMMANDS"),
        ("COMMANDS", "django-admin load '--url=postgres://u:***@db/x'", "COMMANDS"),
        ("LOCK", "True", "default"),
        ("WAIT_FOR", "database, tcp://db:5432", "WAIT_FOR"),
    ]


def test_worker_shows_its_health():
    entry = {
        "BACKEND": "django_prodserver.backends.celery.CeleryWorker",
        "APP": "proj.celery.app",
        "HEALTH": {"MAX_AGE": 60},
    }
    plan = make_plan(Process("worker", entry))
    assert ["HEALTH MAX_AGE", "60", "HEALTH", ""] in [
        list(row.values()) for row in json.loads(explain.as_json(plan))
    ]


CONSOLE = {
    "version": 1,
    "handlers": {"out": {"class": "logging.StreamHandler"}},
    "root": {"handlers": ["out"]},
}


@pytest.mark.parametrize(
    ("logging", "config", "expected"),
    [
        ({}, {}, ("text", "default", "human-readable; use json for log collectors")),
        (
            CONSOLE,
            {},
            (
                "the project's",
                "LOGGING",
                "it has the console handler 'out' of the logger 'root'",
            ),
        ),
        (
            CONSOLE,
            {"LOG_FORMAT": "json"},
            (
                "json",
                "LOG_FORMAT",
                "every line on standard output and error, those of the console "
                "handler 'out' of the logger 'root' too",
            ),
        ),
    ],
    ids=["nothing written", "LOGGING", "LOG_FORMAT"],
)
def test_the_format_of_the_log(logging, config, expected, monkeypatch):
    monkeypatch.setattr(settings, "LOGGING", logging)  # which applies nothing
    plan = make_plan(Process("web", {"BACKEND": GUNICORN, **config}))
    rows = {row["option"]: row for row in json.loads(explain.as_json(plan))}
    row = rows["LOG_FORMAT"]
    assert (row["value"], row["from"], row["why"]) == expected
