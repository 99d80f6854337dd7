"""Waitress; test_waitress_runner.py tests our runner in detail."""

from __future__ import annotations

import pytest

from tests.backends.contract import WebContract
from tests.backends.sites import WebSite
from tests.conftest import Starter
from tests.harness import free_port

WAITRESS = "waitress.WaitressServer"


class TestWaitress(WebContract):
    backend = WAITRESS
    variants = {"1": {}}
    usage_error_code = 1


@pytest.mark.process
def test_serves_on_two_addresses(start: Starter, port: int) -> None:
    other = free_port()
    bind = [f"127.0.0.1:{port}", f"127.0.0.1:{other}"]
    web = WebSite(start, port, WAITRESS, {"BIND": bind}).serve()
    web.port = other
    assert web.get("/who").isdecimal()
    assert web.stop() == 0
