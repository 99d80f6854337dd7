"""``WAIT_FOR``, for real: nothing there, something there, and a stop meanwhile."""

from __future__ import annotations

import signal
import socket
import sqlite3
import time
from collections.abc import Iterator
from contextlib import closing
from typing import Any

import psutil
import pytest

from tests import harness
from tests.conftest import Starter
from tests.harness import MANAGE, MODULE, Running, Web, lines
from tests.servers import BACKENDS, config

CELERY = {"BACKEND": f"{BACKENDS}.celery.CeleryWorker", "APP": "proj.celery.app"}
SQLITE = {"ENGINE": "django.db.backends.sqlite3", "NAME": ":memory:"}
TASKS = {"BACKEND": f"{BACKENDS}.django_tasks.DjangoTasksWorker"}
Q2 = {"BACKEND": f"{BACKENDS}.django_q2.DjangoQ2Worker"}
RQ = {"settings": {"TASKS": {"default": {"BACKEND": "django_tasks_rq.RQBackend"}}}}


def begin(start: Starter, entry: dict[str, Any], **env: Any) -> Running:
    """Start a process, and do not wait for anything."""
    via = env.pop("via", MANAGE)
    started: Running = start.process(
        [*via, "web"], start.environment({"web": entry}, **env), kind=Web
    )
    return started


