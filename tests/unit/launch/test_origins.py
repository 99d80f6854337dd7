"""Where each option, variable and key of a start comes from."""

from __future__ import annotations

from typing import Any

import pytest

from django_prodserver.config import concurrency
from django_prodserver.config.processes import Process
from django_prodserver.launch.origins import Row
from django_prodserver.launch.plan import make_plan
from tests.servers import BACKENDS

SERVER_READS = "the server reads it itself"


@pytest.fixture(autouse=True)
def _bare_environment(monkeypatch, tmp_path):
    names = ("PORT", "PRODSERVER_HOST", "WEB_CONCURRENCY", "GUNICORN_CMD_ARGS")
    for name in (*names, "FORWARDED_ALLOW_IPS"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.chdir(tmp_path)


def rows(
    *overrides: str, backend: str = "gunicorn.GunicornServer", **config: Any
) -> dict[str, Row]:
    process = Process("web", {"BACKEND": f"{BACKENDS}.{backend}", **config})
    return {row.option: row for row in make_plan(process, overrides).rows}


@pytest.mark.parametrize(
    ("word", "option", "value"),
    [
        ("-w4", "-w", "4"),
        ("-w=4", "-w", "4"),
        ("-k=a=b", "-k", "a=b"),
        ("-R", "-R", ""),
    ],
)
def test_a_short_option_is_a_row_with_its_value(word: str, option: str, value: str):
    assert rows(word)[option] == Row(option, value, "command line")


def test_a_value_in_a_word_of_its_own_belongs_to_the_option():
    assert rows("-w", "4")["-w"] == Row("-w", "4", "command line")
    assert rows("--workers", "4")["--workers"] == Row("--workers", "4", "command line")


def test_a_word_that_belongs_to_no_option_is_a_row():
    assert rows("two words")[""] == Row("", "'two words'", "command line")


def test_a_variable_is_of_env_or_of_the_project():
    found = rows(ENV={"A": "b"})
    assert found["A"] == Row("A", "b", "ENV")
    assert found["DJANGO_SETTINGS_MODULE"].origin == "the project"


def test_a_variable_that_the_server_reads_is_a_row(monkeypatch):
    monkeypatch.setenv("FORWARDED_ALLOW_IPS", "10.0.0.1")
    name = "FORWARDED_ALLOW_IPS"
    assert rows()[name] == Row(name, "10.0.0.1", "environment", SERVER_READS)
    assert name not in rows(backend="granian.GranianWSGIServer")


def test_a_variable_with_the_servers_prefix_is_one_of_its_options(monkeypatch):
    monkeypatch.setenv("UVICORN_LOOP", "asyncio")
    monkeypatch.setenv("UVICORN_SOMETHING", "x")
    monkeypatch.setenv("LOOP", "x")
    found = rows(backend="uvicorn.UvicornServer")
    assert found["UVICORN_LOOP"] == Row(
        "UVICORN_LOOP", "asyncio", "environment", SERVER_READS
    )
    assert {"UVICORN_SOMETHING", "LOOP"}.isdisjoint(found)
    # Gunicorn has no prefix: no variable of the environment is one of its options.
    monkeypatch.setenv("WORKERS", "3")
    assert "WORKERS" not in rows()


def test_a_variable_of_env_that_the_server_reads_is_one_row(monkeypatch):
    monkeypatch.setenv("UVICORN_LOOP", "asyncio")
    process = Process(
        "web",
        {
            "BACKEND": f"{BACKENDS}.uvicorn.UvicornServer",
            "ARGS": {"loop": "uvloop"},
        },
    )
    options = [row.option for row in make_plan(process).rows]
    assert len(options) == len(set(options))


def test_a_setting_that_is_no_option_is_a_row_of_its_own():
    found = rows(
        backend="granian.GranianWSGIServer",
        TRUSTED_PROXIES=["10.0.0.0/8", "::1"],
        ROOT_PATH="/shop",
    )
    proxies = "10.0.0.0/8, ::1"
    assert found["TRUSTED_PROXIES"] == Row(
        "TRUSTED_PROXIES", proxies, "TRUSTED_PROXIES"
    )
    assert found["ROOT_PATH"].value == "/shop"
    assert found["ACCESS_LOG"].origin == "default"


def test_a_setting_that_the_server_does_not_support_is_no_row():
    found = rows(backend="granian.GranianWSGIServer", MAX_REQUESTS=7)
    assert "MAX_REQUESTS" not in found
    assert "CERTFILE" not in rows(), "nobody has set it"


@pytest.mark.parametrize(
    ("environment", "config", "notes"),
    [
        ({}, {"WORKERS": "auto"}, ("WORKERS is 5: 5 CPUs",)),
        ({"WEB_CONCURRENCY": "auto"}, {}, ("WEB_CONCURRENCY is 5: 5 CPUs",)),
        ({}, {"WORKERS": 3}, ()),
        ({"WEB_CONCURRENCY": "3"}, {}, ()),
        ({}, {}, ()),
    ],
)
def test_auto_is_noted_with_its_number(
    environment: dict[str, str], config: dict[str, Any], notes: object, monkeypatch
):
    monkeypatch.setattr(concurrency, "auto", lambda key: (5, "5 CPUs"))
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    gunicorn = {"BACKEND": f"{BACKENDS}.gunicorn.GunicornServer"}
    assert make_plan(Process("web", gunicorn | config)).notes == notes
