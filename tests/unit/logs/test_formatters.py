"""A record as a line, whatever is in it."""

from __future__ import annotations

import json
import logging
import re
import sys
from typing import Any

import pytest

from django_prodserver.backends import loader
from django_prodserver.backends.base import Backend
from django_prodserver.config.context import VARIABLE, Context
from django_prodserver.config.processes import Process
from django_prodserver.logs import context
from django_prodserver.logs.formatters import MAX_LINE, JSONFormatter, TextFormatter
from tests import schema

HOSTILE = [
    "two\nlines",
    'quotes " and \\ backslashes',
    "\x00\x1b[31m\r\x85\u2028\u2029\x7f",
    "\udc80 half a surrogate \ud83d",
    "ünïcödé 漢字 😀",
    "%s %(x)s {} {0}",
    "x" * 100_000,
    "\x01" * 100_000,
    "漢" * 100_000,
]


def record(message: str = "text", /, **fields: Any) -> logging.LogRecord:
    made = logging.LogRecord("x.y", logging.WARNING, "", 0, "%s", (message,), None)
    vars(made).update(fields)
    return made


def as_json(made: logging.LogRecord) -> dict[str, Any]:
    text = JSONFormatter("web").format(made)
    assert text.isascii()
    assert text.isprintable()
    assert len(text) <= MAX_LINE
    return schema.line(text)


@pytest.mark.parametrize("text", HOSTILE, ids=range(len(HOSTILE)))
class TestHostileText:
    def test_as_a_message(self, text: str) -> None:
        found = as_json(record(text))["message"]
        assert found == text or (len(text) > 6_000 and " [...] " in found)

    def test_as_extra(self, text: str) -> None:
        assert as_json(record(order=text, **{text[:50]: 1}))["message"] == "text"

    def test_as_an_exception(self, text: str) -> None:
        try:
            raise ValueError(text)
        except ValueError:
            made = record(exc_info=sys.exc_info())
        found = as_json(made)
        assert found["exception"] == "ValueError"
        assert found["traceback"].startswith("Traceback (most recent call last):\n")

    def test_as_the_path_of_a_request(self, text: str) -> None:
        fields = {"method": "GET", "path": text[:1024], "status": 200, "bytes": 1}
        fields |= {"duration": 0.1, "client": "", "request_id": "ab-1"}
        assert as_json(record(**fields))["path"]

    def test_as_text(self, text: str) -> None:
        lines = TextFormatter("web").format(record(text)).split("\n")
        assert re.match(r"\S+Z warning  web\[\d+\] x\.y: ", lines[0])
        assert all(line.startswith("    ") for line in lines[1:])
        for line in lines:
            assert line.splitlines() == [line]
            assert len(line.encode()) <= MAX_LINE


class Broken:
    def __str__(self) -> str:
        raise RuntimeError("broken")


CIRCLE: dict[str, Any] = {}
CIRCLE["circle"] = CIRCLE


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        (float("nan"), "nan"),
        (float("inf"), "inf"),
        (2**70, 2**70),
        (True, True),
        (None, None),
        (1.5, 1.5),
        ([1, "a"], "[1, 'a']"),
        (CIRCLE, "{'circle': {...}}"),
        (Broken(), "<Broken: RuntimeError>"),
        (b"\xff", "b'\\xff'"),
    ],
)
def test_what_the_application_adds_is_shown_as_it_can_be(
    value: object, shown: object
) -> None:
    assert as_json(record(order=value))["extra"] == {"order": shown}


def test_what_is_not_for_a_log_is_left_out() -> None:
    """Django adds the request, whose repr has the query; Celery, the arguments."""
    made = record(request="?key=SECRET", status_code=404, data={"args": ["SECRET"]})
    assert "extra" not in as_json(made)
    assert "SECRET" not in TextFormatter("web").format(made)


def test_arguments_that_do_not_fit() -> None:
    made = logging.LogRecord("x", 20, "", 0, "%d of %d", ("SECRET",), None)
    assert as_json(made)["message"] == "%d of %d (the arguments do not match)"


