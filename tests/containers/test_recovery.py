"""
A service is restarted under a worker: the worker goes on, and no task is lost.

Nothing starts a worker again, so one that exits fails the test at once. Celery's is
the exception: version 5.7 exits with 1 if Redis goes away while it works, also when
it is started without us, and needs a platform that restarts what has failed.
"""

from __future__ import annotations

import json

import pytest

from tests.containers.harness import WORKERS, Containers, Databases, Site

pytestmark = pytest.mark.container

#: What a worker has taken and not acknowledged is another's after that time. It is an
#: hour by default, and has to be longer than the longest task.
VISIBILITY = {"CELERY_BROKER_TRANSPORT_OPTIONS": {"visibility_timeout": 20}}
#: Celery's: kombu looks for such tasks when it has connected, and then each 100 s.
RECOVERY = 300
#: Not "always": a worker that exits with 0 has not failed, and stays down.
RESTART = {"worker": {"restart_policy": {"Name": "on-failure"}}}
BEFORE = [f"before-{number}" for number in range(6)]
AFTER = ["after-0", "after-1"]


def _all_done(site: Site, *names: str) -> bool:
    return all(site.marks(name)[1] for name in names)


@pytest.mark.parametrize("name", ["worker", "qcluster"])
def test_redis_is_restarted(name: str, containers: Containers) -> None:
    site = containers.site({"TEST_SETTINGS": json.dumps(VISIBILITY)})
    worker = site.start(name, **RESTART.get(name, {}))
    site.enqueue(WORKERS[name], *BEFORE, seconds=1)
    worker.until(lambda: site.marks(BEFORE[0])[0], "the first task begun")
    if name == "worker":
        # kombu takes a task with BRPOP and notes it afterwards: one that Redis has
        # handed out in the moment it ends is on no list, natively too.
        worker.until(lambda: worker.log.count(" received ") >= len(BEFORE), "all taken")
    site.redis.restart().ready("redis-cli", "ping")
    site.enqueue(WORKERS[name], *AFTER)
    worker.until(lambda: _all_done(site, *BEFORE, *AFTER), "every task done", RECOVERY)
    assert worker.stop().code == 0


def test_postgres_is_restarted(containers: Containers) -> None:
    databases = Databases(containers)
    site = containers.site(databases.create())
    worker = site.start("db_worker")
    site.enqueue("tasks", *BEFORE, seconds=1)
    worker.until(lambda: site.marks(BEFORE[0])[0], "the first task begun")
    databases.server.restart().ready("pg_isready", "--quiet", "--host=127.0.0.1")
    site.enqueue("tasks", *AFTER)
    worker.until(lambda: _all_done(site, *BEFORE, *AFTER), "every task done", RECOVERY)
    assert worker.stop().code == 0
