"""Checks of the health middleware that fail, hang and are mistaken."""

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


class Health(Web):
    """A server that is asked for its health as an orchestrator asks."""

    def ask(self, path: str, method: str = "GET") -> tuple[int, str]:
        """Ask by the address, as a kubelet does, which is in no ALLOWED_HOSTS."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=60)
        try:
            connection.request(method, path, headers={"Host": "10.0.0.7:8000"})
            answer = connection.getresponse()
            return answer.status, answer.read().decode()
        finally:
            connection.close()


@pytest.fixture
def serve(start: Starter, port: int):
    """Start one of the servers; return it, with the first answer given."""

    def serve(server: str, *checks: str, **settings: Any) -> Health:
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
        found: Health = start.process([*MANAGE, "web"], environment, kind=Health)
        found.port = port
        found.wait_until_ready()
        return found

    return serve


def probed(start: Starter, *args: str) -> tuple[int, str]:
    done = start.probe(*args)
    assert done.stderr == ""
    return done.returncode, done.stdout.partition(" in ")[0].strip()


@pytest.mark.parametrize("server", ["gunicorn-2", "uvicorn"])
def test_a_database_that_goes_and_comes(server: str, serve, start: Starter) -> None:
    folder = start.data / "database"
    folder.mkdir()
    database = {
        "ENGINE": "django.db.backends.sqlite3",
        "NAME": str(folder / "db.sqlite3"),
    }
    checks = ("database", "migrations", "cache")
    web: Health = serve(server, *checks, DATABASES={"default": database})
    assert web.ask("/-/ready") == (503, "not ready: migrations\n")
    web.says("not ready: migrations: ")
    assert " not applied, the first is " in web.output
    start.migrate(settings={"DATABASES": {"default": database}})
    assert web.ask("/-/ready") == (200, "ready\n")
    folder.rename(start.data / "elsewhere")
    status, line = web.ask("/-/ready")
    # A worker that has not seen all applied yet still looks.
    assert (status, line[:19]) == (503, "not ready: database")
    (start.data / "elsewhere").rename(folder)
    assert web.ask("/-/ready") == (200, "ready\n")


def test_a_database_that_never_answers(serve, start: Starter) -> None:
    """It takes the connection, and says no word: one thread, and an answer in time."""
    with socket.create_server(("127.0.0.1", 0)) as silent:
        redis = f"redis://127.0.0.1:{silent.getsockname()[1]}"
        cache = {
            "BACKEND": "django.core.cache.backends.redis.RedisCache",
            "LOCATION": redis,
        }
        web: Health = serve(
            "waitress",
            CACHES={"default": cache},
            PRODSERVER_HEALTH={"CHECKS": ["cache"]},
        )
        for _ in range(5):
            assert web.ask("/-/ready") == (503, "not ready: cache\n")
            assert probed(start, "--timeout=30")[0] == 1
        assert web.ask("/-/live") == (200, "alive\n")
        threads = web.about()["threads"]
        assert threads.count("health-cache") == 1
    # The other side has hung up: it was no use to wait, and no harm.
    web.until(lambda: "health-cache" not in web.about()["threads"], "no such thread")
    assert web.stop() == 0


def test_a_fault_is_one_message_and_no_start(start: Starter) -> None:
    """Also where every worker would load the application, and fail, for ever."""
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


def test_the_probe_asks_where_the_settings_say(serve, start: Starter) -> None:
    web: Health = serve("granian-asgi", PRODSERVER_HEALTH={"READY_PATH": "/up"})
    assert web.ask("/up") == (200, "ready\n")
    assert "path=/up\n" in Path(start.data / "web.state").read_text()
    assert probed(start) == (0, f"web is ready: 200 from 127.0.0.1:{web.port}")
