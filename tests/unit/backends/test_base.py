"""What is stronger than what, where an option is said in several places."""

from __future__ import annotations

from typing import Any

import pytest

from django_prodserver.backends.base import CommandBackend
from django_prodserver.backends.django_tasks.backend import DjangoTasksWorker
from django_prodserver.backends.gunicorn.backend import GunicornServer
from django_prodserver.backends.uvicorn.backend import UvicornServer
from django_prodserver.backends.waitress.backend import WaitressServer
from django_prodserver.config import concurrency
from django_prodserver.config.argv import value_of


@pytest.fixture(autouse=True)
def _bare_environment(monkeypatch, tmp_path):
    for name in ("PORT", "WEB_CONCURRENCY", "GUNICORN_CMD_ARGS", "UVICORN_WORKERS"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.chdir(tmp_path)


def option(backend: CommandBackend, name: str) -> str | None:
    return value_of(name, backend.args, backend.option_table)


def resolved(backend: CommandBackend, key: str) -> tuple[object, str]:
    """Return a key's value, and what says it."""
    found = backend.resolve(key)
    return found.value, found.origin


@pytest.mark.parametrize(
    ("backend", "variable", "text"),
    [
        (GunicornServer, "GUNICORN_CMD_ARGS", "--workers 9 --threads 9"),
        (UvicornServer, "UVICORN_WORKERS", "9"),
    ],
)
def test_a_written_key_is_stronger_than_the_servers_variable(
    backend, variable, text, monkeypatch
):
    """Which a default is not: nobody has written that."""
    monkeypatch.setenv(variable, text)
    assert option(backend(WORKERS=4), "workers") == "4"
    assert option(backend(), "threads") is None
    assert option(backend(), "workers") is None


def test_the_platforms_variable_yields_to_the_servers(monkeypatch):
    monkeypatch.setenv("WEB_CONCURRENCY", "5")
    assert option(UvicornServer(), "workers") == "5"
    monkeypatch.setenv("UVICORN_WORKERS", "9")
    assert option(UvicornServer(), "workers") is None


def test_a_written_key_is_stronger_than_rqs_own_default(settings):
    settings.TASKS = {"default": {"BACKEND": "django_tasks_rq.RQBackend"}}
    backend = DjangoTasksWorker(MAX_TASKS=7)
    assert "--max-jobs=7" in backend.command(backend.args)


@pytest.mark.parametrize("text", ["x", "0", "-1", "2.5", "1e3", "٣", " 2"])
def test_a_variable_that_makes_no_sense_is_not_used(text, monkeypatch):
    """The checks tell it; a start without them has the server's own number."""
    monkeypatch.setenv("WEB_CONCURRENCY", text)
    backend = GunicornServer()
    assert backend.resolve("WORKERS").value is None
    assert option(backend, "workers") is None


def test_a_variable_that_is_empty_is_none(monkeypatch):
    monkeypatch.setenv("WEB_CONCURRENCY", "")
    assert resolved(GunicornServer(), "WORKERS") == (None, "default")


def test_the_key_is_stronger_than_its_variable(monkeypatch):
    monkeypatch.setenv("WEB_CONCURRENCY", "5")
    assert resolved(GunicornServer(), "WORKERS") == (5, "WEB_CONCURRENCY")
    assert resolved(GunicornServer(WORKERS=3), "WORKERS") == (3, "WORKERS")


@pytest.mark.parametrize("written", [True, False])
def test_auto_is_a_number_with_its_reason_and_where_it_is_said(written, monkeypatch):
    number: tuple[int, str] = (6, "6 CPUs")
    monkeypatch.setattr(concurrency, "auto", lambda key: number)
    monkeypatch.setenv("WEB_CONCURRENCY", "auto")
    config: dict[str, Any] = {"WORKERS": "auto"} if written else {}
    origin = "WORKERS" if written else "WEB_CONCURRENCY"
    backend = GunicornServer(**config)
    assert resolved(backend, "WORKERS") == (6, origin)
    assert backend.resolve("WORKERS").why == "6 CPUs"


def test_what_a_server_cannot_honour_is_nothing_for_it():
    """Whatever is written, or by default."""
    assert resolved(WaitressServer(WORKERS=3), "WORKERS") == (None, "default")
    assert WaitressServer(WORKERS=3).args == WaitressServer().args


def test_layers_that_come_to_no_option_are_left_out():
    backend = GunicornServer(ROOT_PATH="/shop")
    assert all(layer.words for layer in backend.layers[:-1])
    origins = [layer.origin for layer in backend.layers]
    assert "ROOT_PATH" not in origins
    assert origins[-1] == "ARGS"
