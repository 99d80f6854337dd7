"""Signals at difficult moments: during the start, and during an upgrade."""

from __future__ import annotations

import os
import signal
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psutil
import pytest

from tests.backends.sites import LoadGenerator, children, is_refused
from tests.conftest import Starter
from tests.harness import MODULE, PROJECT, Web, wait_for
from tests.servers import BACKENDS, config

pytestmark = pytest.mark.process

#: Exit codes: -SIGTERM before the server has handlers, and for uvicorn, which raises
#: the signal again after its stop.
CLEAN_CODES = {0, -signal.SIGTERM}


@pytest.mark.parametrize("preload", [True, False], ids=["preloaded", "native"])
def test_sigusr2_upgrades_gunicorn(
    start: Starter, port: int, tmp_path: Path, preload: bool
) -> None:
    """Gunicorn's upgrade: the new master loads the code anew, and serves on."""
    keys: dict[str, Any] = {} if preload else {"PRELOAD": False}
    env = start.environment({"web": config("gunicorn", port, **keys)})
    # In another directory, so that the new master must find the project itself.
    command = [sys.executable, str(PROJECT / "manage.py"), "prodserver", "web"]
    web: Web = start.process(command, env, kind=Web, cwd=tmp_path)
    web.port = port
    web.wait_until_ready()
    old = web.process.pid
    old_workers = children(old)
    with LoadGenerator(web) as client:
        web.process.send_signal(signal.SIGUSR2)

        def upgraded() -> int:
            for child in children(old) - old_workers:
                if set(client.answers) & children(child):
                    return child
            return 0

        new = web.until(upgraded, "an answer of the new master's worker")
        assert set(client.answers) & old_workers
        web.process.send_signal(signal.SIGTERM)
        assert web.process.wait(10) == 0
        served = len(client.answers)
        wait_for(lambda: len(client.answers) > served + 10, "answers after it")
        assert set(client.answers[served + 1 :]) <= children(new)
        probed = [start.probe(*args) for args in (["web"], ["--live", "web"], [])]
        assert [done.returncode for done in probed] == [0] * 3, probed
        assert ("prodserver" in psutil.Process(new).cmdline()) is preload
    os.kill(new, signal.SIGTERM)
    wait_for(lambda: not web.left(), "the new master gone")


class StartingProcess(Web):
    """A process that is starting, which may be a web server."""

    port = 0

    def starts_to_respond(self) -> None:
        # Waitress writes no output at its start.
        self.until(
            lambda: self.output or self._serves(), "its first output or response"
        )

    def logs_listening(self) -> None:
        self.says("Listening at")

    def accepts_connections(self) -> None:
        """Wait until its port accepts connections, of any process."""
        self.until(lambda: not is_refused(self.port), "a connection")

    def _serves(self) -> bool:
        try:
            return bool(self.port and self.about())
        except OSError:
            return False


def stop_problem(
    start: Starter,
    env: dict[str, str],
    when: Callable[[StartingProcess], None],
    port: int = 0,
) -> str:
    """Start a process, stop it when ``when`` returns; return what failed, or ""."""
    process: StartingProcess = start.process(
        [*MODULE, "web"], env, kind=StartingProcess
    )
    process.port = port
    when(process)
    signalled = time.monotonic()
    code = process.stop(signal.SIGTERM, 20)
    took = time.monotonic() - signalled
    is_clean = took < 3 and code in CLEAN_CODES
    return "" if is_clean else f"{code} after {took:.1f} s:\n{process.output}"


class TestStopDuringStart:
    """SIGTERM at any moment of the start ends the process soon."""

    #: Moments in the launcher at which the project sends the signal while it loads.
    LOADING = ("settings", "ready", "urls")
    SERVERS = (
        *("gunicorn-2", "uvicorn", "uvicorn-2", "uvicorn-wsgi"),
        *("granian-wsgi-2", "granian-asgi-2", "waitress"),
    )

    @pytest.mark.parametrize("server", SERVERS)
    def test_a_server(self, start: Starter, port: int, server: str) -> None:
        entry = {"web": config(server, port)}
        for moment in self.LOADING:
            assert exit_code_after_stop_at(start, entry, moment) == -signal.SIGTERM
        env = start.environment(entry)
        for when in (
            *(
                StartingProcess.starts_to_respond,
                StartingProcess.accepts_connections,
                StartingProcess.wait_until_ready,
            ),
        ):
            assert not stop_problem(start, env, when, port)

    def test_a_worker(self, start: Starter) -> None:
        start.migrate()
        entry = {"web": {"BACKEND": f"{BACKENDS}.django_tasks.DjangoTasksWorker"}}
        for moment in ("settings", "ready"):
            assert exit_code_after_stop_at(start, entry, moment) == -signal.SIGTERM
        assert not stop_problem(
            start, start.environment(entry), StartingProcess.starts_to_respond
        )

    @pytest.mark.parametrize("server", ["granian-wsgi-4", "granian-asgi-4"])
    def test_granian_while_its_workers_start(
        self, start: Starter, port: int, server: str
    ) -> None:
        """The native command hangs in 12 of 12 such stops (wsgi), 10 of 12 (asgi)."""
        env = start.environment({"web": config(server, port)})

        for _ in range(12):
            assert not stop_problem(start, env, StartingProcess.wait_until_ready, port)
        for _ in range(4):
            assert not stop_problem(start, env, StartingProcess.logs_listening)


def exit_code_after_stop_at(start: Starter, entry: dict[str, Any], moment: str) -> int:
    """Start a process that sends itself SIGTERM at a moment; return its exit code."""
    env = start.environment(
        entry, TEST_STOP_AT=moment, TEST_APPS='["proj.moments.MomentsConfig"]'
    )
    process: StartingProcess = start.process(
        [*MODULE, "web"], env, kind=StartingProcess
    )
    return process.exits(20)
