"""
The request id and the access log, implemented around Django's request handlers.

This way they are the same on every server. The servers' own access logs differ, and
Waitress has none.
"""

from __future__ import annotations

import logging
import re
import time
from collections.abc import Awaitable, Callable, Collection, Iterable, Iterator
from functools import partial
from typing import Any
from urllib.parse import quote

from django.core.handlers.asgi import ASGIHandler
from django.core.handlers.wsgi import WSGIHandler
from django.http import HttpResponse
from django.http.response import HttpResponseBase

from django_prodserver.exceptions import ConfigurationError
from django_prodserver.health import conf as health
from django_prodserver.logs.context import id_for, request_id
from django_prodserver.logs.formatters import shortened
from django_prodserver.middleware.wrap import Handler, wrap_handlers

logger = logging.getLogger("django_prodserver.access")
HEADER = "X-Request-ID"
_MAX_PATH = 1_024
_SPACE = re.compile(r"\s")
_MAX_METHOD = 32
Receive = Callable[[], Awaitable[Any]]
Send = Callable[[Any], Awaitable[None]]


def install(access: bool) -> None:
    """
    Give each request an id, and log it if ``access`` is true.

    May be called again; only ``access`` is applied then.
    """
    logger.disabled = not access
    quiet = _health_paths()
    wrap_handlers(
        "access_log", partial(_wsgi, quiet=quiet), partial(_asgi, quiet=quiet)
    )


def _health_paths() -> frozenset[str]:
    """Return the paths of probes; their successful requests are not logged."""
    if not health.is_installed():
        return frozenset()
    try:
        found = health.load()
    except ConfigurationError:  # the launcher reports it
        return frozenset()
    return frozenset((found.live_path, found.ready_path))


def log_request(
    method: str,
    path: str,
    status: int,
    started: float,
    size: int,
    client: str,
    id: str,
) -> None:
    """Log a request whose response is complete."""
    if not logger.isEnabledFor(logging.INFO):
        return
    path = shortened(path, _MAX_PATH)
    method = shortened(method, _MAX_METHOD)
    # Escape spaces: a reader of the line would take one for the end of the path.
    shown = _SPACE.sub(lambda space: quote(space[0]), path)
    # Not info(), which finds out the caller and costs more than all the rest.
    args = (method, shown, status)
    record = logging.LogRecord(logger.name, logging.INFO, "", 0, "%s %s %d", args, None)
    record.__dict__.update(
        method=method,
        path=path,
        status=status,
        duration=round(time.perf_counter() - started, 6),
        bytes=size,
        client=client,
        request_id=id,
    )
    logger.handle(record)


def _wsgi(call: Handler, quiet: Collection[str]) -> Handler:
    def __call__(  # noqa: N807  # it replaces a method of that name
        self: WSGIHandler, environ: dict[str, Any], start_response: Callable[..., Any]
    ) -> Iterable[bytes]:
        started = time.perf_counter()
        id = id_for(environ.get("HTTP_X_REQUEST_ID", ""))
        request_id.set(id)
        # Read before the call: Django decodes them in place.
        path = environ.get("SCRIPT_NAME", "") + environ.get("PATH_INFO", "")
        if not path.isascii():  # WSGI represents bytes as latin-1
            path = path.encode("latin-1", "replace").decode("utf-8", "replace")
        status_line, sent_headers = "500", []

        def start(
            status: str, headers: list[tuple[str, str]], *exc_info: Any
        ) -> Callable[[bytes], object]:
            nonlocal status_line, sent_headers
            status_line, sent_headers = status, headers
            if not any(name.lower() == "x-request-id" for name, _ in headers):
                headers.append((HEADER, id))
            return start_response(status, headers, *exc_info)  # type: ignore[no-any-return]

        try:
            response = call(self, environ, start)
        except BaseException:
            request_id.set("")
            raise

        def log(size: int) -> None:
            status = int(status_line[:3])
            if environ.get("PATH_INFO") in quiet and status < 400:
                return
            method = environ.get("REQUEST_METHOD", "")
            client = environ.get("REMOTE_ADDR") or ""
            size = 0 if method == "HEAD" else size
            log_request(method, path, status, started, size, client, id)

        if isinstance(response, HttpResponse):
            # Before it is sent: Granian may skip what comes after the last response,
            # and what a client has read must be in the log.
            log(len(response.content))
        elif isinstance(response, HttpResponseBase):
            return _LoggedStream(response, log)
        else:
            # The server's file wrapper.
            log(_content_length(sent_headers))
            request_id.set("")
            return response  # type: ignore[no-any-return]
        response._resource_closers.append(_reset_id)  # type: ignore[attr-defined]
        return response

    return __call__


class _LoggedStream:
    """A streaming response that is logged once, after its last chunk."""

    def __init__(self, response: Any, log: Callable[[int], None]) -> None:
        self._response = response
        self._log = log
        self._size = 0
        self._is_logged = False

    def __iter__(self) -> Iterator[bytes]:
        for chunk in self._response:
            self._size += len(chunk)
            yield chunk
        self._log_once()

    def close(self) -> None:
        try:
            self._response.close()
        finally:
            self._log_once()  # the client may have disconnected before the end
            _reset_id()

    def _log_once(self) -> None:
        if not self._is_logged:
            self._is_logged = True
            self._log(self._size)


def _asgi(call: Handler, quiet: Collection[str]) -> Handler:
    async def __call__(  # noqa: N807
        self: ASGIHandler, scope: dict[str, Any], receive: Receive, send: Send
    ) -> None:
        if scope["type"] != "http":
            return await call(self, scope, receive, send)  # type: ignore[no-any-return]
        started = time.perf_counter()
        given = next((v for n, v in scope["headers"] if n == b"x-request-id"), b"")
        id = id_for(given.decode("latin-1"))
        token = request_id.set(id)
        status, size = 499, 0  # nginx's code for a client that has disconnected
        is_logged = False

        def log_once() -> None:
            nonlocal is_logged
            if not is_logged:
                is_logged = True
                root, path = scope.get("root_path", ""), scope["path"]
                if path.removeprefix(root) in quiet and status < 400:
                    return
                client = (scope.get("client") or ("",))[0] or ""
                method = scope["method"]
                length = 0 if method == "HEAD" else size
                log_request(method, path, status, started, length, client, id)

        async def send_and_count(message: Any) -> None:
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
                    log_once()
            await send(message)

        try:
            await call(self, scope, receive, send_and_count)
        except Exception:
            status = 500 if status == 499 else status
            raise
        finally:
            log_once()
            request_id.reset(token)

    return __call__


def _reset_id() -> None:
    request_id.set("")


def _content_length(headers: Iterable[tuple[str, str]]) -> int:
    text = next((v for n, v in headers if n.lower() == "content-length"), "")
    return int(text) if text.isdecimal() else 0
