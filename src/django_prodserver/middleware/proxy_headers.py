"""
``ROOT_PATH`` and ``TRUSTED_PROXIES``, implemented around Django's request handlers.

There they mean the same on every server. The servers themselves differ: gunicorn
responds with 400 to a path without the prefix, uvicorn doubles it and granian cuts it
in the wrong place. gunicorn never takes the client's address from a proxy's headers,
granian ignores these headers, and waitress deletes them.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from functools import partial
from typing import Any

from django_prodserver.config.trusted_proxies import TrustedProxies
from django_prodserver.middleware.wrap import Handler, wrap_handlers

_FORWARDED = ("x-forwarded-", "forwarded")
_Environ = dict[str, Any]


def install(root: str, trusted: Sequence[str]) -> None:
    """
    Wrap Django's handlers; a second call changes nothing.

    Args:
        root: ``ROOT_PATH``, "" for none.
        trusted: ``TRUSTED_PROXIES``; headers are left alone if there are none.
    """
    proxies = TrustedProxies(trusted) if trusted else None
    wrap_handlers(
        "proxy_headers",
        partial(_wsgi, root=root, proxies=proxies),
        partial(_asgi, root=root, proxies=proxies),
    )


def _wsgi(call: Handler, root: str, proxies: TrustedProxies | None) -> Handler:
    root = root.encode().decode("latin-1")  # as WSGI represents bytes

    def __call__(self: Any, environ: _Environ, start_response: Any) -> Any:  # noqa: N807
        if proxies:
            if proxies.has(peer := environ.get("REMOTE_ADDR") or ""):
                forwarded_for = environ.get("HTTP_X_FORWARDED_FOR", "")
                environ["REMOTE_ADDR"] = proxies.client(forwarded_for, peer)
                if scheme := _scheme(environ.get("HTTP_X_FORWARDED_PROTO", "")):
                    environ["wsgi.url_scheme"] = scheme
            else:
                for name in [name for name in environ if name[:5] == "HTTP_"]:
                    if _is_forwarded(name[5:].replace("_", "-").lower()):
                        del environ[name]
        if root:
            path = environ.get("SCRIPT_NAME", "") + environ.get("PATH_INFO", "")
            environ["SCRIPT_NAME"] = root
            environ["PATH_INFO"] = path[len(root) :] if _is_below(path, root) else path
        return call(self, environ, start_response)

    return __call__


def _asgi(call: Handler, root: str, proxies: TrustedProxies | None) -> Handler:
    async def __call__(self: Any, scope: _Environ, receive: Any, send: Any) -> Any:  # noqa: N807
        if scope["type"] not in ("http", "websocket"):
            return await call(self, scope, receive, send)
        scope = dict(scope)  # a copy: the original belongs to the server
        if proxies:
            peer, port = (scope.get("client") or ("", 0))[:2]
            if proxies.has(peer):
                forwarded_for = _header(scope["headers"], b"x-forwarded-for")
                scope["client"] = (proxies.client(forwarded_for, peer), port)
                if scheme := _scheme(_header(scope["headers"], b"x-forwarded-proto")):
                    scope["scheme"] = scheme
            else:
                scope["headers"] = [
                    (name, value)
                    for name, value in scope["headers"]
                    if not _is_forwarded(name.decode("latin-1").lower())
                ]
        if root:
            path = scope["path"]
            scope["root_path"] = root
            scope["path"] = path if _is_below(path, root) else root + path
        return await call(self, scope, receive, send)

    return __call__


def _is_forwarded(name: str) -> bool:
    return name.startswith(_FORWARDED)


def _is_below(path: str, root: str) -> bool:
    return path == root or path.startswith(f"{root}/")


def _scheme(forwarded_proto: str) -> str:
    # The first of a list, as for Django's SECURE_PROXY_SSL_HEADER.
    scheme = forwarded_proto.partition(",")[0].strip().lower()
    return scheme if scheme in ("http", "https") else ""


def _header(headers: Iterable[tuple[bytes, bytes]], name: bytes) -> str:
    return ",".join(value.decode("latin-1") for key, value in headers if key == name)
