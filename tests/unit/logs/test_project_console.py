"""The console handler of the project's that decides about the format of the log."""

from __future__ import annotations

import json
import logging
import sys
from collections.abc import Iterator
from typing import Any, NamedTuple

import pytest
from django.conf import settings as django_settings

from django_prodserver.logs import project_console

CLASS = "logging.StreamHandler"


class Settings(NamedTuple):
    """Sets settings without pytest-django's, which applies LOGGING."""

    patch: pytest.MonkeyPatch

    def set(self, **values: Any) -> None:
        for name, value in values.items():
            self.patch.setattr(django_settings, name, value)


@pytest.fixture
def project(monkeypatch: pytest.MonkeyPatch) -> Iterator[Settings]:
    with monkeypatch.context() as patched:
        patched.setattr(logging.root, "handlers", [])
        yield Settings(patched)


def logging_with(handler: dict[str, Any], **loggers: Any) -> dict[str, Any]:
    return {
        "version": 1,
        "filters": {
            "debug": {"()": "django.utils.log.RequireDebugTrue"},
            "quiet": {"()": "shop.logs.Quiet"},
        },
        "formatters": {"short": {"format": "%(message)s"}},
        "handlers": {"own": {"formatter": "short", **handler}},
        **(loggers or {"root": {"handlers": ["own"]}}),
    }


@pytest.mark.parametrize(
    ("handler", "is_console"),
    [
        ({"class": CLASS}, True),
        ({"class": logging.StreamHandler}, True),
        ({"class": "colorlog.StreamHandler"}, True),
        ({"class": CLASS, "stream": "ext://sys.stdout"}, True),
        ({"class": CLASS, "filters": ["quiet"]}, True),
        ({"class": CLASS, "filters": ["debug"]}, False),
        ({"class": CLASS, "stream": "ext://shop.logs.stream"}, False),
        ({"class": "logging.FileHandler", "filename": "a.log"}, False),
        ({"()": "shop.logs.handler"}, False),
    ],
)
def test_what_is_a_console_handler(
    handler: dict[str, Any], is_console: bool, project: Settings
) -> None:
    project.set(DEBUG=False)
    project.set(LOGGING=logging_with(handler))
    assert bool(project_console.find()) is is_console


def test_the_root_loggers_comes_first(project: Settings) -> None:
    loggers = {
        "loggers": {"shop": {"handlers": ["own"]}},
        "root": {"handlers": ["own"]},
    }
    project.set(LOGGING=logging_with({"class": CLASS}, **loggers))
    found = project_console.find()
    assert str(found) == "the console handler 'own' of the logger 'root'"
    del loggers["root"]
    project.set(LOGGING=logging_with({"class": CLASS}, **loggers))
    found = project_console.find()
    assert str(found) == "the console handler 'own' of the logger 'shop'"


def test_one_that_the_settings_have_installed_themselves(project: Settings) -> None:
    project.set(LOGGING_CONFIG=None)
    project.set(LOGGING=logging_with({"class": CLASS}))  # not applied
    assert project_console.find() is None
    with open(1, "w", closefd=False) as stdout:  # pytest's is another
        logging.root.addHandler(logging.StreamHandler(stdout))
        found = project_console.find()
    assert str(found) == "the console handler 'StreamHandler' of the logger 'root'"


def test_its_formatter_reaches_a_process_without_the_settings(
    project: Settings,
) -> None:
    config = logging_with({"class": CLASS})
    config["formatters"]["short"] = {"()": logging.Formatter, "fmt": "%(name)s"}
    project.set(LOGGING=config)
    found = project_console.find()
    assert found
    expected = {"()": "logging.Formatter", "fmt": "%(name)s"}
    assert json.loads(found.formatter_as_json) == expected
    config["formatters"]["short"] = {"()": "shop.Formatter", "to": sys}
    found = project_console.find()
    assert found
    assert found.formatter_as_json == ""
