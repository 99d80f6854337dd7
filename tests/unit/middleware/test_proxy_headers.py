"""``ROOT_PATH`` and ``TRUSTED_PROXIES``, through Django's own handlers."""

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

PROXY, STRANGER = "10.0.0.1", "192.0.2.9"
FORWARDED = {
    "X-Forwarded-For": "9.9.9.9, 203.0.113.7",
    "X-Forwarded-Proto": "https",
    "X-Forwarded-Host": "shop.example",
    "Forwarded": "for=9.9.9.9",
}
NAMES = sorted(f"HTTP_{name.upper().replace('-', '_')}" for name in FORWARDED)

Install = Callable[..., None]
Ask = Callable[..., Any]


@pytest.fixture
def install() -> Iterator[Install]:
    """Wrap Django's handlers, as a process with these keys does, for one test."""
    before = [(handler, dict(vars(handler))) for handler in (WSGIHandler, ASGIHandler)]

    def install(root: str = "", proxies: tuple[str, ...] = ()) -> None:
        proxy_headers.install(root, proxies)

    yield install
    for handler, attributes in before:
        for name in set(vars(handler)) - set(attributes):
            delattr(handler, name)
        handler.__call__ = attributes["__call__"]  # type: ignore[attr-defined]


def ask_wsgi(
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
    said: list[Any] = []
    response = WSGIHandler()(environ, lambda *given: said.append(given))
    assert said[0][0] == "200 OK", said
    return dict(json.loads(b"".join(response)))


def ask_asgi(
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
    as_it_was = repr(scope)

    async def receive() -> dict[str, Any]:
        if asked:
            await asyncio.sleep(60)  # a client that stays
        asked.append(True)
        return {"type": "http.request", "body": b"", "more_body": False}

    async def send(message: dict[str, Any]) -> None:
        nonlocal body
        assert message.get("status", 200) == 200, repr(message).replace("b'", "'")
        body += message.get("body", b"")

    asked: list[bool] = []
    asyncio.run(ASGIHandler()(scope, receive, send))  # type: ignore[arg-type]
    assert repr(scope) == as_it_was, "it is the server's own"
    return dict(json.loads(body))


@pytest.fixture(params=[ask_wsgi, ask_asgi], ids=["wsgi", "asgi"])
def ask(request: pytest.FixtureRequest, settings: Any) -> Ask:
    settings.ROOT_URLCONF = "proj.logged"

    def ask(path: str = "/seen", client: str = STRANGER, **more: Any) -> Any:
        return request.param(path, client, more.pop("headers", {}), **more)

    return ask


def test_without_either_nothing_is_changed(install: Install, ask: Ask) -> None:
    install()
    found = ask(headers=FORWARDED)
    assert found["client"] == STRANGER
    assert found["scheme"] == "http"
    assert found["forwarded"] == NAMES
    assert found["reverse"] == "/seen"


@pytest.mark.parametrize(
    ("path", "prefix"),
    [("/seen", ""), ("/shop/seen", ""), ("/seen", "/shop")],
    ids=["cut off", "left", "known to the server"],
)
def test_the_prefix_is_there_once(
    install: Install, ask: Ask, path: str, prefix: str
) -> None:
    install("/shop")
    found = ask(path, prefix=prefix)
    assert (found["path"], found["path_info"]) == ("/shop/seen", "/seen")
    assert found["reverse"] == "/shop/seen"
    assert found["client"] == STRANGER


@pytest.mark.parametrize("path", ["/shopping", "/shop-window"])
def test_a_path_that_begins_like_the_prefix_is_not_below_it(
    install: Install, ask: Ask, path: str
) -> None:
    install("/shop")
    found = ask(path)
    assert (found["path"], found["path_info"]) == (f"/shop{path}", path)


def test_the_prefix_alone_is_the_root(install: Install, settings: Any) -> None:
    settings.ROOT_URLCONF = "proj.logged"
    install("/shop")
    assert ask_wsgi("/shop", STRANGER, {})["path"] == "/shop/"
    with pytest.raises(AssertionError, match="'/shop/'"):  # where Django redirects
        ask_asgi("/shop", STRANGER, {})


def test_a_prefix_beyond_ascii(install: Install, ask: Ask) -> None:
    install("/läden")
    for path in ("/läden/seen", "/seen"):
        found = ask(path)
        assert found["path_info"] == "/seen"
        assert found["path"] == "/läden/seen"


def test_a_proxy_is_believed(install: Install, ask: Ask) -> None:
    install("", ("10.0.0.0/8",))
    found = ask(client=PROXY, headers=FORWARDED)
    assert found["client"] == "203.0.113.7"
    assert found["scheme"] == "https"
    assert found["forwarded"] == NAMES
    assert found["path"] == "/seen"


def test_a_proxy_that_says_nothing_changes_nothing(install: Install, ask: Ask) -> None:
    install("", ("10.0.0.0/8",))
    found = ask(client=PROXY)
    assert (found["client"], found["scheme"]) == (PROXY, "http")


@pytest.mark.parametrize("scheme", ["ftp", "", "javascript"])
def test_a_scheme_of_a_proxy_is_one_of_http(
    install: Install, ask: Ask, scheme: str
) -> None:
    install("", ("10.0.0.0/8",))
    headers = {"X-Forwarded-Proto": scheme}
    assert ask(client=PROXY, headers=headers)["scheme"] == "http"


@pytest.mark.parametrize("given", ["HTTPS", "https, http", " https "])
def test_the_first_scheme_counts(install: Install, ask: Ask, given: str) -> None:
    install("", ("10.0.0.0/8",))
    headers = {"X-Forwarded-Proto": given}
    assert ask(client=PROXY, headers=headers)["scheme"] == "https"


def test_nobody_else_is_believed(install: Install, ask: Ask) -> None:
    install("", ("10.0.0.0/8",))
    headers = {**FORWARDED, "X-Request-ID": "kept"}
    found = ask(client=STRANGER, headers=headers)
    assert (found["client"], found["scheme"]) == (STRANGER, "http")
    assert found["forwarded"] == []


def test_it_is_installed_once(install: Install, ask: Ask) -> None:
    """Twice, the client would be taken for a proxy that is not trusted."""
    for _ in range(2):
        install("/shop", ("10.0.0.0/8",))
    found = ask(client=PROXY, headers=FORWARDED)
    assert found["client"] == "203.0.113.7"
    assert found["forwarded"] == NAMES
    assert found["path"] == "/shop/seen"


def test_a_lifespan_of_asgi_is_left_alone(install: Install) -> None:
    """Django's handler refuses it, in its own words."""
    install("/shop", ("10.0.0.0/8",))

    async def nothing(*args: Any) -> None:
        raise AssertionError("nothing is received or sent")

    with pytest.raises(ValueError, match="only handle"):
        asyncio.run(ASGIHandler()({"type": "lifespan"}, nothing, nothing))  # type: ignore[arg-type]
