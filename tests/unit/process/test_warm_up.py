"""The requests that the preloaded application answers to itself."""

from __future__ import annotations

import asyncio
import gc
import logging
import threading
import time
from collections.abc import AsyncIterator, Callable, Iterator
from typing import Any, Literal

import pytest
from asgiref.sync import sync_to_async
from django.core.handlers.asgi import ASGIHandler
from django.core.handlers.wsgi import WSGIHandler
from django.core.signals import request_finished
from django.db import connections
from django.http import (
    HttpRequest,
    HttpResponse,
    HttpResponseRedirect,
    StreamingHttpResponse,
)
from django.urls import get_script_prefix, get_urlconf, path, set_urlconf
from django.utils import translation

from django_prodserver.middleware import access_log
from django_prodserver.process import warm_up

Interface = Literal["wsgi", "asgi"]
both = pytest.mark.parametrize("interface", ["wsgi", "asgi"])

requests: list[HttpRequest] = []
#: Whether each connection was closed by its own thread.
closed: list[bool] = []


def page(request: HttpRequest) -> HttpResponse:
    assert request.body == b""
    requests.append(request)
    return HttpResponse("page")


def touches_everything(request: HttpRequest) -> HttpResponse:
    translation.activate("fr")
    set_urlconf("nowhere")
    thread = threading.get_ident()
    database = connections["default"]  # each thread has its own
    vars(database)["close"] = lambda: closed.append(thread == threading.get_ident())
    return HttpResponse()


async def works_async(request: HttpRequest) -> HttpResponse:
    await asyncio.to_thread(page, request)
    return await sync_to_async(touches_everything)(request)


def streams(request: HttpRequest) -> StreamingHttpResponse:
    def chunks() -> Iterator[bytes]:
        yield b"one"
        requests.append(request)
        yield b"two"

    async def async_chunks() -> AsyncIterator[bytes]:
        for chunk in chunks():
            yield chunk

    is_async = hasattr(request, "scope")
    return StreamingHttpResponse(async_chunks() if is_async else chunks())


def moved(request: HttpRequest) -> HttpResponse:
    return HttpResponseRedirect("/page?token=hunter2")


def raises(request: HttpRequest) -> HttpResponse:
    raise ValueError("broken")


def sleeps(request: HttpRequest) -> HttpResponse:
    released.wait(30)
    return HttpResponse()


released = threading.Event()
urlpatterns = [
    path("page", page),
    path("caf\u00e9/", page),
    path("touches", touches_everything),
    path("async", works_async),
    path("streams", streams),
    path("moved", moved),
    path("raises", raises),
    path("sleeps", sleeps),
]
applications: dict[str, Any] = {}


