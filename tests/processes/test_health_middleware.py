"""The health middleware with checks that fail, hang or do not exist."""

from __future__ import annotations

import http.client
import socket
from pathlib import Path
from typing import Any

import pytest

from django_prodserver.health import conf
from tests.conftest import Starter
from tests.harness import MANAGE, Web, free_port
from tests.servers import config

pytestmark = pytest.mark.process


class HealthClient(Web):
    """A server, and a client that requests its health like an orchestrator."""

    def request(self, path: str, method: str = "GET") -> tuple[int, str]:
        """Send a request like a kubelet's: its Host is not in ALLOWED_HOSTS."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=60)
        try:
            connection.request(method, path, headers={"Host": "10.0.0.7:8000"})
            response = connection.getresponse()
            return response.status, response.read().decode()
        finally:
            connection.close()


@pytest.fixture
def serve(start: Starter, port: int):
    """Return a function that starts a server and waits for its first response."""

    def serve(server: str, *checks: str, **settings: Any) -> HealthClient:
        environment = start.environment(
            {"web": config(server, port)},
            {
                "MIDDLEWARE": [
                    conf.MIDDLEWARE,
                    "django.middleware.security.SecurityMiddleware",
                    "django.middleware.common.CommonMiddleware",
                ],
                "SECURE_SSL_REDIRECT": True,
                "SECURE_REDIRECT_EXEMPT": ["about"],
                "PRODSERVER_HEALTH": {"CHECKS": [*checks], "TIMEOUT": 20, "MAX_AGE": 0},
                **settings,
            },
        )
        web: HealthClient = start.process(
            [*MANAGE, "web"], environment, kind=HealthClient
        )
        web.port = port
        web.wait_until_ready()
        return web

    return serve


def probe(start: Starter, *args: str) -> tuple[int, str]:
    """Return the probe's exit code, and its output without the duration."""
    done = start.probe(*args)
    assert done.stderr == ""
    return done.returncode, done.stdout.partition(" in ")[0].strip()


@pytest.mark.parametrize("server", ["gunicorn-2", "uvicorn"])
def test_readiness_follows_the_database(server: str, serve, start: Starter) -> None:
    folder = start.data / "database"
    folder.mkdir()
    database = {
        "ENGINE": "django.db.backends.sqlite3",
        "NAME": str(folder / "db.sqlite3"),
    }
    checks = ("database", "migrations", "cache")
    web: HealthClient = serve(server, *checks, DATABASES={"default": database})
    assert web.request("/-/ready") == (503, "not ready: migrations\n")
    web.says("not ready: migrations: ")
    assert " not applied, first: " in web.output
    start.migrate(settings={"DATABASES": {"default": database}})
    assert web.request("/-/ready") == (200, "ready\n")
    folder.rename(start.data / "elsewhere")
    status, line = web.request("/-/ready")
    # A worker that has not yet seen all migrations applied also names "migrations".
    assert (status, line[:19]) == (503, "not ready: database")
    (start.data / "elsewhere").rename(folder)
    assert web.request("/-/ready") == (200, "ready\n")


def test_a_hanging_check_times_out(serve, start: Starter) -> None:
    """A silent Redis blocks a single thread; responses still arrive in time."""
    with socket.create_server(("127.0.0.1", 0)) as silent:
        redis = f"redis://127.0.0.1:{silent.getsockname()[1]}"
        cache = {
            "BACKEND": "django.core.cache.backends.redis.RedisCache",
            "LOCATION": redis,
        }
        web: HealthClient = serve(
            "waitress",
            CACHES={"default": cache},
            PRODSERVER_HEALTH={"CHECKS": ["cache"]},
        )
        for _ in range(5):
            assert web.request("/-/ready") == (503, "not ready: cache\n")
            assert probe(start, "--timeout=30")[0] == 1
        assert web.request("/-/live") == (200, "alive\n")
        threads = web.about()["threads"]
        assert threads.count("health-cache") == 1
    # The other side has closed the connections, so the check's thread ends.
    web.until(lambda: "health-cache" not in web.about()["threads"], "no such thread")
    assert web.stop() == 0


def test_an_invalid_setting_prevents_the_start(start: Starter) -> None:
    """One message, also where every worker would fail and be restarted endlessly."""
    done = start.command(
        "web",
        processes={"web": config("uvicorn-2", free_port())},
        settings={
            "MIDDLEWARE": [conf.MIDDLEWARE],
            "PRODSERVER_HEALTH": {"CHECKS": ["databse"]},
        },
    )
    assert done.returncode == 78
    assert "PRODSERVER_HEALTH['CHECKS'] has 'databse'.\n" in done.stderr
    assert "Did you mean 'database'?" in done.stderr
    assert "Traceback" not in done.stderr


def test_probe_requests_the_configured_path(serve, start: Starter) -> None:
    web: HealthClient = serve("granian-asgi", PRODSERVER_HEALTH={"READY_PATH": "/up"})
    assert web.request("/up") == (200, "ready\n")
    assert "path=/up\n" in Path(start.data / "web.state").read_text()
    assert probe(start) == (0, f"web is ready: 200 from 127.0.0.1:{web.port}")
