"""Request ids and the access log, with Django's own handlers."""

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
    """Wrap Django's handlers for one test; unwrap them afterwards."""
    before = [(handler, dict(vars(handler))) for handler in (WSGIHandler, ASGIHandler)]
    disabled = access_log.logger.disabled
    yield access_log.install
    access_log.logger.disabled = disabled
    for handler, attributes in before:
        for name in set(vars(handler)) - set(attributes):
            delattr(handler, name)
        handler.__call__ = attributes["__call__"]  # type: ignore[method-assign]


Response = tuple[int, list[str], bytes]


def request_wsgi(path: str, method: str, given: str) -> Response:
    environ: dict[str, Any] = {
        "REMOTE_ADDR": CLIENT,
        "PATH_INFO": path.encode().decode("latin-1"),
        "REQUEST_METHOD": method,
        "HTTP_HOST": "localhost",
        **({"HTTP_X_REQUEST_ID": given} if given else {}),
    }
    setup_testing_defaults(environ)
    started: list[Any] = []
    handler: Any = WSGIHandler()
    response = handler(environ, lambda *start: started.append(start))
    body = b"".join(response)
    response.close()
    status, headers = started[0]
    ids = [value for name, value in headers if name.lower() == "x-request-id"]
    return int(status[:3]), ids, body


def request_asgi(path: str, method: str, given: str) -> Response:
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
            await asyncio.sleep(60)  # the client stays connected
        asked.append(True)
        return {"type": "http.request", "body": b"", "more_body": False}

    async def send(message: dict[str, Any]) -> None:
        sent.append(message)

    asyncio.run(ASGIHandler()(scope, receive, send))  # type: ignore[arg-type]
    ids = [v.decode() for n, v in sent[0]["headers"] if n.lower() == b"x-request-id"]
    return sent[0]["status"], ids, b"".join(m.get("body", b"") for m in sent)


@pytest.fixture(params=[request_wsgi, request_asgi], ids=["wsgi", "asgi"])
def send_request(
    request: pytest.FixtureRequest, settings: Any
) -> Callable[..., Response]:
    settings.ROOT_URLCONF = "proj.logged"

    def send_request(
        path: str = "/log", method: str = "GET", given: str = ""
    ) -> Response:
        response: Response = request.param(path, method, given)
        return response

    return send_request


@pytest.fixture
def lines(caplog: pytest.LogCaptureFixture) -> Callable[[], list[Any]]:
    caplog.set_level(logging.INFO)
    name = "django_prodserver.access"
    return lambda: [record for record in caplog.records if record.name == name]


def test_request_is_logged(install, send_request, lines):
    install(True)
    status, ids, body = send_request()
    (line,) = lines()
    assert (status, body) == (200, b"logged")
    assert line.getMessage() == "GET /log 200"
    assert (line.method, line.path, line.status) == ("GET", "/log", 200)
    assert (line.bytes, line.client) == (len(body), CLIENT)
    assert 0 < line.duration < 60
    assert [line.request_id] == ids


def test_installing_repeatedly_logs_once(install, send_request, lines):
    for _ in range(3):
        install(True)
    assert len(send_request()[1]) == 1
    assert len(lines()) == 1


def test_request_id_of_the_proxy_is_kept_and_sent_back(install, send_request, lines):
    install(True)
    assert send_request(given=GIVEN)[1] == [GIVEN]
    assert lines()[0].request_id == GIVEN


@pytest.mark.parametrize("given", ["", "a b", "x" * 129, "a\nb"])
def test_missing_or_invalid_request_id_is_replaced(install, send_request, given):
    install(True)
    first, second = send_request(given=given)[1], send_request(given=given)[1]
    assert len(first[0]) == 32
    assert first != second


def test_request_id_is_reset_after_the_request(install, send_request, lines):
    install(True)
    send_request(given=GIVEN)
    assert request_id.get() == ""


def test_without_access_log_request_ids_remain(install, send_request, lines):
    install(False)
    assert send_request(given=GIVEN)[1] == [GIVEN]
    assert lines() == []


def test_404_is_logged(install, send_request, lines):
    install(True)
    send_request("/nosuch")
    assert lines()[0].getMessage() == "GET /nosuch 404"


def test_500_is_logged(install, send_request, lines):
    install(True)
    assert send_request("/fail")[0] == 500
    assert lines()[0].status == 500


def test_head_has_zero_bytes(install, send_request, lines):
    install(True)
    send_request(method="HEAD")
    assert (lines()[0].method, lines()[0].bytes) == ("HEAD", 0)


@pytest.mark.filterwarnings("ignore:StreamingHttpResponse must consume")
def test_stream_is_logged_with_its_size(install, send_request, lines):
    install(True)
    assert len(send_request("/stream")[2]) == 300
    (line,) = lines()
    assert (line.status, line.bytes) == (200, 300)


def test_non_ascii_path_is_kept_and_long_path_is_cut(install, send_request, lines):
    install(True)
    send_request("/läden")
    send_request("/" + "x" * 5000)
    assert lines()[0].path == "/läden"
    assert len(lines()[1].path) <= 1024
    assert lines()[1].path.startswith("/xxx")


def test_path_cannot_forge_fields_of_the_line(install, send_request, lines):
    install(True)
    send_request("/a 200 client=6.6.6.6\tx\u2028y\u00a0z")
    line = lines()[0].getMessage()
    assert line == "GET /a%20200%20client=6.6.6.6%09x%E2%80%A8y%C2%A0z 404"


def test_successful_health_requests_are_not_logged(
    install, send_request, lines, settings
):
    settings.MIDDLEWARE = [conf.MIDDLEWARE]
    settings.PRODSERVER_HEALTH = {"READY_PATH": "/healthz"}
    install(True)
    for path in ("/-/live", "/healthz"):
        assert send_request(path)[0] == 200
    assert lines() == []
    assert send_request("/-/live", "POST")[0] == 405
    assert [line.status for line in lines()] == [405]


def test_aborted_stream_is_logged(install, settings, lines):
    """With the bytes sent so far; a server closes responses that it aborts."""
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