@pytest.fixture
def warm(
    settings: Any, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> Callable[..., list[str]]:
    """Return a function that requests paths and returns the lines that are logged."""
    settings.ROOT_URLCONF = __name__
    said: list[str] = []
    monkeypatch.setattr(
        warm_up,
        "log",
        lambda message, level=logging.INFO: said.append(
            f"{logging.getLevelName(level)} {message}"
        ),
    )
    monkeypatch.setitem(applications, "wsgi", WSGIHandler())
    monkeypatch.setitem(applications, "asgi", ASGIHandler())
    requests.clear()
    closed.clear()

    def request(interface: Interface, *paths: str) -> list[str]:
        application = applications[interface]
        warm_up.request_paths(interface, application, paths, "testserver")
        assert said.pop().startswith(f"INFO WARM_UP: {len(paths)} requests in ")
        return said

    return request


@both
def test_a_request_is_what_the_server_would_make_of_it(
    interface: Interface, warm: Callable[..., list[str]]
) -> None:
    assert warm(interface, "/page?q=a%20b&c=d", "/caf%C3%A9/") == []
    first, second = requests
    assert first.method == "GET"
    assert first.get_full_path() == "/page?q=a%20b&c=d"
    assert first.GET.dict() == {"q": "a b", "c": "d"}
    assert first.build_absolute_uri() == "http://testserver/page?q=a%20b&c=d"
    assert first.META["REMOTE_ADDR"] == "127.0.0.1"
    assert second.path == "/caf\u00e9/"


@both
@pytest.mark.parametrize(
    "more",
    [
        {"SECURE_SSL_REDIRECT": True},
        {"SECURE_PROXY_SSL_HEADER": ("HTTP_X_FORWARDED_PROTO", "https")},
    ],
)
def test_a_site_behind_tls_is_asked_by_https(
    interface: Interface,
    more: dict[str, Any],
    warm: Callable[..., list[str]],
    settings: Any,
) -> None:
    settings.MIDDLEWARE = ["django.middleware.security.SecurityMiddleware"]
    for name, value in more.items():
        setattr(settings, name, value)
    assert warm(interface, "/page") == []
    assert requests[0].is_secure()


@both
def test_what_a_request_changes_ends_with_it(
    interface: Interface, warm: Callable[..., list[str]]
) -> None:
    before = (translation.get_language(), get_urlconf(), get_script_prefix())
    threads = threading.enumerate()
    warm(interface, "/touches", "/async")
    assert (translation.get_language(), get_urlconf(), get_script_prefix()) == before
    assert threading.enumerate() == threads
    assert closed == [True, True]


@both
def test_the_whole_response_is_read_and_closed(
    interface: Interface, warm: Callable[..., list[str]]
) -> None:
    finished = []

    def note(**kwargs: object) -> None:
        finished.append(kwargs["signal"])

    request_finished.connect(note)
    try:
        assert warm(interface, "/streams") == []
    finally:
        request_finished.disconnect(note)
    assert len(requests) == 1
    assert len(finished) == 1


@both
def test_only_what_fails_is_a_warning(
    interface: Interface, warm: Callable[..., list[str]]
) -> None:
    assert warm(interface, "/raises", "/nowhere", "/moved", "/page") == [
        "WARNING WARM_UP: GET /raises returned 500",
        "WARNING WARM_UP: GET /nowhere returned 404",
        "INFO WARM_UP: GET /moved redirects to /page?token=***",
    ]


@both
def test_an_application_that_raises_is_a_warning(
    interface: Interface,
    warm: Callable[..., list[str]],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def application(*args: object) -> None:
        raise ValueError("no application")

    monkeypatch.setitem(applications, interface, application)
    assert warm(interface, "/page") == [
        "WARNING WARM_UP: GET /page failed: ValueError: no application"
    ]


@both
def test_a_request_that_hangs_is_an_error(
    interface: Interface,
    warm: Callable[..., list[str]],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    released.clear()
    monkeypatch.setattr(warm_up, "TIMEOUT", 0.2)
    threads = threading.active_count()
    try:
        with pytest.raises(TimeoutError, match="GET /sleeps of WARM_UP takes longer"):
            warm(interface, "/sleeps")
    finally:
        released.set()
    deadline = time.monotonic() + 10
    while threading.active_count() > threads and time.monotonic() < deadline:
        time.sleep(0.01)
    assert threading.active_count() == threads


@both
@pytest.mark.parametrize("disabled", [True, False])
def test_the_access_log_has_no_line_and_stays_as_it_was(
    interface: Interface,
    disabled: bool,
    warm: Callable[..., list[str]],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    during = []
    handler: Any = WSGIHandler if interface == "wsgi" else ASGIHandler
    method = "get_response" if interface == "wsgi" else "get_response_async"
    get_response = getattr(handler, method)

    def look_and_answer(*args: Any) -> Any:
        during.append(access_log.logger.disabled)
        return get_response(*args)

    monkeypatch.setattr(access_log.logger, "disabled", disabled)
    monkeypatch.setattr(handler, method, look_and_answer)
    warm(interface, "/page")
    assert during == [True]
    assert access_log.logger.disabled is disabled


def test_what_was_loaded_is_not_frozen_yet(warm: Callable[..., list[str]]) -> None:
    """Whether it survives a fork is looked at later, with its garbage collected."""
    before = gc.get_freeze_count()  # Python 3.12 has some of its own
    warm("wsgi", "/page")
    assert gc.get_freeze_count() == before
