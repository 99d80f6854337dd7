"""Signals at the moments that are hard: while it starts, while it is being used."""

from __future__ import annotations

import os
import signal
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.backends.sites import LoadGenerator, children, is_refused
from tests.conftest import Starter
from tests.harness import MODULE, PROJECT, Web, wait_for
from tests.servers import BACKENDS, config

pytestmark = pytest.mark.process

#: Stopped before the server has its handlers, or uvicorn, which raises it again.
STOPPED = {0, -signal.SIGTERM}


def test_sigusr2_upgrades_gunicorn(start: Starter, port: int, tmp_path: Path) -> None:
    """Gunicorn's upgrade: the new master runs the native command, anew."""
    env = start.environment({"web": config("gunicorn", port)})
    # Elsewhere, so that the new one must find the project by itself.
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
    os.kill(new, signal.SIGTERM)
    wait_for(lambda: not web.left(), "the new master gone")


class Candidate(Web):
    """Any process, which may be a web server."""

    port = 0

    def has_a_word(self) -> None:
        # Waitress has none, but serves.
        self.until(lambda: self.output or self._serves(), "its first word")

    def listens(self) -> None:
        self.says("Listening at")

    def accepts(self) -> None:
        """Return when its socket is there, whoever is behind it."""
        self.until(lambda: not is_refused(self.port), "a connection")

    def _serves(self) -> bool:
        try:
            return bool(self.port and self.about())
        except OSError:
            return False


def stopped(
    start: Starter,
    env: dict[str, str],
    when: Callable[[Candidate], None],
    port: int = 0,
) -> str:
    """Start it, stop it at some moment; return what was wrong with that, or nothing."""
    process: Candidate = start.process([*MODULE, "web"], env, kind=Candidate)
    process.port = port
    when(process)
    signalled = time.monotonic()
    code = process.stop(signal.SIGTERM, 20)
    took = time.monotonic() - signalled
    fine = took < 3 and code in STOPPED
    return "" if fine else f"{code} after {took:.1f} s:\n{process.output}"


class TestWhileItStarts:
    """Whatever the moment of SIGTERM, it ends soon, and nothing is left."""

    #: In the launcher, as it loads the project: the project itself sends the signal.
    LOADING = ("settings", "ready", "urls")
    SERVERS = (
        *("gunicorn-2", "uvicorn", "uvicorn-2", "uvicorn-wsgi"),
        *("granian-wsgi-2", "granian-asgi-2", "waitress"),
    )

    @pytest.mark.parametrize("server", SERVERS)
    def test_a_server(self, start: Starter, port: int, server: str) -> None:
        entry = {"web": config(server, port)}
        for moment in self.LOADING:
            assert stops_itself(start, entry, moment) == -signal.SIGTERM
        env = start.environment(entry)
        for when in (
            *(Candidate.has_a_word, Candidate.accepts, Candidate.wait_until_ready),
        ):
            assert not stopped(start, env, when, port)

    def test_a_worker(self, start: Starter) -> None:
        start.migrate()
        entry = {"web": {"BACKEND": f"{BACKENDS}.django_tasks.DjangoTasksWorker"}}
        for moment in ("settings", "ready"):
            assert stops_itself(start, entry, moment) == -signal.SIGTERM
        assert not stopped(start, start.environment(entry), Candidate.has_a_word)

    @pytest.mark.parametrize("server", ["granian-wsgi-4", "granian-asgi-4"])
    def test_granian_as_its_workers_begin(
        self, start: Starter, port: int, server: str
    ) -> None:
        """Natively a stop at the first answer hangs: 12 of 12 (wsgi), 10 of 12."""
        env = start.environment({"web": config(server, port)})

        for _ in range(12):
            assert not stopped(start, env, Candidate.wait_until_ready, port)
        for _ in range(4):
            assert not stopped(start, env, Candidate.listens)


def stops_itself(start: Starter, entry: dict[str, Any], moment: str) -> int:
    """Start what sends itself SIGTERM at a moment, and return its exit code."""
    env = start.environment(
        entry, TEST_STOP_AT=moment, TEST_APPS='["proj.moments.MomentsConfig"]'
    )
    process: Candidate = start.process([*MODULE, "web"], env, kind=Candidate)
    return process.exits(20)
