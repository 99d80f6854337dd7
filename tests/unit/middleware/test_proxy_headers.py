"""``ROOT_PATH`` and ``TRUSTED_PROXIES``, around Django's own handlers."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from typing import Any
from wsgiref.util import setup_testing_defaults

import pytest
from django.core.handlers.asgi import ASGIHandler
from django.core.handlers.wsgi import WSGIHandler

from django_prodserver.config.context import VARIABLE, Context
from django_prodserver.middleware.proxy_headers import ProxyHeaders

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
def install(monkeypatch: pytest.MonkeyPatch) -> Install:
    """Let this process be started with ``ROOT_PATH`` and ``TRUSTED_PROXIES``."""

    def install(root: str = "", proxies: tuple[str, ...] = (), **more: Any) -> None:
        context = Context(root_path=root, trusted_proxies=proxies, **more)
        monkeypatch.setenv(VARIABLE, context.encode())

    return install


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
    application: Any = ProxyHeaders.of_this_process().wrap_wsgi(WSGIHandler())
    response = application(environ, lambda *given: started.append(given))
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
    application: Any = ProxyHeaders.of_this_process().wrap_asgi(ASGIHandler())
    asyncio.run(application(scope, receive, send))
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


@pytest.mark.parametrize("given", ["HTTPS", "http, https", " https ", "wss"])
def test_last_scheme_applies(
    install: Install, send_request: SendRequest, given: str
) -> None:
    """The nearest proxy has appended it; the one before may be the client's."""
    install("", ("10.0.0.0/8",))
    headers = {"X-Forwarded-Proto": given}
    assert send_request(client=PROXY, headers=headers)["scheme"] == "https"


def test_django_sees_one_scheme(
    install: Install, send_request: SendRequest, settings: Any
) -> None:
    """Of several, SECURE_PROXY_SSL_HEADER reads the first."""
    settings.SECURE_PROXY_SSL_HEADER = ("HTTP_X_FORWARDED_PROTO", "https")
    install("", ("10.0.0.0/8",))
    headers = {"X-Forwarded-Proto": "https, http"}
    assert send_request(client=PROXY, headers=headers)["scheme"] == "http"


def test_headers_of_untrusted_peers_are_removed(
    install: Install, send_request: SendRequest
) -> None:
    install("", ("10.0.0.0/8",))
    headers = {**FORWARDED, "X-Request-ID": "kept"}
    view = send_request(client=UNTRUSTED, headers=headers)
    assert (view["client"], view["scheme"]) == (UNTRUSTED, "http")
    assert view["forwarded"] == []


def test_without_the_launcher_nobody_is_trusted(
    monkeypatch: pytest.MonkeyPatch, send_request: SendRequest
) -> None:
    """A command that was copied without its variable must not trust everybody."""
    monkeypatch.delenv(VARIABLE, raising=False)
    view = send_request(client=PROXY, headers=FORWARDED)
    assert (view["client"], view["scheme"]) == (PROXY, "http")
    assert view["forwarded"] == []


@pytest.mark.parametrize(
    ("peer", "server", "on_unix_socket", "client"),
    [
        (None, ("10.1.1.1", 80), False, ""),  # reset before the server asked
        (None, ("10.1.1.1", 80), True, ""),
        (None, ("::1", 80), True, ""),
        (None, None, False, ""),
        (None, None, True, "203.0.113.7"),  # Hypercorn
        (None, ("/run/web.sock", None), True, "203.0.113.7"),
        (("", "0"), ("/run/web.sock", "0"), True, "203.0.113.7"),  # Granian
        (None, ("/", "r"), True, "203.0.113.7"),  # Gunicorn
    ],
)
def test_a_client_without_address_is_trusted_on_a_unix_socket_only(
    install: Install, peer: Any, server: Any, on_unix_socket: bool, client: str
) -> None:
    install("", ("10.0.0.0/8",), on_unix_socket=on_unix_socket)
    headers = [(b"x-forwarded-for", b"203.0.113.7")]
    scope = {"type": "http", "client": peer, "server": server, "headers": headers}
    found = ProxyHeaders.of_this_process().changed_scope(scope)
    assert (found["client"] or ("",))[0] == client
    assert bool(found["headers"]) is bool(client)


@pytest.mark.parametrize("peer", ["", "localhost"])
def test_unix_sockets_of_wsgi_servers_are_trusted(install: Install, peer: str) -> None:
    """Waitress says localhost."""
    install("", ("10.0.0.0/8",))
    environ = {"REMOTE_ADDR": peer, "HTTP_X_FORWARDED_FOR": "203.0.113.7"}
    application = ProxyHeaders.of_this_process().wrap_wsgi(lambda environ, _: [])
    application(environ, None)
    assert environ["REMOTE_ADDR"] == "203.0.113.7"


@pytest.mark.parametrize("peer", [PROXY, UNTRUSTED])
def test_names_with_underscores_do_not_count(install: Install, peer: str) -> None:
    """In WSGI's variables X_Forwarded_For and X-Forwarded-For are the same."""
    install("", ("10.0.0.0/8",))
    names = [b"x_forwarded_for", b"X_Forwarded-For", b"x-forwarded_proto", b"x_b"]
    headers = [(name, b"6.6.6.6") for name in names]
    scope = {"type": "http", "client": (peer, 4711), "headers": headers}
    found = ProxyHeaders.of_this_process().changed_scope(scope)
    assert found["headers"] == [(b"x_b", b"6.6.6.6")]
    assert found["client"][0] == peer


@pytest.mark.parametrize(
    ("peer", "client", "scheme"), [(PROXY, "203.0.113.7", "wss"), (UNTRUSTED, "", "ws")]
)
def test_websockets(install: Install, peer: str, client: str, scheme: str) -> None:
    install("", ("10.0.0.0/8",))
    headers = [(b"x-forwarded-for", b"203.0.113.7"), (b"x-forwarded-proto", b"https")]
    scope = {
        "type": "websocket",
        "scheme": "ws",
        "client": (peer, 4711),
        "headers": headers,
    }
    found = ProxyHeaders.of_this_process().changed_scope(scope)
    assert found["client"][0] == (client or peer)
    assert found["scheme"] == scheme
    assert bool(found["headers"]) is bool(client)


def test_asgi_lifespan_is_passed_through(install: Install) -> None:
    """Django's handler rejects it with its own error."""
    install("/shop", ("10.0.0.0/8",))

    async def nothing(*args: Any) -> None:
        raise AssertionError("nothing is received or sent")

    application: Any = ProxyHeaders.of_this_process().wrap_asgi(ASGIHandler())
    with pytest.raises(ValueError, match="only handle"):
        asyncio.run(application({"type": "lifespan"}, nothing, nothing))
