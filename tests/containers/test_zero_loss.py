"""Replicas are stopped and replaced under load: no request and no task is lost."""

from __future__ import annotations

import json
from concurrent.futures import ThreadPoolExecutor
from functools import partial

import pytest

from tests.conftest import Row
from tests.containers.harness import PORT, WEB, WORKERS, Container, Containers
from tests.containers.proxy import Load, Proxy

pytestmark = pytest.mark.container

#: Seconds for what takes some twenty on a machine that does nothing else.
PATIENCE = 400
#: Who may do a task again that was begun as the stop came. Celery tells Redis that
#: it has begun one when its main process hears of it, and a stop can be first.
AT_LEAST_ONCE = ("worker", "qcluster")
TABLE = "Requests served, and tasks done, while replicas are stopped"
DRAIN = {
    "DRAIN_DELAY": "3",
    "TEST_SETTINGS": json.dumps(
        {"MIDDLEWARE": ["django_prodserver.health.middleware.HealthMiddleware"]}
    ),
}


@pytest.mark.parametrize("server", WEB)
def test_no_request_is_lost(server: str, containers: Containers, row: Row) -> None:
    """Each of two replicas is stopped three times, and another takes its place."""
    with Proxy() as proxy, ThreadPoolExecutor() as threads:

        def start() -> tuple[Container, str]:
            container = containers.process(server, ports=[PORT], env=DRAIN)
            name = str(container.docker.name)
            port = int(container.testcontainer.get_exposed_port(PORT))
            replica = proxy.add(name, port)
            container.until(lambda: replica.is_ready, "ready")
            return container, name

        replicas = list(threads.map(lambda _: start(), range(2)))
        with Load(proxy.port) as load:
            for _ in range(3):
                for index, (container, name) in enumerate(replicas):
                    load.more(30)
                    # As Kubernetes replaces a pod: the next starts meanwhile.
                    following = threads.submit(start)
                    assert container.stop().code == 0
                    proxy.forget(name)
                    replicas[index] = following.result()
            load.more(30)
    assert load.failures == []
    row(TABLE, process=server, stops=6, served=load.served, lost=0, twice=0)


@pytest.mark.parametrize("worker", WORKERS)
def test_no_task_is_lost(worker: str, containers: Containers, row: Row) -> None:
    """Of 200 tasks each is done, though all workers are restarted three times."""
    site = containers.site()
    names = [f"task-{number}" for number in range(200)]
    site.enqueue(WORKERS[worker], *names, seconds=0.2)
    # Two tasks at a time: of one worker, or of two that have one each.
    replicas = [site.start(worker) for _ in range(2 if worker == "db_worker" else 1)]

    def done() -> int:
        return sum(site.marks(name)[1] > 0 for name in names)

    def at_least(count: int) -> bool:
        return done() >= count

    for count in (20, 70, 120):
        replicas[0].until(partial(at_least, count), f"{count} tasks", PATIENCE)
        assert done() < len(names), "in the middle"
        for replica in replicas:
            replica.restart()
    replicas[0].until(partial(at_least, len(names)), "all tasks", PATIENCE)
    marks = [site.marks(name) for name in names]
    assert [(began, ended) for began, ended in marks if began != ended] == []
    twice = sum(ended > 1 for _, ended in marks)
    # Two are worked on when a stop comes.
    assert twice <= (6 if worker in AT_LEAST_ONCE else 0)
    stops = 3 * len(replicas)
    row(TABLE, process=worker, stops=stops, served=200, lost=0, twice=twice)
