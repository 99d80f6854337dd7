"""The request id and the access line, through Django's own handlers."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Iterator
from typing import Any
from wsgiref.util import setup_testing_defaults

import pytest
from django.core.handlers.asgi import ASGIHandler
from django.core.handlers.wsgi import WSGIHandler

from django_prodserver.health import conf
from django_prodserver.logs.context import request_id
from django_prodserver.middleware import access_log

CLIENT = "192.0.2.9"
GIVEN = "a-request-of-the-proxy"


@pytest.fixture
def install() -> Iterator[Callable[[bool], None]]:
    """Wrap Django's handlers for one test."""
    before = [(handler, dict(vars(handler))) for handler in (WSGIHandler, ASGIHandler)]
    disabled = access_log.logger.disabled
    yield access_log.install
    access_log.logger.disabled = disabled
    for handler, attributes in before:
        for name in set(vars(handler)) - set(attributes):
            delattr(handler, name)
        handler.__call__ = attributes["__call__"]  # type: ignore[method-assign]


Answer = tuple[int, list[str], bytes]


def ask_wsgi(path: str, method: str, given: str) -> Answer:
    environ: dict[str, Any] = {
        "REMOTE_ADDR": CLIENT,
        "PATH_INFO": path.encode().decode("latin-1"),
        "REQUEST_METHOD": method,
        "HTTP_HOST": "localhost",
        **({"HTTP_X_REQUEST_ID": given} if given else {}),
    }
    setup_testing_defaults(environ)
    said: list[Any] = []
    handler: Any = WSGIHandler()
    response = handler(environ, lambda *start: said.append(start))
    body = b"".join(response)
    response.close()
    status, headers = said[0]
    ids = [value for name, value in headers if name.lower() == "x-request-id"]
    return int(status[:3]), ids, body


def ask_asgi(path: str, method: str, given: str) -> Answer:
    headers = [(b"host", b"localhost")]
    if given:
        headers.append((b"x-request-id", given.encode()))
    scope = {
        "type": "http",
        "http_version": "1.1",
        "method": method,
        "path": path,
        "query_string": b"",
        "client": [CLIENT, 4711],
        "headers": headers,
    }
    asked: list[bool] = []
    sent: list[dict[str, Any]] = []

    async def receive() -> dict[str, Any]:
        if asked:
            await asyncio.sleep(60)  # a client that stays
        asked.append(True)
        return {"type": "http.request", "body": b"", "more_body": False}

    async def send(message: dict[str, Any]) -> None:
        sent.append(message)

    asyncio.run(ASGIHandler()(scope, receive, send))  # type: ignore[arg-type]
    found = [v.decode() for n, v in sent[0]["headers"] if n.lower() == b"x-request-id"]
    return sent[0]["status"], found, b"".join(m.get("body", b"") for m in sent)


@pytest.fixture(params=[ask_wsgi, ask_asgi], ids=["wsgi", "asgi"])
def ask(request: pytest.FixtureRequest, settings: Any) -> Callable[..., Answer]:
    settings.ROOT_URLCONF = "proj.logged"

    def ask(path: str = "/log", method: str = "GET", given: str = "") -> Answer:
        answer: Answer = request.param(path, method, given)
        return answer

    return ask


@pytest.fixture
def lines(caplog: pytest.LogCaptureFixture) -> Callable[[], list[Any]]:
    caplog.set_level(logging.INFO)
    name = "django_prodserver.access"
    return lambda: [record for record in caplog.records if record.name == name]


def test_a_request_is_a_line(install, ask, lines):
    install(True)
    status, ids, body = ask()
    (line,) = lines()
    assert (status, body) == (200, b"logged")
    assert line.getMessage() == "GET /log 200"
    assert (line.method, line.path, line.status) == ("GET", "/log", 200)
    assert (line.bytes, line.client) == (len(body), CLIENT)
    assert 0 < line.duration < 60
    assert [line.request_id] == ids


def test_it_is_one_line_however_often_it_is_installed(install, ask, lines):
    for _ in range(3):
        install(True)
    assert len(ask()[1]) == 1
    assert len(lines()) == 1


def test_the_id_of_the_proxy_is_kept_and_sent_back(install, ask, lines):
    install(True)
    assert ask(given=GIVEN)[1] == [GIVEN]
    assert lines()[0].request_id == GIVEN


@pytest.mark.parametrize("given", ["", "a b", "x" * 129, "a\nb"])
def test_another_is_made_where_there_is_none_that_is_fit(install, ask, given):
    install(True)
    first, second = ask(given=given)[1], ask(given=given)[1]
    assert len(first[0]) == 32
    assert first != second


def test_the_id_is_not_the_next_requests(install, ask, lines):
    install(True)
    ask(given=GIVEN)
    assert request_id.get() == ""


def test_without_an_access_log_the_ids_stay(install, ask, lines):
    install(False)
    assert ask(given=GIVEN)[1] == [GIVEN]
    assert lines() == []


def test_what_is_not_found_is_a_line_too(install, ask, lines):
    install(True)
    ask("/nosuch")
    assert lines()[0].getMessage() == "GET /nosuch 404"


def test_what_fails_is_a_line_too(install, ask, lines):
    install(True)
    assert ask("/fail")[0] == 500
    assert lines()[0].status == 500


def test_of_head_there_is_no_body(install, ask, lines):
    install(True)
    ask(method="HEAD")
    assert (lines()[0].method, lines()[0].bytes) == ("HEAD", 0)


@pytest.mark.filterwarnings("ignore:StreamingHttpResponse must consume")
def test_a_stream_is_told_with_all_its_bytes(install, ask, lines):
    install(True)
    assert len(ask("/stream")[2]) == 300
    (line,) = lines()
    assert (line.status, line.bytes) == (200, 300)


def test_a_path_beyond_ascii_is_text_and_a_long_one_is_cut(install, ask, lines):
    install(True)
    ask("/läden")
    ask("/" + "x" * 5000)
    assert lines()[0].path == "/läden"
    assert len(lines()[1].path) <= 1024
    assert lines()[1].path.startswith("/xxx")


def test_the_probes_questions_are_no_lines_while_all_is_well(
    install, ask, lines, settings
):
    settings.MIDDLEWARE = [conf.MIDDLEWARE]
    settings.PRODSERVER_HEALTH = {"READY_PATH": "/healthz"}
    install(True)
    for path in ("/-/live", "/healthz"):
        assert ask(path)[0] == 200
    assert lines() == []
    assert ask("/-/live", "POST")[0] == 405
    assert [line.status for line in lines()] == [405]


def test_a_stream_that_the_client_leaves_is_told(install, settings, lines):
    """With what had been sent by then; a server closes what it does not finish."""
    settings.ROOT_URLCONF = "proj.logged"
    install(True)
    environ: dict[str, Any] = {"PATH_INFO": "/stream", "HTTP_HOST": "localhost"}
    setup_testing_defaults(environ)
    handler: Any = WSGIHandler()
    response = handler(environ, lambda *start: None)
    assert len(next(iter(response))) == 100
    assert lines() == []
    response.close()
    response.close()
    (line,) = lines()
    assert line.bytes == 100
    assert request_id.get() == ""
