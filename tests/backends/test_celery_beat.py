"""Celery's scheduler, which has no tasks of its own to finish."""

from __future__ import annotations

import json
import time
from typing import Any

import pytest

from tests.backends.contract import MAX_AGE
from tests.backends.sites import NO, YES, Broker, Watched, entry, lines
from tests.conftest import Starter
from tests.harness import SCRIPT
from tests.harness import lines as lines_of

pytestmark = pytest.mark.process

APP = {"APP": "proj.celery.app", "HEALTH": {"MAX_AGE": MAX_AGE}}


def config(**keys: Any) -> dict[str, Any]:
    return entry("celery.CeleryBeat", APP, keys)


def test_it_sends_logs_and_stops(start: Starter, redis_url: str) -> None:
    """A task is on the queue every half second, until SIGTERM."""
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
    # In time, so the deadline does not count.
    assert beat.stop(seconds=60) == 0
    assert lines(beat)


def test_it_is_dead_where_workers_are_alive(start: Starter, broker: Broker) -> None:
    """Not ready while its broker is away, and alive."""
    worker_config = entry("celery.CeleryWorker", APP, {"CONCURRENCY": 1})
    worker = Watched(start, start.worker(worker_config, TEST_REDIS_URL=broker.url))
    environment = start.environment(
        {"beat": config(ARGS={"schedule": str(start.data / "schedule")})},
        TEST_REDIS_URL=broker.url,
    )
    process = start.process([*SCRIPT, "beat"], environment)
    beat = Watched(start, process, "beat")
    beat.becomes(YES, "is ready")
    worker.becomes(YES, "is ready")
    broker.kill()
    beat.becomes(NO, "no connection to the broker")
    time.sleep(MAX_AGE + 1)
    assert beat.is_live()
    broker.start()
    beat.becomes(YES, "is ready")
    worker.becomes(YES, "is ready", seconds=120)
    process.process.kill()
    process.exits()
    beat.dies("is not running")
    worker.becomes(YES, "is ready")


def test_a_scheduler_of_the_users_own(start: Starter, broker: Broker) -> None:
    """It sleeps for minutes and is alive; it is not asked more often; it hangs."""
    sleepy = config(ARGS={"scheduler": "proj.schedulers.Sleepy"})

    def watched(hurry: bool) -> Watched:
        settings = {"HURRY": hurry}
        env: dict[str, Any] = {"settings": settings, "TEST_REDIS_URL": broker.url}
        return Watched(start, start.worker(sleepy, **env))

    beat = watched(hurry=False)
    beat.becomes(YES, "is ready")
    time.sleep(MAX_AGE + 1)
    beat.becomes(YES, "is ready")
    assert lines_of(start.data / "ticks") == ["tick"]
    assert beat.worker.stop() == 0

    (start.data / "hang").touch()
    watched(hurry=True).dies("is not alive: its last heartbeat is")
