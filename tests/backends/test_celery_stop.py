"""Each way to stop Celery's worker: by a signal, for all its processes, remotely."""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import signal
import termios
import time
from array import array
from collections.abc import Callable
from itertools import product
from pathlib import Path
from typing import Any

import pytest

from tests.backends.contract import GRACE
from tests.backends.sites import HOLD, NO, ProbedProcess, WorkerSite, matching
from tests.conftest import Starter
from tests.harness import BIN, Running, children

pytestmark = pytest.mark.process

CONFIG = {
    "BACKEND": "django_prodserver.backends.celery.CeleryWorker",
    "APP": "proj.celery.app",
    "CONCURRENCY": 1,
}
POOLS: dict[str, dict[str, Any]] = {
    "prefork": {},
    "threads": {"ARGS": {"pool": "threads"}},
    "gevent": {"ARGS": {"pool": "gevent"}},
    "solo": {"ARGS": {"pool": "solo"}},
}
#: Longer than a test takes.
LONG = 600


@pytest.fixture
def site(start: Starter, redis_url: str) -> WorkerSite:
    return WorkerSite(start, redis_url, CONFIG, {}, "celery-late")


def control(site: WorkerSite, *words: str) -> None:
    """Start "celery control" for the workers of the test project."""
    command = [str(BIN / "celery"), "-q", "-A", "proj.celery", "control", *words]
    # Not to its end: it waits for an answer, which a worker that stops does not send.
    site.start.process(command, site.start.environment(**site.env))


def in_queue(site: WorkerSite) -> list[str]:
    """Return the names of the tasks that wait in the queue."""
    from redis import Redis

    with Redis.from_url(site.env["TEST_REDIS_URL"]) as client:
        messages = client.lrange("celery", 0, -1)
    return [json.loads(each)["headers"]["argsrepr"].split("'")[1] for each in messages]


def unread_bytes(pid: int) -> int:
    """Return how many bytes wait in the pipes of a process, besides standard ones."""
    count = 0
    for link in Path(f"/proc/{pid}/fd").iterdir():
        if int(link.name) > 2 and str(link.readlink()).startswith("pipe:"):
            with contextlib.suppress(OSError):  # it has just been closed
                pipe = os.open(link, os.O_RDONLY | os.O_NONBLOCK)
                count += array("i", fcntl.ioctl(pipe, termios.FIONREAD, bytes(4)))[0]
                os.close(pipe)
    return count


class TestGroup:
    """A signal to the worker and to all its children, as a terminal or Heroku sends."""

    @pytest.mark.parametrize(
        ("signum", "code"),
        [(signal.SIGTERM, 0), (signal.SIGINT, 1)],
        ids=["TERM", "INT"],
    )
    def test_running_task_is_finished(
        self, site: WorkerSite, signum: int, code: int
    ) -> None:
        worker = site.start_worker(GRACEFUL_TIMEOUT=LONG)
        site.start_held_tasks(worker, "long")
        worker.signal_all(signum)
        # At once again, as timeout(1) does: for Celery, a second SIGINT is a cold stop.
        worker.process.send_signal(signum)
        worker.says("Warm shutdown")
        if signum == signal.SIGTERM:
            worker.signal_all(signum)
        site.release_tasks()
        assert worker.exits() == code, worker.output
        assert site.marks("long") == [(1, 1)]
        assert "WorkerLostError" not in worker.output
        assert in_queue(site) == []

    def test_cold_stop_returns_the_task(self, site: WorkerSite) -> None:
        worker = site.start_worker(GRACEFUL_TIMEOUT=LONG)
        site.start_held_tasks(worker, "long")
        worker.signal_all(signal.SIGQUIT)
        worker.exits()
        assert site.marks("long") == [(1, 0)]
        assert in_queue(site) == ["long"]

    @pytest.mark.parametrize("limit", [0, 3])
    def test_task_that_a_child_has_not_confirmed(
        self, site: WorkerSite, limit: int
    ) -> None:
        """Celery forgets it, so that it would run twice, and without its limit."""
        args = {"time-limit": limit} if limit else {}
        worker = site.start_worker(GRACEFUL_TIMEOUT=LONG, ARGS=args)
        worker.says(" ready.")
        (child,) = children(worker.process.pid)
        child.suspend()
        site.enqueue("long", seconds=HOLD)
        worker.until(lambda: unread_bytes(child.pid), "the task is sent")
        sent = unread_bytes(child.pid)
        worker.process.terminate()
        # Once its consumer is closed, Celery tells the child to exit after the task.
        worker.until(lambda: unread_bytes(child.pid) > sent, "the consumer is closed")
        child.resume()
        site.wait_until_begun(worker, "long")
        if limit:
            worker.says("Hard time limit (3.0s) exceeded")
        else:
            site.release_tasks()
        assert worker.exits() == 0
        assert site.marks("long") == [(1, 0 if limit else 1)]
        assert in_queue(site) == []

    def test_sighup_restarts_after_the_task(self, site: WorkerSite) -> None:
        worker = site.start_worker(GRACEFUL_TIMEOUT=1)
        site.start_held_tasks(worker, "long")
        worker.signal_all(signal.SIGHUP)
        worker.says("Restarting celery worker")
        ProbedProcess(site.start, worker).wait_for_readiness(NO, "is draining")
        time.sleep(2)  # longer than GRACEFUL_TIMEOUT, which is not for a restart
        site.release_tasks()
        worker.until(lambda: worker.output.count(" ready.") == 2, "ready again")
        assert site.marks("long") == [(1, 1)]

    def test_deadline_ends_the_task(self, site: WorkerSite) -> None:
        worker = site.start_worker(GRACEFUL_TIMEOUT=GRACE)
        site.start_held_tasks(worker, "long")
        worker.signal_all(signal.SIGTERM)
        assert worker.exits() == 1
        assert site.marks("long") == [(1, 0)]
        assert in_queue(site) == ["long"]