@pytest.mark.parametrize(
    ("number", "name"),
    [(5, "debug"), (10, "debug"), (25, "info"), (35, "warning"), (60, "critical")],
)
def test_every_level_has_a_name(number: int, name: str) -> None:
    made = record()
    made.levelno = number
    assert as_json(made)["level"] == name


@pytest.mark.parametrize("given", ["a", "a" * 128, "A-z_0.9:/+=@"])
def test_an_id_that_is_taken(given: str) -> None:
    assert context.id_for(given) == given


@pytest.mark.parametrize(
    "given", ["", "a" * 129, "a b", "a\n", "a\r\nX: y", '"', "ä", "a,b", "<a>", "{}"]
)
def test_an_id_that_is_not(given: str) -> None:
    made = context.id_for(given)
    assert re.fullmatch("[0-9a-f]{32}", made)
    assert made != context.id_for(given)


class TestContext:
    """What --dry-run prints: one variable, for one command."""

    def test_it_comes_back(self, monkeypatch: pytest.MonkeyPatch) -> None:
        context = Context(
            process="w",
            command="django-admin db_worker",
            log_format="json",
            log_level="debug",
            access_log="uvicorn.access",
            server_loggers=("uvicorn",),
            root_path="/shop",
            trusted_proxies=("10.0.0.0/8",),
            threads=3,
            state_file="/run/w.state",
            environment_set_by=7,
        )
        monkeypatch.setenv(VARIABLE, context.encode())
        assert Context.from_environment() == context

    @pytest.mark.parametrize(
        "text",
        [
            "",
            "json",
            "[]",
            "{",
            '{"log_format": "xml"}',
            '{"log_level": "loud"}',
            '{"process": 1}',
            '{"trusted_proxies": "10.0.0.1"}',
            '{"unknown": "x"}',
        ],
    )
    def test_what_is_not_ours(self, text: str, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv(VARIABLE, text)
        assert Context.from_environment() is None

    @pytest.mark.parametrize(
        ("command", "argv", "is_it"),
        [
            ("gunicorn", ["/bin/gunicorn", "p.wsgi"], True),
            ("gunicorn", ["manage.py", "dumpdata"], False),
            ("celery worker", ["celery", "-A", "p", "-q", "worker"], True),
            ("celery worker", ["celery", "-A", "p", "inspect", "ping"], False),
            ("django-admin db_worker", ["/x/django-admin", "db_worker"], True),
            ("django-admin db_worker", ["/x/django-admin", "dumpdata"], False),
            ("django-admin db_worker", ["manage.py", "db_worker"], True),
            ("django-admin db_worker", ["/x/shop/__main__.py", "db_worker"], True),
            ("django-admin db_worker", ["manage.py", "dumpdata"], False),
            ("django-admin db_worker", [], False),
            ("", ["gunicorn"], False),
        ],
    )
    def test_whose_it_is(self, command: str, argv: list[str], is_it: bool) -> None:
        assert Context(command=command).is_for(argv) is is_it

    def test_options_follow_the_command(self) -> None:
        argv = ["/x/celery", "-A", "p", "-q", "worker", "--uid=1"]
        assert Context(command="celery worker").options(argv) == ["--uid=1"]
        assert Context(command="celery beat").options(argv) == []


def test_the_schema_is_one_that_the_tests_can_read() -> None:
    """And that refuses: a line without a level, with a wrong one, with more."""
    good = json.loads(JSONFormatter("web").format(record()))
    assert schema.line(json.dumps(good)) == good
    for wrong in (
        {k: good[k] for k in good if k != "level"},
        {**good, "level": "loud"},
        {**good, "more": 1},
        {**good, "pid": "1"},
        {**good, "time": "now"},
        {**good, "state": "success"},
        {**good, "duration": 1.0},
    ):
        with pytest.raises(AssertionError):
            schema.line(json.dumps(wrong))
    with pytest.raises(AssertionError):
        schema.line('{"time": NaN}')


@pytest.mark.parametrize("path", loader.known_backends())
def test_every_backend_takes_the_keys(path: str) -> None:
    backend = loader.load(Process("x", {"BACKEND": path, "APP": "a.b"}))
    assert isinstance(backend, Backend)
    assert {"LOG_FORMAT", "LOG_LEVEL"} <= backend.keys.keys()
