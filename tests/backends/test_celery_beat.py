"""Celery's scheduler, which sends tasks and runs none."""

from __future__ import annotations

import json
import time
from typing import Any

import pytest

from tests.backends.contract import MAX_AGE
from tests.backends.sites import NO, YES, Broker, ProbedProcess, entry, log_records
from tests.conftest import Starter
from tests.harness import SCRIPT
from tests.harness import lines as lines_of

pytestmark = pytest.mark.process

APP = {"APP": "proj.celery.app", "HEALTH": {"MAX_AGE": MAX_AGE}}


def config(**keys: Any) -> dict[str, Any]:
    return entry("celery.CeleryBeat", APP, keys)


def test_sends_tasks_logs_and_stops(start: Starter, redis_url: str) -> None:
    """Beat enqueues a task every half second, until SIGTERM."""
    from redis import Redis

    beat = start.worker(
        config(
            LOG_FORMAT="json",
            GRACEFUL_TIMEOUT=20,
            ARGS={"schedule": str(start.data / "schedule")},
        ),
        via=SCRIPT,
        TEST_REDIS_URL=redis_url,
    )
    with Redis.from_url(redis_url) as client:
        beat.until(lambda: int(client.llen("celery")) >= 2, "two tasks sent")
        task = json.loads(client.lrange("celery", 0, 0)[0])
    assert task["headers"]["task"] == "proj.jobs.celery_tasks.mark"
    beat.says("proj.jobs.celery_tasks.mark")
    # Well before the deadline of GRACEFUL_TIMEOUT.
    assert beat.stop(seconds=60) == 0
    assert log_records(beat)


def test_probe_tells_beat_and_worker_apart(start: Starter, broker: Broker) -> None:
    """Either can be down alone; without a broker, beat is live but not ready."""
    worker_config = entry("celery.CeleryWorker", APP, {"CONCURRENCY": 1})
    worker = ProbedProcess(
        start, start.worker(worker_config, TEST_REDIS_URL=broker.url)
    )
    environment = start.environment(
        {"beat": config(ARGS={"schedule": str(start.data / "schedule")})},
        TEST_REDIS_URL=broker.url,
    )
    process = start.process([*SCRIPT, "beat"], environment)
    beat = ProbedProcess(start, process, "beat")
    beat.wait_for_readiness(YES, "is ready")
    worker.wait_for_readiness(YES, "is ready")
    broker.kill()
    beat.wait_for_readiness(NO, "no connection to the broker")
    time.sleep(MAX_AGE + 1)
    # And live: asked until it is, as a heartbeat can be late on a busy machine.
    beat.wait_for_readiness(NO, "no connection to the broker")
    broker.start()
    beat.wait_for_readiness(YES, "is ready")
    worker.wait_for_readiness(YES, "is ready", seconds=120)
    process.process.kill()
    process.exits()
    beat.wait_until_not_live("is not running")
    worker.wait_for_readiness(YES, "is ready")


def test_custom_scheduler(start: Starter, broker: Broker) -> None:
    """A scheduler that sleeps for minutes is live, and one that hangs is not."""
    sleepy = config(ARGS={"scheduler": "proj.schedulers.Sleepy"})

    def probed(hurry: bool) -> ProbedProcess:
        settings = {"HURRY": hurry}
        env: dict[str, Any] = {"settings": settings, "TEST_REDIS_URL": broker.url}
        return ProbedProcess(start, start.worker(sleepy, **env))

    beat = probed(hurry=False)
    beat.wait_for_readiness(YES, "is ready")
    time.sleep(MAX_AGE + 1)
    beat.wait_for_readiness(YES, "is ready")
    assert lines_of(start.data / "ticks") == ["tick"]
    assert beat.worker.stop() == 0

    (start.data / "hang").touch()
    probed(hurry=True).wait_until_not_live("is not live: last heartbeat")


def test_redbeat_waits_as_a_standby(start: Starter, redis_url: str) -> None:
    """It has a lock of its own; a rolling update must not wait for its end."""
    settings = {
        "CELERY_REDBEAT_REDIS_URL": redis_url,
        "CELERY_BEAT_MAX_LOOP_INTERVAL": 1,  # it is asked for its lock as often
        "CELERY_REDBEAT_LOCK_TIMEOUT": 60,  # not 5 times that: no machine is too busy
    }
    app = {"APP": "proj.celery.app", "ARGS": {"scheduler": "redbeat.RedBeatScheduler"}}
    processes = {name: entry("celery.CeleryBeat", app) for name in ("old", "new")}
    environment = start.environment(processes, settings, TEST_REDIS_URL=redis_url)
    old = ProbedProcess(start, start.process([*SCRIPT, "old"], environment), "old")
    old.wait_for_readiness(YES, "is ready")
    new = ProbedProcess(start, start.process([*SCRIPT, "new"], environment), "new")
    new.wait_for_readiness(YES, "it is standby")
    assert old.worker.stop() == 0
    new.wait_for_readiness(YES, "is ready")
    assert new.worker.stop() == 0
