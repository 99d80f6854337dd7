"""Flower, Celery's monitor: a web server with a health page."""

from __future__ import annotations

from typing import Any

import pytest

from tests.backends.sites import entry
from tests.conftest import Starter
from tests.harness import MANAGE, Web

pytestmark = pytest.mark.process


@pytest.mark.parametrize("by_key", [False, True])
def test_serves_and_stops(
    start: Starter, redis_url: str, port: int, by_key: bool
) -> None:
    args: dict[str, Any] = {"url-prefix": "f"}
    keys: dict[str, Any] = {"APP": "proj.celery.app", "ARGS": args}
    if by_key:
        keys["BIND"] = f"127.0.0.1:{port}"
    else:
        args |= {"port": port, "address": "127.0.0.1"}
    environment = start.environment(
        {"web": entry("celery.CeleryFlower", keys)}, TEST_REDIS_URL=redis_url
    )
    server: Web = start.process([*MANAGE], environment, kind=Web)
    server.port = port

    def answers() -> bool:
        try:
            return server.get("/f/healthcheck") == "OK"
        except OSError:
            return False

    server.until(answers, "the first answer")
    # The probe requests Flower's own health page.
    ready, live = start.probe("--ready"), start.probe("--live")
    assert (ready.returncode, live.returncode) == (0, 0)
    assert f"200 from 127.0.0.1:{port}" in ready.stdout
    assert server.stop() == 0
