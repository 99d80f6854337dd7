"""Forgery: a client forges neither lines of the log nor where it comes from."""

from __future__ import annotations

import uuid
from collections.abc import Sequence

import pytest

from prodserver_conformance.container import CheckFailed, Container
from prodserver_conformance.environment import Environment, is_trusted
from prodserver_conformance.http_client import Response
from prodserver_conformance.log_lines import (
    Fields,
    access_lines,
    difference,
    forged_path,
    forgeries,
)
from prodserver_conformance.plugin import Record, check

#: Seconds for a request's line to be in the log.
_TIMEOUT = 10
#: An address and a name that are reserved for examples.
_ADDRESS, _HOST = "203.0.113.66", "forged.invalid"
_VALUES = {"For": _ADDRESS, "Proto": "https", "Host": _HOST, "Port": "4443"}
#: The headers of one request each, by what to call them.
_HEADERS = {
    "X-Forwarded-*": [f"X-Forwarded-{name}: {each}" for name, each in _VALUES.items()],
    "X_Forwarded_*": [f"X_Forwarded_{name}: {each}" for name, each in _VALUES.items()],
    "Forwarded": [f"Forwarded: for={_ADDRESS};proto=https;host={_HOST}"],
}
#: The headers of a response that depend on the scheme and the host of the request.
_DEPENDENT = ("location", "strict-transport-security")


@check(
    "forged-log",
    "Leave LOG_FORMAT to prodserver, which escapes what a client sends. In your own "
    "format, log repr(request.path) instead of request.path.",
)
def check_forged_log(record: Record, environment: Environment, process: str) -> None:
    """A request's path cannot forge a line of the log, or a field in its line."""
    _skip_unless_web(environment, process)
    record.add_action("asked for a path with line breaks, quotes and name=value")
    for log_format in ("text", "json"):
        record.add_action(f"with PRODSERVER_LOG_FORMAT={log_format}")
        container = environment.start_with_log(log_format, process)
        mark, plain = _unique(), _unique()
        response = _response(
            environment,
            container,
            process,
            forged_path(mark),
            f'X-Request-ID: {mark} {mark}=1 client={_ADDRESS}", "{mark}": "',
        )
        forged = _access_line(container, mark)
        forgery = next(forgeries(container.log, mark), "")
        record.require(not forgery, forgery)
        if not forged:
            pytest.skip(_no_access_line(container))
        _response(environment, container, process, f"/{plain}")
        wrong = difference(_access_line(container, plain), forged, response.status)
        record.require(not wrong, f"its line has {wrong}")
    record.add_observation("each is one line, with the usual fields")


@check(
    "forged-headers",
    'Set TRUSTED_PROXIES to the addresses of your proxy, such as ["10.0.0.0/8"]. '
    "SECURE_PROXY_SSL_HEADER, USE_X_FORWARDED_HOST and FORWARDED_ALLOW_IPS=* trust "
    "anyone who sends such headers.",
)
def check_forged_headers(
    record: Record, environment: Environment, process: str
) -> None:
    """A proxy's headers have no effect if the client is not a trusted proxy."""
    _skip_unless_web(environment, process)
    container = environment.start_with_log("json", process)
    trusted = environment.trusted_proxies(process)
    # Networks of containers are often trusted; a process can also be its own client.
    clients = {environment.http_client.container.address: False, "127.0.0.1": True}
    untrusted = [each for each in clients if not is_trusted(each, trusted)]
    if not untrusted:
        every = f"{' and '.join(clients)} are trusted: {', '.join(trusted)}"
        pytest.skip(f"cannot tell: in TRUSTED_PROXIES, {every}")
    client = untrusted[0]

    def get(*headers: str) -> Response:
        local = clients[client]
        return _response(environment, container, process, "/", *headers, local=local)

    record.add_action(f"asked for / from {client}, with {', '.join(_HEADERS)}")
    usual = _seen(get())
    is_logged = True
    for name, headers in _HEADERS.items():
        mark = _unique()
        response = get(*headers, f"X-Request-ID: {mark}")
        seen = _seen(response)
        record.require(seen == usual, f"with {name}: {seen}; without: {usual}")
        text = f"{response.headers} {response.body}"
        shown = [each for each in (_ADDRESS, _HOST) if each in text]
        record.require(not shown, f"{name}: {' and '.join(shown)} in the response")
        line = dict(_access_line(container, mark)) if is_logged else {}
        is_logged = bool(line)
        believed = line.get("client") == _ADDRESS
        record.require(not believed, f"{name}: {_ADDRESS} is the client in the log")
    record.add_observation(f"{usual}, with and without")
    if not is_logged:
        pytest.skip(f"the same responses, but {_no_access_line(container)}")
    record.add_observation("the client in the log is the client")


def _skip_unless_web(environment: Environment, process: str) -> None:
    environment.shared(process)
    if not environment.is_web(process):
        pytest.skip("it is not a web process: nothing is sent to it")


def _response(
    environment: Environment,
    container: Container,
    process: str,
    path: str,
    *headers: str,
    local: bool = False,
) -> Response:
    response = environment.get(container, process, path, *headers, local=local)
    if isinstance(response, str):
        pytest.skip(f"cannot tell: {response}")
    return response


def _unique() -> str:
    return f"forged-{uuid.uuid4().hex[:12]}"


def _access_line(container: Container, mark: str) -> Fields:
    """Return the fields of the access log's line with a mark; () if there is none."""

    def find() -> Sequence[Fields]:
        log = container.log
        # A forgery is enough to know, whatever else is written.
        return access_lines(log, mark) or [() for _ in forgeries(log, mark)]

    try:
        return container.wait_until(find, "logged", _TIMEOUT)[0]
    except CheckFailed:
        if not container.is_running:
            raise
        return ()


def _no_access_line(container: Container) -> str:
    last = (container.log.splitlines() or ["nothing"])[-1]
    return f"cannot tell: no line of the access log; the last line: {last[:120]}"


def _seen(response: Response) -> str:
    """Return what in a response depends on the scheme and the host of its request."""
    headers = [
        f"{name}: {response.headers[name]}"
        for name in _DEPENDENT
        if name in response.headers
    ]
    return ", ".join([f"status {response.status}", *headers])
