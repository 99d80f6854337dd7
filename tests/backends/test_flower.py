"""Flower, Celery's monitor: a web server with a health page."""

from __future__ import annotations

import pytest

from tests.backends.sites import entry
from tests.conftest import Starter
from tests.harness import MANAGE, Web

pytestmark = pytest.mark.process


def test_serves_and_stops(start: Starter, redis_url: str, port: int) -> None:
    args = {"port": port, "address": "127.0.0.1", "url-prefix": "f"}
    keys = {"APP": "proj.celery.app", "ARGS": args}
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
