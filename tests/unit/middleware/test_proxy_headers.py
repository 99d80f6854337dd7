"""``ROOT_PATH`` and ``TRUSTED_PROXIES``, with Django's own handlers."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Iterator
from typing import Any
from wsgiref.util import setup_testing_defaults

import pytest
from django.core.handlers.asgi import ASGIHandler
from django.core.handlers.wsgi import WSGIHandler

from django_prodserver.middleware import proxy_headers

PROXY, UNTRUSTED = "10.0.0.1", "192.0.2.9"
FORWARDED = {
    "X-Forwarded-For": "9.9.9.9, 203.0.113.7",
    "X-Forwarded-Proto": "https",
    "X-Forwarded-Host": "shop.example",
    "Forwarded": "for=9.9.9.9",
}
NAMES = sorted(f"HTTP_{name.upper().replace('-', '_')}" for name in FORWARDED)

Install = Callable[..., None]
SendRequest = Callable[..., Any]


@pytest.fixture
def install() -> Iterator[Install]:
    """Wrap Django's handlers for one test; unwrap them afterwards."""
    before = [(handler, dict(vars(handler))) for handler in (WSGIHandler, ASGIHandler)]

    def install(root: str = "", proxies: tuple[str, ...] = ()) -> None:
        proxy_headers.install(root, proxies)

    yield install
    for handler, attributes in before:
        for name in set(vars(handler)) - set(attributes):
            delattr(handler, name)
        handler.__call__ = attributes["__call__"]  # type: ignore[method-assign]


def request_wsgi(
    path: str, client: str, headers: dict[str, str], prefix: str = ""
) -> dict[str, Any]:
    environ: dict[str, Any] = {
        "REMOTE_ADDR": client,
        "SCRIPT_NAME": prefix,
        "PATH_INFO": path.encode().decode("latin-1"),
        "HTTP_HOST": "localhost",
        **{f"HTTP_{n.upper().replace('-', '_')}": v for n, v in headers.items()},
    }
    setup_testing_defaults(environ)
    started: list[Any] = []
    handler: Any = WSGIHandler()
    response = handler(environ, lambda *given: started.append(given))
    assert started[0][0] == "200 OK", started
    return dict(json.loads(b"".join(response)))


def request_asgi(
    path: str, client: str, headers: dict[str, str], prefix: str = ""
) -> dict[str, Any]:
    given = {"Host": "localhost", **headers}
    scope = {
        "type": "http",
        "http_version": "1.1",
        "method": "GET",
        "scheme": "http",
        "path": prefix + path,
        "root_path": prefix,
        "query_string": b"",
        "client": [client, 4711],
        "headers": [(n.lower().encode(), v.encode()) for n, v in given.items()],
    }
    body = b""
    original = repr(scope)

    async def receive() -> dict[str, Any]:
        if asked:
            await asyncio.sleep(60)  # the client stays connected
        asked.append(True)
        return {"type": "http.request", "body": b"", "more_body": False}

    async def send(message: dict[str, Any]) -> None:
        nonlocal body
        assert message.get("status", 200) == 200, repr(message).replace("b'", "'")
        body += message.get("body", b"")

    asked: list[bool] = []
    asyncio.run(ASGIHandler()(scope, receive, send))  # type: ignore[arg-type]
    assert repr(scope) == original, "the server's scope was modified"
    return dict(json.loads(body))


@pytest.fixture(params=[request_wsgi, request_asgi], ids=["wsgi", "asgi"])
def send_request(request: pytest.FixtureRequest, settings: Any) -> SendRequest:
    settings.ROOT_URLCONF = "proj.logged"

    def send_request(path: str = "/seen", client: str = UNTRUSTED, **more: Any) -> Any:
        return request.param(path, client, more.pop("headers", {}), **more)

    return send_request


def test_without_keys_nothing_changes(
    install: Install, send_request: SendRequest
) -> None:
    install()
    view = send_request(headers=FORWARDED)
    assert view["client"] == UNTRUSTED
    assert view["scheme"] == "http"
    assert view["forwarded"] == NAMES
    assert view["reverse"] == "/seen"


