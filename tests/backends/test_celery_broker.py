"""Celery's worker and scheduler with brokers that are frozen, or partly down."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.backends.sites import NO, YES, Broker, ProbedProcess
from tests.conftest import Starter
from tests.harness import Running, free_port

pytestmark = pytest.mark.process

#: Seconds for which a heartbeat is valid: longer than a loaded machine delays one.
MAX_AGE = 6
CELERY = "django_prodserver.backends.celery"
APP = {"APP": "proj.celery.app", "HEALTH": {"MAX_AGE": MAX_AGE}}
WORKER = {"BACKEND": f"{CELERY}.CeleryWorker", "CONCURRENCY": 1, **APP}
PROCESSES: dict[str, dict[str, Any]] = {
    "prefork": WORKER,
    "gevent": {**WORKER, "ARGS": {"pool": "gevent"}},
    "solo": {**WORKER, "ARGS": {"pool": "solo"}},
    "beat": {"BACKEND": f"{CELERY}.CeleryBeat", **APP},
}


def config(start: Starter, name: str) -> dict[str, Any]:
    if name != "beat":
        return PROCESSES[name]
    return {**PROCESSES[name], "ARGS": {"schedule": str(start.data / "schedule")}}


@pytest.mark.parametrize("name", PROCESSES)
def test_frozen_broker(start: Starter, broker: Broker, name: str) -> None:
    """It accepts connections and answers nothing: live, and not ready."""
    worker = start.worker(config(start, name), TEST_REDIS_URL=broker.url)
    probed = ProbedProcess(start, worker)
    probed.wait_for_readiness(YES, "is ready")
    with broker.frozen():
        probed.wait_for_readiness(NO, "no answer from the broker")
        time.sleep(MAX_AGE + 2)
        # And live: asked until it is, as a heartbeat can be late on a busy machine.
        probed.wait_for_readiness(NO, "it is waiting: no answer from the broker")
    probed.wait_for_readiness(YES, "is ready")
    assert worker.stop() == 0


def test_stop_with_a_frozen_broker(start: Starter, broker: Broker) -> None:
    """GRACEFUL_TIMEOUT limits it."""
    frozen = {**WORKER, "GRACEFUL_TIMEOUT": 1}
    worker = start.worker(frozen, TEST_REDIS_URL=broker.url)
    probed = ProbedProcess(start, worker)
    probed.wait_for_readiness(YES, "is ready")
    with broker.frozen():
        probed.wait_for_readiness(NO, "no answer from the broker")
        assert worker.stop(seconds=30) == 1


class Failover:
    """URLs of brokers, of which only the last one works."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._servers: list[Running] = []

    def redis(self) -> dict[str, Any]:
        ports = (free_port(), free_port(), self._redis())
        urls = [f"redis://127.0.0.1:{port}/0" for port in ports]
        return {"CELERY_BROKER_URL": ";".join(urls)}

    def sentinel(self) -> dict[str, Any]:
        down, good, sentinel = free_port(), self._redis(), free_port()
        file = self._folder / "sentinel.conf"
        file.write_text(f"port {sentinel}\nsentinel monitor main 127.0.0.1 {good} 1\n")
        self._start("redis-server", str(file), "--sentinel").says("+monitor master")
        urls = [f"sentinel://127.0.0.1:{port}/0" for port in (down, sentinel)]
        return {
            "CELERY_BROKER_URL": ";".join(urls),
            "CELERY_BROKER_TRANSPORT_OPTIONS": {"master_name": "main"},
        }

    def kill(self) -> None:
        for server in self._servers:
            server.kill()

    def _redis(self) -> int:
        port = free_port()
        words = ("--port", str(port), "--bind", "127.0.0.1", "--save", "")
        self._start("redis-server", *words).says("Ready to accept connections")
        return port

    def _start(self, *argv: str) -> Running:
        log = self._folder / f"broker-{len(self._servers)}.log"
        self._servers.append(Running(argv, {}, log, self._folder))
        return self._servers[-1]


@pytest.fixture
def failover(tmp_path: Path) -> Iterator[Failover]:
    failover = Failover(tmp_path)
    yield failover
    failover.kill()


@pytest.mark.parametrize("brokers", [Failover.redis, Failover.sentinel])
@pytest.mark.parametrize("name", ["worker", "beat"])
def test_first_brokers_are_down(
    start: Starter,
    failover: Failover,
    brokers: Callable[[Failover], dict[str, Any]],
    name: str,
) -> None:
    """WAIT_FOR and the probe find the one that works, as Celery itself does."""
    # Nothing is due, so the scheduler itself connects to nothing.
    settings = {**brokers(failover), "CELERY_BEAT_SCHEDULE": {}}
    process = {**config(start, name if name == "beat" else "prefork")}
    process |= {"WAIT_FOR": ["broker"]}
    worker = start.worker(process, settings=settings)
    ProbedProcess(start, worker).wait_for_readiness(YES, "is ready")
    assert worker.stop() == 0
