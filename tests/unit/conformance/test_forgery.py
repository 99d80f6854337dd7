"""What a client forges is found in a log, and what it does not forge is not."""

from __future__ import annotations

import json
import logging
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from typing import Any

import pytest

from django_prodserver.logs.formatters import JSONFormatter, TextFormatter
from django_prodserver.middleware import access_log
from prodserver_conformance.environment import is_trusted
from prodserver_conformance.log_lines import (
    BREAKS,
    access_lines,
    difference,
    forged_path,
    forgeries,
)
from prodserver_conformance.programs import command_line

MARK = "forged-0123456789ab"
PATH = forged_path(MARK)
Log = Callable[[str], str]


@pytest.fixture(params=[TextFormatter, JSONFormatter])
def log(request: pytest.FixtureRequest, caplog: pytest.LogCaptureFixture) -> Log:
    """Return what the access log, and an application, write about a path."""
    caplog.set_level(logging.INFO, access_log.logger.name)

    def lines(path: str) -> str:
        caplog.clear()
        access_log.log_request("GET", path, 404, 0, 9, "10.0.0.1", "id")
        logging.getLogger("shop").warning("no %s", path)
        assert len(caplog.records) == 2
        formatted = map(request.param("web").format, caplog.records)
        return "".join(f"{line}\n" for line in formatted)

    return lines


def test_our_formats_cannot_be_forged(log: Log) -> None:
    text = log("/plain") + log(PATH)
    assert [*forgeries(text, MARK)] == []
    [usual], [own] = access_lines(text, "plain"), access_lines(text, MARK)
    assert difference(usual, own, 404) == ""
    assert difference(usual, own, 200) == "status=404, not 200"


def test_lines_that_a_path_forges_are_found() -> None:
    found = [*forgeries(f"GET {PATH} 404\n", MARK)]
    assert len(found) == len(BREAKS)
    assert found[0].startswith(f"a line that a client made: '{MARK} info web[1]")


def test_fields_of_json_that_a_path_forges_are_found() -> None:
    escaped = "".join(c if c.isprintable() else "?" for c in PATH)
    [found] = forgeries(f'{{"path": "{escaped}"}}\n', MARK)
    assert found.startswith('a field that a client made: \'{"path": "/forged-')


@pytest.mark.parametrize(
    ("message", "wrong"),
    [
        ("GET /forged 404 request_id=1 bytes=9 client=10.0.0.1", ""),
        (
            "GET /forged 200 request_id=1 bytes=9 client=6.6.6.6",
            "status=200, not 404, client=6.6.6.6, not 10.0.0.1",
        ),
        (
            "GET /forged 404 client=6.6.6.6 request_id=1 bytes=9 client=10.0.0.1",
            "the fields method, path, status, client, request_id, bytes, client, "
            "not method, path, status, request_id, bytes, client",
        ),
    ],
)
def test_fields_of_text_that_a_path_forges_are_found(message: str, wrong: str) -> None:
    head = "2026-12-01T00:00:00.000Z info     web[1] django_prodserver.access: "
    log = f"{head}GET /usual 404 request_id=1 bytes=9 client=10.0.0.1\n{head}{message}"
    [usual], [own] = access_lines(log, "/usual"), access_lines(log, "/forged")
    assert difference(usual, own, 404) == wrong


@pytest.mark.parametrize(
    ("trusted", "expected"),
    [
        ([], False),
        (["*"], True),
        (["10.0.0.0/8", "::1"], False),
        (["10.0.0.0/8", "172.16.0.0/12"], True),
        (["172.17.0.3"], True),
    ],
)
def test_who_is_a_trusted_proxy(trusted: list[str], expected: bool) -> None:
    assert is_trusted("172.17.0.3", trusted) is expected


class Echo(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        body = json.dumps([self.path, self.headers.items()]).encode()
        self.send_response(418)
        self.send_header("Location", "/there")
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:
        pass


@pytest.fixture
def port() -> Iterator[int]:
    with HTTPServer(("127.0.0.1", 0), Echo) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield server.server_port
        server.shutdown()
        thread.join()


def _run(*args: str) -> dict[str, Any]:
    _, *words = command_line("response", *args)
    done = subprocess.check_output([sys.executable, *words], text=True)
    return dict(json.loads(done))


def test_the_program_that_makes_a_request(port: int) -> None:
    found = _run("127.0.0.1", str(port), "shop", "/a%0Ab", "X_Forwarded_For: 1: 2")
    assert found["status"] == 418
    assert found["headers"]["location"] == "/there"
    path, headers = json.loads(found["body"])
    assert path == "/a%0Ab"
    assert ["Host", "shop"] in headers
    assert ["X_Forwarded_For", "1: 2"] in headers


def test_no_response_is_an_error() -> None:
    with HTTPServer(("127.0.0.1", 0), Echo) as server:
        closed = server.server_port
    assert "ConnectionRefusedError" in _run("127.0.0.1", str(closed), "x", "/")["error"]