class TestChild:
    """What ends a child of the pool natively still does."""

    def test_revoked_task_is_terminated(self, site: WorkerSite) -> None:
        worker = site.start_worker(GRACEFUL_TIMEOUT=LONG, LOG_FORMAT="json")
        site.start_held_tasks(worker, "long")
        worker.says("working on long")
        complete = worker.output.rpartition("\n")[0].splitlines()
        records = [json.loads(text) for text in complete]
        (started,) = matching(records, message="working on long")
        control(site, "terminate", "SIGTERM", started["task_id"])
        self.check_next_task(site, worker)
        assert "WorkerLostError" not in worker.output

    def test_time_limit_during_a_stop(self, site: WorkerSite) -> None:
        worker = site.start_worker(GRACEFUL_TIMEOUT=LONG, ARGS={"time-limit": 3})
        site.start_held_tasks(worker, "long")
        worker.signal_all(signal.SIGTERM)
        worker.says("Hard time limit (3.0s) exceeded")
        assert worker.exits() == 0
        assert site.marks("long") == [(1, 0)]

    def test_signal_to_the_child_alone(self, site: WorkerSite) -> None:
        worker = site.start_worker(GRACEFUL_TIMEOUT=LONG)
        site.start_held_tasks(worker, "long")
        (child,) = children(worker.process.pid)
        child.send_signal(signal.SIGTERM)
        worker.says("WorkerLostError")
        self.check_next_task(site, worker)

    def check_next_task(self, site: WorkerSite, worker: Running) -> None:
        """Check that another child works, and that the first task has been ended."""
        site.enqueue("next")
        site.wait_until_done(worker, "next")
        assert site.marks("long") == [(1, 0)]
        assert worker.stop() == 0


class TestColdStop:
    """A stop that is not SIGTERM: at once "draining", and over in time."""

    #: What Celery's documentation gives for Kubernetes, but much too long.
    settings = {"CELERY_WORKER_SOFT_SHUTDOWN_TIMEOUT": LONG}

    @pytest.mark.parametrize(
        ("pool", "how"),
        # During a task, the pool "solo" hears of no remote shutdown.
        [
            *product(POOLS, ["QUIT"]),
            *product(["prefork", "threads", "gevent"], ["remote"]),
        ],
    )
    def test_unfinished_task_returns_in_time(
        self, site: WorkerSite, pool: str, how: str
    ) -> None:
        def stop(worker: Running) -> None:
            if how == "QUIT":
                worker.process.send_signal(signal.SIGQUIT)
            else:
                control(site, "shutdown")

        self.check_stop(site, stop, **POOLS[pool])

    def test_remap_sigterm(self, site: WorkerSite) -> None:
        site.env["REMAP_SIGTERM"] = "SIGQUIT"
        self.check_stop(site, lambda worker: worker.process.terminate())

    def check_stop(
        self, site: WorkerSite, stop: Callable[[Running], None], **keys: Any
    ) -> None:
        """Check that the worker drains, exits, and has returned its task."""
        site.env["settings"] = self.settings
        # Long enough to see that it is draining, on a busy machine too.
        worker = site.start_worker(GRACEFUL_TIMEOUT=12, **keys)
        site.start_held_tasks(worker, "long")
        probed = ProbedProcess(site.start, worker)
        stop(worker)
        probed.wait_for_readiness(NO, "is draining")
        assert worker.exits() == 1
        assert "not finished " in worker.output
        assert site.marks("long") == [(1, 0)]
        assert in_queue(site) == ["long"]

    @pytest.mark.parametrize("pool", POOLS)
    def test_backlog_returns_with_the_task(self, site: WorkerSite, pool: str) -> None:
        """A full pool of gevent blocks what hands the next task over."""
        worker = site.start_worker(GRACEFUL_TIMEOUT=LONG, **POOLS[pool])
        site.start_held_tasks(worker, "long")
        site.enqueue("next", "last")
        if pool != "solo":  # which receives nothing while it works
            worker.until(lambda: worker.output.count(" received") >= 2, "the next one")
        worker.process.send_signal(signal.SIGQUIT)
        assert worker.exits() == 1
        assert site.marks("long", "next", "last") == [(1, 0), (0, 0), (0, 0)]
        assert sorted(in_queue(site)) == ["last", "long", "next"]

    @pytest.mark.parametrize("pool", POOLS)
    def test_soft_timeout(self, site: WorkerSite, pool: str) -> None:
        """The shorter one of it and GRACEFUL_TIMEOUT counts."""
        site.env["settings"] = {"CELERY_WORKER_SOFT_SHUTDOWN_TIMEOUT": GRACE}
        worker = site.start_worker(GRACEFUL_TIMEOUT=LONG, **POOLS[pool])
        site.start_held_tasks(worker, "long")
        signalled = time.monotonic()
        worker.process.send_signal(signal.SIGQUIT)
        worker.exits()
        assert time.monotonic() - signalled > GRACE - 0.5
        assert site.marks("long") == [(1, 0)]
        assert in_queue(site) == ["long"]
