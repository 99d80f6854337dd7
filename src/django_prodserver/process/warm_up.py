"""
``WARM_UP``: send requests to the preloaded application.

The first request loads templates, translations and modules that no import loads. If
that happens before the workers are forked, they share those too.
"""

from __future__ import annotations

import asyncio
import contextlib
import gc
import io
import logging
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, Literal
from urllib.parse import unquote_to_bytes

from django.conf import settings

from django_prodserver.logs.config import log
from django_prodserver.middleware import access_log
from django_prodserver.text import redact

# The most seconds that one request may take.
TIMEOUT = 10.0
# Seconds for an unreferenced thread to end.
_THREAD_EXIT = 1.0
_CLIENT = "127.0.0.1"


@dataclass
class Response:
    """
    The response to one request.

    Attributes:
        status: Its status; 0 for none.
        location: The target of a redirect.
        error: The exception that was raised instead of a response.
    """

    status: int = 0
    location: str = ""
    error: BaseException | None = None


def request_paths(
    interface: Literal["wsgi", "asgi"],
    application: Callable[..., Any],
    paths: Sequence[str],
    host: str,
) -> None:
    """
    Request each path from an application, without a socket.

    A path that fails causes a warning. Afterwards, only what the application keeps is
    left of a request; its thread, connections and context variables are gone.

    Args:
        interface: The interface of the application, WSGI or ASGI.
        application: The application.
        paths: The paths, each with its query string.
        host: A Host header that the site accepts.

    Raises:
        TimeoutError: A path did not respond within ``TIMEOUT``. Its thread is still
            running, so this process must not fork.
    """
    get = {"wsgi": _get_wsgi, "asgi": _get_asgi}[interface]
    started = time.monotonic()
    threads: dict[threading.Thread, str] = {}
    with _access_log_disabled(), _garbage_collected_afterwards():
        for path in paths:
            before = threading.enumerate()
            response = _in_a_thread(partial(get, application, path, host), path)
            _report(path, response)
            new = (thread for thread in threading.enumerate() if thread not in before)
            threads.update(dict.fromkeys(new, path))
    _report_threads(threads)
    seconds = time.monotonic() - started
    log(f"WARM_UP: {len(paths)} requests in {seconds:.2f} s")


def _in_a_thread(get: Callable[[], Response], path: str) -> Response:
    """
    Return the response to a request that runs in a separate thread.

    What requests leave in their thread, such as connections, the language or an event
    loop, ends with it. Also, only this can end the wait for a request that hangs: an
    exception from a signal handler can be swallowed, or come too late.
    """
    responses: list[Response] = []

    def run() -> None:
        from django.db import connections

        try:
            responses.append(get())
        except BaseException as error:
            responses.append(Response(error=error))
        finally:
            connections.close_all()

    thread = threading.Thread(target=run, name=f"WARM_UP {path}", daemon=True)
    thread.start()
    thread.join(TIMEOUT)
    if thread.is_alive():
        message = f"GET {redact(path)} of WARM_UP takes longer than {TIMEOUT:g} s"
        raise TimeoutError(message)
    return responses[0]


def _report(path: str, response: Response) -> None:
    request = f"WARM_UP: GET {redact(path)}"
    if error := response.error:
        log(f"{request} failed: {type(error).__name__}: {error}", logging.WARNING)
    elif response.status >= 400 or not response.status:
        log(f"{request} returned {response.status}", logging.WARNING)
    elif response.location:
        log(f"{request} redirects to {redact(response.location)}")


def _report_threads(threads: Mapping[threading.Thread, str]) -> None:
    """Report threads that stay after those of asyncio and asgiref have ended."""
    deadline = time.monotonic() + _THREAD_EXIT
    for thread, path in threads.items():
        thread.join(max(0.0, deadline - time.monotonic()))
        if thread.is_alive():
            message = f"GET {redact(path)} has started the thread {thread.name!r}"
            log(f"WARM_UP: {message}", logging.WARNING)