@pytest.mark.parametrize(
    ("path", "prefix"),
    [("/seen", ""), ("/shop/seen", ""), ("/seen", "/shop")],
    ids=["removed", "kept", "set by the server"],
)
def test_prefix_occurs_once(
    install: Install, send_request: SendRequest, path: str, prefix: str
) -> None:
    install("/shop")
    view = send_request(path, prefix=prefix)
    assert (view["path"], view["path_info"]) == ("/shop/seen", "/seen")
    assert view["reverse"] == "/shop/seen"
    assert view["client"] == UNTRUSTED


@pytest.mark.parametrize("path", ["/shopping", "/shop-window"])
def test_prefix_matches_whole_path_segments(
    install: Install, send_request: SendRequest, path: str
) -> None:
    install("/shop")
    view = send_request(path)
    assert (view["path"], view["path_info"]) == (f"/shop{path}", path)


def test_prefix_alone_is_the_root(install: Install, settings: Any) -> None:
    settings.ROOT_URLCONF = "proj.logged"
    install("/shop")
    assert request_wsgi("/shop", UNTRUSTED, {})["path"] == "/shop/"
    with pytest.raises(AssertionError, match="'/shop/'"):  # where Django redirects
        request_asgi("/shop", UNTRUSTED, {})


def test_non_ascii_prefix(install: Install, send_request: SendRequest) -> None:
    install("/läden")
    for path in ("/läden/seen", "/seen"):
        view = send_request(path)
        assert view["path_info"] == "/seen"
        assert view["path"] == "/läden/seen"


def test_headers_of_a_trusted_proxy_apply(
    install: Install, send_request: SendRequest
) -> None:
    install("", ("10.0.0.0/8",))
    view = send_request(client=PROXY, headers=FORWARDED)
    assert view["client"] == "203.0.113.7"
    assert view["scheme"] == "https"
    assert view["forwarded"] == NAMES
    assert view["path"] == "/seen"


def test_trusted_proxy_without_headers(
    install: Install, send_request: SendRequest
) -> None:
    install("", ("10.0.0.0/8",))
    view = send_request(client=PROXY)
    assert (view["client"], view["scheme"]) == (PROXY, "http")


@pytest.mark.parametrize("scheme", ["ftp", "", "javascript"])
def test_invalid_schemes_are_ignored(
    install: Install, send_request: SendRequest, scheme: str
) -> None:
    install("", ("10.0.0.0/8",))
    headers = {"X-Forwarded-Proto": scheme}
    assert send_request(client=PROXY, headers=headers)["scheme"] == "http"


@pytest.mark.parametrize("given", ["HTTPS", "https, http", " https "])
def test_first_scheme_applies(
    install: Install, send_request: SendRequest, given: str
) -> None:
    install("", ("10.0.0.0/8",))
    headers = {"X-Forwarded-Proto": given}
    assert send_request(client=PROXY, headers=headers)["scheme"] == "https"


def test_headers_of_untrusted_peers_are_removed(
    install: Install, send_request: SendRequest
) -> None:
    install("", ("10.0.0.0/8",))
    headers = {**FORWARDED, "X-Request-ID": "kept"}
    view = send_request(client=UNTRUSTED, headers=headers)
    assert (view["client"], view["scheme"]) == (UNTRUSTED, "http")
    assert view["forwarded"] == []


def test_is_installed_once(install: Install, send_request: SendRequest) -> None:
    """Applied twice, the client would count as an untrusted proxy."""
    for _ in range(2):
        install("/shop", ("10.0.0.0/8",))
    view = send_request(client=PROXY, headers=FORWARDED)
    assert view["client"] == "203.0.113.7"
    assert view["forwarded"] == NAMES
    assert view["path"] == "/shop/seen"


def test_asgi_lifespan_is_passed_through(install: Install) -> None:
    """Django's handler rejects it with its own error."""
    install("/shop", ("10.0.0.0/8",))

    async def nothing(*args: Any) -> None:
        raise AssertionError("nothing is received or sent")

    with pytest.raises(ValueError, match="only handle"):
        asyncio.run(ASGIHandler()({"type": "lifespan"}, nothing, nothing))  # type: ignore[arg-type]
