"""Signals at the moments that are hard: while it starts, while it is being used."""

from __future__ import annotations

import http.client
import os
import signal
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psutil
import pytest

from tests.conftest import Starter
from tests.harness import MODULE, PROJECT, Web, wait_for
from tests.servers import BACKENDS, config

pytestmark = pytest.mark.process

#: Stopped before the server has its handlers, or uvicorn, which raises it again.
STOPPED = {0, -signal.SIGTERM}


class Hammer:
    """A client that asks without a pause, one connection each, until it is told."""

    def __init__(self, web: Web) -> None:
        self.answers: list[Any] = []
        self.errors: list[Exception] = []
        self._web = web
        self._enough = threading.Event()
        self._thread = threading.Thread(target=self._run)

    def __enter__(self) -> Hammer:
        self._thread.start()
        return self

    def __exit__(self, *error: object) -> None:
        self._enough.set()
        self._thread.join()

    def _run(self) -> None:
        while not self._enough.is_set():
            try:
                self.answers.append(self._web.about()["pid"])
            except Exception as error:  # whatever it is, the test is to say so
                self.errors.append(error)


def children(pid: int) -> set[int]:
    return {child.pid for child in psutil.Process(pid).children()}


@pytest.mark.parametrize(
    "server", ["gunicorn-2", "uvicorn-2", "granian-wsgi-2", "granian-asgi-2"]
)
def test_sighup_replaces_the_workers(start: Starter, port: int, server: str) -> None:
    web = start.web(config(server, port), port=port)
    web.until(lambda: len(children(web.process.pid)) == 2, "two workers")
    old = children(web.process.pid)
    with Hammer(web) as client:
        web.process.send_signal(signal.SIGHUP)
        web.until(lambda: not old & children(web.process.pid), "the old workers gone")
        served = len(client.answers)
        web.until(lambda: len(client.answers) > served + 10, "answers after it")
    # Each of granian's workers has a queue of its own, which it resets natively.
    assert server.startswith("granian") or not client.errors
    assert not old & set(client.answers[served + 1 :])
    assert web.stop() == 0


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
    with Hammer(web) as client:
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

    def begins(self) -> None:
        """It has been started, and that is all."""

    def has_a_word(self) -> None:
        # Waitress has none, but serves.
        self.until(lambda: self.output or self._serves(), "its first word")

    def listens(self) -> None:
        self.says("Listening at")

    def _serves(self) -> bool:
        try:
            return bool(self.port and self.about())
        except OSError:
            return False


def stopped(
    start: Starter,
    env: dict[str, str],
    when: Callable[[Candidate], None],
    seconds: float = 0,
    port: int = 0,
) -> str:
    """Start it, stop it at some moment; return what was wrong with that, or nothing."""
    process: Candidate = start.process([*MODULE, "web"], env, kind=Candidate)
    process.port = port
    when(process)
    time.sleep(seconds)
    signalled = time.monotonic()
    code = process.stop(signal.SIGTERM, 20)
    took = time.monotonic() - signalled
    fine = took < 3 and code in STOPPED
    return "" if fine else f"{code} after {took:.1f} s:\n{process.output}"


class TestWhileItStarts:
    """Whatever the moment of SIGTERM, it ends soon, and nothing is left."""

    # Waiting times are what is tested here: seconds after the start, where there
    # is only the launcher, and after the first word of the server.
    MOMENTS = (
        (Candidate.begins, 0.05),
        (Candidate.begins, 0.3),
        (Candidate.has_a_word, 0),
        (Candidate.has_a_word, 0.05),
        (Candidate.has_a_word, 0.2),
    )

    @pytest.mark.parametrize(
        "server",
        [
            "gunicorn-2",
            "uvicorn",
            "uvicorn-2",
            "uvicorn-wsgi",
            "granian-wsgi-2",
            "granian-asgi-2",
            "waitress",
        ],
    )
    def test_a_server(self, start: Starter, port: int, server: str) -> None:
        env = start.environment({"web": config(server, port)})
        for when, seconds in self.MOMENTS:
            assert not stopped(start, env, when, seconds, port)

    def test_a_worker(self, start: Starter) -> None:
        start.migrate()
        backend = f"{BACKENDS}.django_tasks.DjangoTasksWorker"
        env = start.environment({"web": {"BACKEND": backend}})
        for when, seconds in self.MOMENTS:
            assert not stopped(start, env, when, seconds)

    @pytest.mark.parametrize("server", ["granian-wsgi-4", "granian-asgi-4"])
    def test_granian_as_its_workers_begin(
        self, start: Starter, port: int, server: str
    ) -> None:
        """Natively a stop at the first answer hangs: 12 of 12 (wsgi), 10 of 12."""
        env = start.environment({"web": config(server, port)})

        for _ in range(12):
            assert not stopped(start, env, Candidate.wait_until_ready, 0, port)
        for _ in range(4):
            assert not stopped(start, env, Candidate.listens)


@pytest.mark.parametrize(
    ("server", "args"),
    [
        ("gunicorn", {"threads": 8}),
        ("uvicorn", {}),
        ("uvicorn-2", {}),
        ("granian-wsgi", {"blocking-threads": 8}),
        ("granian-asgi", {}),
        ("waitress", {}),
    ],
)
def test_idle_connections_do_not_hold_up_the_stop(
    start: Starter, port: int, server: str, args: dict[str, Any]
) -> None:
    web = start.web(config(server, port, args), port=port)
    clients = [http.client.HTTPConnection("127.0.0.1", port) for _ in range(4)]
    for client in clients:
        client.request("GET", "/about")
        client.getresponse().read()
    signalled = time.monotonic()
    assert web.stop() in STOPPED
    assert time.monotonic() - signalled < 4
    for client in clients:
        client.close()
