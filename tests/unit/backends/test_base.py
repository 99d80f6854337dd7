"""Precedence, if an option is set in several places."""

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
    """Return the value of a key, and where it comes from."""
    setting = backend.resolve(key)
    return setting.value, setting.origin


@pytest.mark.parametrize(
    ("backend", "variable", "text"),
    [
        (GunicornServer, "GUNICORN_CMD_ARGS", "--workers 9 --threads 9"),
        (UvicornServer, "UVICORN_WORKERS", "9"),
    ],
)
def test_key_overrides_the_variable_of_the_server(backend, variable, text, monkeypatch):
    """A default does not override it."""
    monkeypatch.setenv(variable, text)
    assert option(backend(WORKERS=4), "workers") == "4"
    assert option(backend(), "threads") is None
    assert option(backend(), "workers") is None


def test_variable_of_the_server_overrides_the_platform_variable(monkeypatch):
    monkeypatch.setenv("WEB_CONCURRENCY", "5")
    assert option(UvicornServer(), "workers") == "5"
    monkeypatch.setenv("UVICORN_WORKERS", "9")
    assert option(UvicornServer(), "workers") is None


def test_key_overrides_the_default_of_rq(settings):
    settings.TASKS = {"default": {"BACKEND": "django_tasks_rq.RQBackend"}}
    backend = DjangoTasksWorker(MAX_TASKS=7)
    assert "--max-jobs=7" in backend.command(backend.args)


@pytest.mark.parametrize("text", ["x", "0", "-1", "2.5", "1e3", "٣", " 2"])
def test_invalid_variable_is_ignored(text, monkeypatch):
    """System checks report it; without them the server's own default applies."""
    monkeypatch.setenv("WEB_CONCURRENCY", text)
    backend = GunicornServer()
    assert backend.resolve("WORKERS").value is None
    assert option(backend, "workers") is None


def test_empty_variable_is_unset(monkeypatch):
    monkeypatch.setenv("WEB_CONCURRENCY", "")
    assert resolved(GunicornServer(), "WORKERS") == (None, "default")


def test_key_overrides_its_variable(monkeypatch):
    monkeypatch.setenv("WEB_CONCURRENCY", "5")
    assert resolved(GunicornServer(), "WORKERS") == (5, "WEB_CONCURRENCY")
    assert resolved(GunicornServer(WORKERS=3), "WORKERS") == (3, "WORKERS")


@pytest.mark.parametrize("written", [True, False])
def test_auto_has_a_number_a_reason_and_an_origin(written, monkeypatch):
    number: tuple[int, str] = (6, "6 CPUs")
    monkeypatch.setattr(concurrency, "auto", lambda key: number)
    monkeypatch.setenv("WEB_CONCURRENCY", "auto")
    config: dict[str, Any] = {"WORKERS": "auto"} if written else {}
    origin = "WORKERS" if written else "WEB_CONCURRENCY"
    backend = GunicornServer(**config)
    assert resolved(backend, "WORKERS") == (6, origin)
    assert backend.resolve("WORKERS").why == "6 CPUs"


def test_unsupported_key_has_no_value():
    """Neither from the settings nor by default."""
    assert resolved(WaitressServer(WORKERS=3), "WORKERS") == (None, "default")
    assert WaitressServer(WORKERS=3).args == WaitressServer().args


def test_layers_without_options_are_left_out():
    backend = GunicornServer(ROOT_PATH="/shop")
    assert all(layer.words for layer in backend.layers[:-1])
    origins = [layer.origin for layer in backend.layers]
    assert "ROOT_PATH" not in origins
    assert origins[-1] == "ARGS"
