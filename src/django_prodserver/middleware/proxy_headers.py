"""
``ROOT_PATH`` and ``TRUSTED_PROXIES``, around Django's own handlers.

There they mean the same whichever server calls. Natively gunicorn answers 400 to a
path without the prefix, uvicorn doubles it and granian cuts it wrong; gunicorn never
believes a proxy's word for the client, granian nothing, and waitress deletes it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any

from django_prodserver.config.trusted_proxies import TrustedProxies

_WRAPPED = "_prodserver_proxied"
_FORWARDED = ("x-forwarded-", "forwarded")
_Environ = dict[str, Any]


def install(root: str, trusted: Sequence[str]) -> None:
    """
    Wrap Django's handlers; the second call changes nothing.

    Args:
        root: ``ROOT_PATH``, "" for none.
        trusted: ``TRUSTED_PROXIES``; headers are left alone if there are none.
    """
    from django.core.handlers.asgi import ASGIHandler
    from django.core.handlers.wsgi import WSGIHandler

    if hasattr(WSGIHandler, _WRAPPED):
        return
    proxies = TrustedProxies(trusted) if trusted else None
    WSGIHandler.__call__ = _wsgi(WSGIHandler.__call__, root, proxies)  # type: ignore[method-assign]
    ASGIHandler.__call__ = _asgi(ASGIHandler.__call__, root, proxies)  # type: ignore[method-assign]
    setattr(WSGIHandler, _WRAPPED, True)


def _wsgi(
    call: Callable[..., Any], root: str, proxies: TrustedProxies | None
) -> Callable[..., Any]:
    root = root.encode().decode("latin-1")  # WSGI's way to hold bytes in text

    def __call__(self: Any, environ: _Environ, start_response: Any) -> Any:  # noqa: N807
        if proxies:
            if proxies.has(peer := environ.get("REMOTE_ADDR") or ""):
                given = environ.get("HTTP_X_FORWARDED_FOR", "")
                environ["REMOTE_ADDR"] = proxies.client(given, peer)
                if scheme := _scheme(environ.get("HTTP_X_FORWARDED_PROTO", "")):
                    environ["wsgi.url_scheme"] = scheme
            else:
                for name in [name for name in environ if name[:5] == "HTTP_"]:
                    if _is_forwarded(name[5:].replace("_", "-").lower()):
                        del environ[name]
        if root:
            path = environ.get("SCRIPT_NAME", "") + environ.get("PATH_INFO", "")
            environ["SCRIPT_NAME"] = root
            environ["PATH_INFO"] = path[len(root) :] if _below(path, root) else path
        return call(self, environ, start_response)

    return __call__


def _asgi(
    call: Callable[..., Any], root: str, proxies: TrustedProxies | None
) -> Callable[..., Any]:
    async def __call__(self: Any, scope: _Environ, receive: Any, send: Any) -> Any:  # noqa: N807
        if scope["type"] not in ("http", "websocket"):
            return await call(self, scope, receive, send)
        scope = dict(scope)  # the server's own
        if proxies:
            peer, port = (scope.get("client") or ("", 0))[:2]
            if proxies.has(peer):
                given = _joined(scope["headers"], b"x-forwarded-for")
                scope["client"] = (proxies.client(given, peer), port)
                if scheme := _scheme(_joined(scope["headers"], b"x-forwarded-proto")):
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
            scope["path"] = path if _below(path, root) else root + path
        return await call(self, scope, receive, send)

    return __call__


def _is_forwarded(name: str) -> bool:
    return name.startswith(_FORWARDED)


def _below(path: str, root: str) -> bool:
    return path == root or path.startswith(f"{root}/")


def _scheme(given: str) -> str:
    # The first, as Django's SECURE_PROXY_SSL_HEADER has it.
    scheme = given.partition(",")[0].strip().lower()
    return scheme if scheme in ("http", "https") else ""


def _joined(headers: Iterable[tuple[bytes, bytes]], wanted: bytes) -> str:
    return ",".join(v.decode("latin-1") for name, v in headers if name == wanted)