def _get_wsgi(application: Callable[..., Any], path: str, host: str) -> Response:
    response = Response()

    def start_response(
        status: str, headers: list[tuple[str, str]], *exc_info: object
    ) -> Callable[[bytes], object]:
        response.status = int(status[:3])
        response.location = _location(headers)
        return io.BytesIO().write

    path, _, query = path.partition("?")
    scheme, port = _scheme_and_port()
    environ = {
        "REQUEST_METHOD": "GET",
        "SCRIPT_NAME": "",
        "PATH_INFO": unquote_to_bytes(path).decode("latin-1"),
        "QUERY_STRING": query,
        "SERVER_NAME": host,
        "SERVER_PORT": str(port),
        "SERVER_PROTOCOL": "HTTP/1.1",
        "REMOTE_ADDR": _CLIENT,
        "wsgi.version": (1, 0),
        "wsgi.url_scheme": scheme,
        "wsgi.input": io.BytesIO(),
        "wsgi.errors": sys.stderr,
        "wsgi.multithread": True,
        "wsgi.multiprocess": True,
        "wsgi.run_once": False,
        **{
            f"HTTP_{name.upper().replace('-', '_')}": value
            for name, value in _headers(host).items()
        },
    }
    body = application(environ, start_response)
    try:
        for _ in body:
            pass
    finally:
        if close := getattr(body, "close", None):
            close()  # sends request_finished
    return response


def _get_asgi(application: Callable[..., Any], path: str, host: str) -> Response:
    return asyncio.run(_get_async(application, path, host))


async def _get_async(application: Callable[..., Any], path: str, host: str) -> Response:
    from asgiref.sync import ThreadSensitiveContext, sync_to_async
    from django.db import connections

    response = Response()
    is_received = False

    async def receive() -> dict[str, Any]:
        nonlocal is_received
        if is_received:
            await (
                asyncio.Event().wait()
            )  # the client does not disconnect before the response
        is_received = True
        return {"type": "http.request", "body": b"", "more_body": False}

    async def send(message: dict[str, Any]) -> None:
        if message["type"] == "http.response.start":
            response.status = message["status"]
            response.location = _location(
                (name.decode("latin-1"), value.decode("latin-1"))
                for name, value in message.get("headers", ())
            )

    raw_path, _, query = path.partition("?")
    scheme, port = _scheme_and_port()
    scope = {
        "type": "http",
        "asgi": {"version": "3.0", "spec_version": "2.3"},
        "http_version": "1.1",
        "method": "GET",
        "scheme": scheme,
        "path": unquote_to_bytes(raw_path).decode(errors="replace"),
        "raw_path": raw_path.encode(),
        "query_string": query.encode(),
        "root_path": "",
        "headers": [
            (name.lower().encode(), value.encode("latin-1"))
            for name, value in _headers(host).items()
        ],
        "client": (_CLIENT, 0),
        "server": (host, port),
    }
    # Synchronous code runs in a thread that ends with this context. Without it,
    # asgiref keeps the thread, and a process with threads is not forked.
    async with ThreadSensitiveContext():
        try:
            await application(scope, receive, send)
        finally:
            await sync_to_async(connections.close_all)()
    return response


def _headers(host: str) -> dict[str, str]:
    return {"Host": host, "User-Agent": "prodserver WARM_UP", "Accept": "text/html,*/*"}


def _location(headers: Any) -> str:
    return next((value for name, value in headers if name.lower() == "location"), "")


def _scheme_and_port() -> tuple[str, int]:
    """Return https if a proxy in front of the site speaks TLS; http if not."""
    # With http, SECURE_SSL_REDIRECT would answer every path with a redirect.
    if settings.SECURE_SSL_REDIRECT or settings.SECURE_PROXY_SSL_HEADER:
        return "https", 443
    return "http", 80


@contextlib.contextmanager
def _access_log_disabled() -> Iterator[None]:
    """Disable the access log, because no client has sent these requests."""
    before = access_log.logger.disabled
    access_log.logger.disabled = True
    try:
        yield
    finally:
        access_log.logger.disabled = before


@contextlib.contextmanager
def _garbage_collected_afterwards() -> Iterator[None]:
    """
    Collect the garbage of the requests before all objects are frozen.

    Freeze the earlier objects first, so that they are not traversed again.
    """
    is_ours = not gc.get_freeze_count()
    if is_ours:
        gc.freeze()
    try:
        yield
    finally:
        gc.collect()
        if is_ours:
            gc.unfreeze()
