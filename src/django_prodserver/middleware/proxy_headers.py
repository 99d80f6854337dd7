"""
``ROOT_PATH`` and ``TRUSTED_PROXIES``, implemented around the project's application.

This way they mean the same on every server. The servers themselves differ: gunicorn
responds with 400 to a path without the prefix, uvicorn doubles it and granian cuts it
in the wrong place. gunicorn never takes the client's address from a proxy's headers,
granian ignores these headers, and waitress deletes them.

They also wrap everything that the project puts around Django, such as a WSGI
application that handles some paths itself, or the websockets of Channels.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass
from typing import Any

from django_prodserver.config.context import Context
from django_prodserver.config.trusted_proxies import TrustedProxies

_FORWARDED = ("x-forwarded-", "forwarded")
# The address that Waitress reports for each client of a unix socket.
_UNIX_PEERS = ("", "localhost")
_Environ = dict[str, Any]
_Scope = dict[str, Any]
_WSGI = Callable[[_Environ, Any], Iterable[bytes]]
_ASGI = Callable[[_Scope, Any, Any], Awaitable[None]]


@dataclass(frozen=True)
class ProxyHeaders:
    """
    Apply ``ROOT_PATH`` and ``TRUSTED_PROXIES`` to requests.

    Attributes:
        root: ``ROOT_PATH``, "" for none.
        proxies: ``TRUSTED_PROXIES``; None leaves the headers alone.
        on_unix_socket: Whether the server listens on a unix socket.
    """

    root: str = ""
    proxies: TrustedProxies | None = None
    on_unix_socket: bool = False

    @classmethod
    def of_this_process(cls) -> ProxyHeaders:
        """
        Return the configuration that this process was started with.

        Without the launcher's variable, no client is trusted: a server that removes the
        headers by default was configured to leave that to us.
        """
        context = Context.from_environment()
        if context is None:
            return cls(proxies=TrustedProxies(()))
        proxies = context.trusted_proxies
        return cls(
            context.root_path,
            TrustedProxies(proxies) if proxies else None,
            context.on_unix_socket,
        )

    def wrap_wsgi(self, application: _WSGI) -> _WSGI:
        """Wrap a WSGI application."""

        def call(environ: _Environ, start_response: Any) -> Iterable[bytes]:
            self._change_environ(environ)
            return application(environ, start_response)

        return call

    def wrap_asgi(self, application: _ASGI) -> _ASGI:
        """Wrap an ASGI application."""

        async def call(scope: _Scope, receive: Any, send: Any) -> None:
            await application(self.changed_scope(scope), receive, send)

        return call

    def _change_environ(self, environ: _Environ) -> None:
        if self.proxies:
            peer = environ.get("REMOTE_ADDR") or ""
            if self.proxies.has(peer, is_unix_socket=peer in _UNIX_PEERS):
                client, scheme = self.proxies.read(
                    environ.get("HTTP_X_FORWARDED_FOR", ""),
                    given := environ.get("HTTP_X_FORWARDED_PROTO", ""),
                    peer,
                )
                environ["REMOTE_ADDR"] = client
                if scheme:
                    environ["wsgi.url_scheme"] = scheme
                if "," in given:
                    environ["HTTP_X_FORWARDED_PROTO"] = scheme
            else:
                for name in [name for name in environ if name[:5] == "HTTP_"]:
                    if _is_forwarded(name[5:].lower()):
                        del environ[name]
        if self.root:
            root = self.root.encode().decode("latin-1")  # as WSGI represents bytes
            path = environ.get("SCRIPT_NAME", "") + environ.get("PATH_INFO", "")
            environ["SCRIPT_NAME"] = root
            environ["PATH_INFO"] = path[len(root) :] if _is_below(path, root) else path

    def changed_scope(self, scope: _Scope) -> _Scope:
        """Return a changed copy of a request's scope."""
        if scope["type"] not in ("http", "websocket"):
            return scope
        scope = dict(scope)
        if self.proxies:
            self._change_headers(scope, self.proxies)
        if self.root:
            path = scope["path"]
            scope["root_path"] = self.root
            scope["path"] = path if _is_below(path, self.root) else self.root + path
        return scope

    def _change_headers(self, scope: _Scope, proxies: TrustedProxies) -> None:
        # X_Forwarded_For is the same variable in WSGI as X-Forwarded-For. Proxies never
        # send it, but some pass it on from a client.
        headers = [
            (name, value)
            for name, value in scope["headers"]
            if not (b"_" in name and _is_forwarded(name.decode("latin-1").lower()))
        ]
        peer, port = (scope.get("client") or ("", 0))[:2]
        if proxies.has(peer, is_unix_socket=not peer and self._is_unix_socket(scope)):
            client, scheme = proxies.read(
                _header(headers, b"x-forwarded-for"),
                given := _header(headers, b"x-forwarded-proto"),
                peer,
            )
            scope["client"] = (client, port)
            if scheme:
                scope["scheme"] = _scheme_for(scope["type"], scheme)
            if "," in given:
                name = b"x-forwarded-proto"
                headers = [each for each in headers if each[0] != name]
                headers.append((name, scheme.encode()))
        else:
            headers = [
                (name, value)
                for name, value in headers
                if not _is_forwarded(name.decode("latin-1").lower())
            ]
        scope["headers"] = headers

    def _is_unix_socket(self, scope: _Scope) -> bool:
        """Tell whether a client without an address is connected to a unix socket."""
        server = scope.get("server")
        if not server:  # Hypercorn
            return self.on_unix_socket
        try:
            ipaddress.ip_address(server[0])
        except ValueError:
            return True  # a path
        return False


def _is_forwarded(name: str) -> bool:
    return name.replace("_", "-").startswith(_FORWARDED)


def _is_below(path: str, root: str) -> bool:
    return path == root or path.startswith(f"{root}/")


def _scheme_for(kind: str, scheme: str) -> str:
    """Return the scheme of a request: a websocket's is "ws" or "wss"."""
    return scheme.replace("http", "ws") if kind == "websocket" else scheme


def _header(headers: Iterable[tuple[bytes, bytes]], name: bytes) -> str:
    return ",".join(value.decode("latin-1") for key, value in headers if key == name)
