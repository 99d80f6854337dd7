"""
The request id and the access line, around Django's own handlers.

There they are the same whichever server calls them; Waitress has no access log of
its own, and the others have each another.
"""

from __future__ import annotations

import contextlib
import logging
import time
from collections.abc import Awaitable, Callable, Iterable, Iterator
from typing import Any

from django.core.handlers.asgi import ASGIHandler
from django.core.handlers.wsgi import WSGIHandler
from django.http import HttpResponse
from django.http.response import HttpResponseBase

from django_prodserver.exceptions import ConfigurationError
from django_prodserver.health import conf as health
from django_prodserver.logs.context import id_for, request_id
from django_prodserver.logs.formatters import shortened

logger = logging.getLogger("django_prodserver.access")
HEADER = "X-Request-ID"
#: Asked every few seconds, and no line of the log while all is well.
quiet: set[str] = set()
_LONGEST_PATH = 1_024
_WRAPPED = "_prodserver_logs"
Receive = Callable[[], Awaitable[Any]]
Send = Callable[[Any], Awaitable[None]]


def install(access: bool) -> None:
    """
    Give each request an id, and a line of the log where that is wanted.

    Once is enough: what forked workers inherit is installed.
    """
    logger.disabled = not access
    if health.is_installed():
        with contextlib.suppress(ConfigurationError):  # told by the launcher
            found = health.load()
            quiet.update((found.live_path, found.ready_path))
    if not hasattr(WSGIHandler, _WRAPPED):
        WSGIHandler.__call__ = _wsgi(WSGIHandler.__call__)  # type: ignore[method-assign]
        ASGIHandler.__call__ = _asgi(ASGIHandler.__call__)  # type: ignore[method-assign]
        for handler in (WSGIHandler, ASGIHandler):
            setattr(handler, _WRAPPED, True)


def log_request(
    method: str, path: str, status: int, began: float, size: int, client: str, id: str
) -> None:
    """Write the line of a request that is answered."""
    if not logger.isEnabledFor(logging.INFO):
        return
    path = shortened(path, _LONGEST_PATH)
    method = shortened(method, 32)
    # Not info(): it looks for who has called it, which costs more than the rest.
    args = (method, path, status)
    record = logging.LogRecord(logger.name, logging.INFO, "", 0, "%s %s %d", args, None)
    record.__dict__.update(
        method=method,
        path=path,
        status=status,
        duration=round(time.perf_counter() - began, 6),
        bytes=size,
        client=client,
        request_id=id,
    )
    logger.handle(record)


def _wsgi(call: Callable[..., Any]) -> Callable[..., Any]:
    def __call__(  # noqa: N807  # it takes the place of one
        self: WSGIHandler, environ: dict[str, Any], start_response: Callable[..., Any]
    ) -> Iterable[bytes]:
        began = time.perf_counter()
        id = id_for(environ.get("HTTP_X_REQUEST_ID", ""))
        request_id.set(id)
        # Now: Django decodes them where they are.
        path = environ.get("SCRIPT_NAME", "") + environ.get("PATH_INFO", "")
        if not path.isascii():  # WSGI's way to hold bytes in text
            path = path.encode("latin-1", "replace").decode("utf-8", "replace")
        sent: list[Any] = ["500", ()]

        def start(
            status: str, headers: list[tuple[str, str]], *exc_info: Any
        ) -> Callable[[bytes], object]:
            sent[:] = status, headers
            if not any(name.lower() == "x-request-id" for name, _ in headers):
                headers.append((HEADER, id))
            return start_response(status, headers, *exc_info)  # type: ignore[no-any-return]

        try:
            response = call(self, environ, start)
        except BaseException:
            request_id.set("")
            raise

        def told(size: int) -> None:
            if environ.get("PATH_INFO") in quiet and int(sent[0][:3]) < 400:
                return
            method = environ.get("REQUEST_METHOD", "")
            client = environ.get("REMOTE_ADDR") or ""
            size = 0 if method == "HEAD" else size
            log_request(method, path, int(sent[0][:3]), began, size, client, id)

        if isinstance(response, HttpResponse):
            # Before it is sent: Granian forgets what is to be done after the last
            # response, and what the client has read is in the log.
            told(len(response.content))
        elif isinstance(response, HttpResponseBase):
            return _Stream(response, told)
        else:
            # The server's own way to send a file.
            told(_length(sent[1]))
            request_id.set("")
            return response  # type: ignore[no-any-return]
        response._resource_closers.append(_forget)  # type: ignore[attr-defined]
        return response

    return __call__


class _Stream:
    """A response that is sent as it comes, and told when all of it has come."""

    def __init__(self, response: Any, told: Callable[[int], None]) -> None:
        self._response = response
        self._told = told
        self._size = 0

    def __iter__(self) -> Iterator[bytes]:
        for chunk in self._response:
            self._size += len(chunk)
            yield chunk
        self._tell()

    def close(self) -> None:
        try:
            self._response.close()
        finally:
            self._tell()  # the client may have gone before the end
            _forget()

    def _tell(self) -> None:
        told, self._told = self._told, lambda size: None
        told(self._size)


def _asgi(call: Callable[..., Any]) -> Callable[..., Any]:
    async def __call__(  # noqa: N807
        self: ASGIHandler, scope: dict[str, Any], receive: Receive, send: Send
    ) -> None:
        if scope["type"] != "http":
            return await call(self, scope, receive, send)  # type: ignore[no-any-return]
        began = time.perf_counter()
        given = next((v for n, v in scope["headers"] if n == b"x-request-id"), b"")
        id = id_for(given.decode("latin-1"))
        token = request_id.set(id)
        status, size = 499, 0  # nginx's word for a client that has gone
        told = False

        def tell_it() -> None:
            nonlocal told
            if not told:
                told = True
                root, path = scope.get("root_path", ""), scope["path"]
                if path.removeprefix(root) in quiet and status < 400:
                    return
                client = (scope.get("client") or ("",))[0] or ""
                method = scope["method"]
                length = 0 if method == "HEAD" else size
                log_request(method, path, status, began, length, client, id)

        async def send_and_note(message: Any) -> None:
            nonlocal status, size
            if message["type"] == "http.response.start":
                status = message["status"]
                headers = list(message.get("headers", ()))
                if not any(name.lower() == b"x-request-id" for name, _ in headers):
                    headers.append((b"x-request-id", id.encode()))
                message = {**message, "headers": headers}
            elif message["type"] == "http.response.body":
                size += len(message.get("body", b""))
                if not message.get("more_body"):
                    tell_it()
            await send(message)

        try:
            await call(self, scope, receive, send_and_note)
        except Exception:
            status = 500 if status == 499 else status
            raise
        finally:
            tell_it()
            request_id.reset(token)

    return __call__


def _forget() -> None:
    request_id.set("")


def _length(headers: Iterable[tuple[str, str]]) -> int:
    given = next((v for n, v in headers if n.lower() == "content-length"), "")
    return int(given) if given.isdecimal() else 0