@pytest.fixture
def silent() -> Iterator[int]:
    """A port that takes connections, and never says a word."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        yield listener.getsockname()[1]


@pytest.mark.process
class TestWaiting:
    def test_it_is_alive_and_not_ready_until_it_is_there(
        self, start: Starter, port: int
    ) -> None:
        """And then it is warm, by the one start of Django that there was."""
        other = harness.free_port()
        entry = config("gunicorn-2", port, WAIT_FOR=f"tcp://127.0.0.1:{other}")
        web = begin(start, entry, TEST_APPS='["proj.recorded.RecordedConfig"]')
        web.says(f"waiting for tcp://127.0.0.1:{other} (0 s of 300): ConnectionRefused")
        assert start.probe("--live").returncode == 0
        ready = start.probe("--ready")
        assert ready.returncode == 1
        assert f"waiting for tcp://127.0.0.1:{other}" in ready.stdout
        with socket.create_server(("127.0.0.1", other)):
            assert isinstance(web, Web)
            web.port = port
            web.wait_until_ready()
        assert f"tcp://127.0.0.1:{other} ready after" in web.output
        assert lines(start.data / "ready") == [str(web.process.pid)]
        web.until(lambda: start.probe("--ready").returncode == 0, "ready")
        assert web.stop() == 0

    def test_it_says_nothing_where_it_need_not_wait(
        self, start: Starter, port: int, silent: int
    ) -> None:
        names = [f"tcp://127.0.0.1:{silent}", "database", "cache"]
        entry = config("waitress", port, WAIT_FOR=names)
        web = start.web(entry, port=port, via=MODULE)
        assert "waiting" not in web.output
        assert web.stop() == 0

    def test_one_that_is_execd_waits_too(self, start: Starter, port: int) -> None:
        other = harness.free_port()
        entry = config(
            "gunicorn", port, WAIT_FOR=[f"tcp://localhost:{other}"], PRELOAD=False
        )
        web = begin(start, entry)
        web.says("waiting for tcp://localhost")
        with socket.create_server(("127.0.0.1", other)):
            assert isinstance(web, Web)
            web.port = port
            web.wait_until_ready()
        assert web.stop() == 0

    def test_migrations_are_waited_for_and_not_made(
        self, start: Starter, port: int
    ) -> None:
        entry = config("waitress", port, WAIT_FOR=["database", "migrations"])
        web = begin(start, entry)
        web.says("waiting for migrations")
        assert " not applied, first: " in web.output
        with closing(sqlite3.connect(start.data / "db.sqlite3")) as database:
            assert database.execute("SELECT name FROM sqlite_master").fetchall() == []
        start.migrate()
        assert isinstance(web, Web)
        web.port = port
        web.wait_until_ready()
        assert web.stop() == 0

    def test_meanwhile_it_has_no_connection_of_the_application(
        self, start: Starter, port: int
    ) -> None:
        """What looks is a child, and would have the same one."""
        other = harness.free_port()
        entry = config("gunicorn", port, WAIT_FOR=f"tcp://127.0.0.1:{other}")
        web = begin(
            start,
            entry,
            settings={"HOLD": "database"},
            TEST_APPS='["proj.holding.HoldingConfig"]',
        )
        web.says(f"waiting for tcp://127.0.0.1:{other}")
        assert (start.data / "db.sqlite3").exists(), "it has been opened"
        opened = [file.path for file in psutil.Process(web.process.pid).open_files()]
        assert str(start.data / "db.sqlite3") not in opened

    def test_another_database_is_waited_for(self, start: Starter, port: int) -> None:
        other = harness.free_port()
        replica = {
            "ENGINE": "django.db.backends.postgresql",
            "HOST": "127.0.0.1",
            "PORT": other,
            "NAME": "shop",
        }
        names = ["database", "cache:default", "database:replica"]
        web = begin(
            start,
            config("waitress", port, WAIT_FOR=names),
            PRODSERVER_WAIT_TIMEOUT="0",
            settings={"DATABASES": {"default": SQLITE, "replica": replica}},
        )
        assert web.exits() == 69
        message = "Timed out after 0 s waiting for database:replica: Operational"
        assert message in web.output

    def test_the_log_says_the_last_reason_while_nothing_answers(
        self, start: Starter, port: int
    ) -> None:
        """A try of redis-py takes longer than what is between two lines of the log."""
        worker = begin(
            start,
            {**CELERY, "WAIT_FOR": ["broker"]},
            TEST_REDIS_URL=f"redis://127.0.0.1:{harness.free_port()}/0",
        )
        waits = "waiting for broker ("

        def reasons() -> list[str]:
            lines = worker.output.splitlines()
            return [line for line in lines if waits in line]

        worker.until(lambda: len(reasons()) > 3, "four lines", 60)
        # The first try has no answer yet, perhaps; what follows has its reason.
        assert all("Connection refused" in line for line in reasons()[1:])

    @pytest.mark.slow
    def test_what_looks_ends_too_where_its_parent_is_killed(
        self, start: Starter, silent: int
    ) -> None:
        """In the middle of a look that nothing answers, and that has no end."""
        worker = begin(
            start,
            {**CELERY, "WAIT_FOR": ["broker"]},
            TEST_REDIS_URL=f"redis://127.0.0.1:{silent}/0",
        )
        worker.says("no answer yet")
        assert len(worker.left()) == 2
        worker.process.kill()
        worker.process.wait()
        assert len(worker.left()) == 1
        # Its alarm is at 20 s.
        harness.wait_for(lambda: not worker.left(), "the end of what looks", 60)

    def test_time_is_up(self, start: Starter, port: int) -> None:
        other = harness.free_port()
        entry = config("gunicorn", port, WAIT_FOR=[f"tcp://127.0.0.1:{other}"])
        for via in (MANAGE, MODULE):
            web = begin(start, entry, via=via, PRODSERVER_WAIT_TIMEOUT="1")
            assert web.exits() == 69
            message = f"Timed out after 1 s waiting for tcp://127.0.0.1:{other}: "
            assert f"{message}ConnectionRefusedError: " in web.output
            assert "increase PRODSERVER_WAIT_TIMEOUT (seconds)" in web.output
            assert "Traceback" not in web.output

    def test_a_check_that_crashes_has_not_passed(
        self, start: Starter, port: int
    ) -> None:
        caches = {"default": {"BACKEND": "proj.crashing.CrashingCache"}}
        web = begin(
            start,
            config("gunicorn", port, WAIT_FOR="cache"),
            settings={"CACHES": caches},
            PRODSERVER_WAIT_TIMEOUT="0",
        )
        assert web.exits() == 69
        reason = "the process that checked it was killed"
        assert f"Timed out after 0 s waiting for cache: {reason}." in web.output

    @pytest.mark.parametrize(
        ("entry", "env"),
        [
            pytest.param(CELERY, {}, id="celery"),
            pytest.param(config("waitress", 1, APP="proj.celery.app"), {}, id="web"),
            pytest.param(Q2, {}, id="q2"),
            pytest.param(TASKS, RQ, id="rq"),
        ],
    )
    def test_a_broker_that_is_not_there(
        self, start: Starter, entry: dict[str, Any], env: dict[str, Any]
    ) -> None:
        worker = begin(
            start,
            {**entry, "WAIT_FOR": "broker"},
            PRODSERVER_WAIT_TIMEOUT="0",
            TEST_REDIS_URL="redis://:hunter2@127.0.0.1:1/0",
            **env,
        )
        assert worker.exits() == 69
        assert "Timed out after 0 s waiting for broker: " in worker.output
        assert "Connection refused" in worker.output
        assert "hunter2" not in worker.output

    @pytest.mark.parametrize(
        ("entry", "env", "ready"),
        [
            pytest.param(CELERY, {}, "celery@", id="celery"),
            pytest.param(Q2, {}, "running.", id="q2"),
            pytest.param(TASKS, RQ, "Listening on default", id="rq"),
        ],
    )
    def test_a_broker_that_is_there(
        self,
        start: Starter,
        redis_url: str,
        entry: dict[str, Any],
        env: dict[str, Any],
        ready: str,
    ) -> None:
        entry = {**entry, "WAIT_FOR": "broker"}
        worker = begin(start, entry, TEST_REDIS_URL=redis_url, **env)
        worker.says(ready)
        assert "waiting" not in worker.output

    def test_a_server_that_never_answers_holds_up_nothing(
        self, start: Starter, silent: int
    ) -> None:
        began = time.monotonic()
        worker = begin(
            start,
            {**CELERY, "WAIT_FOR": "broker"},
            PRODSERVER_WAIT_TIMEOUT="2",
            TEST_REDIS_URL=f"redis://127.0.0.1:{silent}/0",
        )
        assert worker.exits(60) == 69
        message = "Timed out after 2 s waiting for broker: no answer within 5 s"
        assert message in worker.output
        assert time.monotonic() - began < 40

    @pytest.mark.parametrize(
        ("signum", "code"), [(signal.SIGTERM, 143), (signal.SIGINT, 130)]
    )
    def test_a_stop_is_obeyed_at_once(
        self, start: Starter, silent: int, signum: int, code: int
    ) -> None:
        """In the middle of a look, too."""
        worker = begin(
            start,
            {**CELERY, "WAIT_FOR": ["database", "broker"]},
            TEST_REDIS_URL=f"redis://127.0.0.1:{silent}/0",
        )
        worker.says("waiting for broker (")
        signalled = time.monotonic()
        assert worker.stop(signum) == code
        assert time.monotonic() - signalled < 8
        assert "Traceback" not in worker.output
