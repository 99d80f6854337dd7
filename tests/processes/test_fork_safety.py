"""What a fork would break is loaded by each worker, as with the native command."""

from __future__ import annotations

import json
import os
import signal
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import psutil
import pytest

from tests import postgres
from tests.conftest import Starter
from tests.harness import MODULE, Web, children, free_port, lines, wait_for
from tests.postgres import Postgres
from tests.processes.flavours import FLAVOURS
from tests.servers import config

pytestmark = pytest.mark.process


def serve(start: Starter, port: int, made: str) -> Web:
    env: dict[str, Any] = {
        "TEST_APPS": '["proj.unforkable.UnforkableConfig"]',
        "settings": {"MADE": made},
        "via": MODULE,
    }
    return start.web(config("gunicorn-2", port), port=port, **env)


def wait_for_children(pid: int, count: int) -> list[psutil.Process]:
    """Return the children of a process, once there are so many."""

    def look() -> list[psutil.Process]:
        found = children(pid)
        return found if len(found) == count else []

    return wait_for(look, f"{count} children")


@pytest.mark.parametrize(
    ("made", "named"),
    [
        ("native thread", "the application has started a thread outside Python ("),
        ("process", "the application has started a process (python"),
        ("pool", "the application has started "),
        ("lock", "the application has created a multiprocessing lock, queue or pool"),
    ],
)
def test_is_not_preloaded(start: Starter, port: int, made: str, named: str) -> None:
    web = serve(start, port, made)
    assert f"not preloading, because {named}" in web.output
    assert web.about()["frozen"] == 0
    assert web.stop() == 0


@pytest.mark.parametrize("made", ["process", "pool"])
def test_leaves_no_process_of_the_first_load(
    start: Starter, port: int, made: str
) -> None:
    """The server has two children, its workers, and each of them what it made."""
    web = serve(start, port, made)
    for worker in wait_for_children(web.process.pid, 2):
        wait_for_children(worker.pid, 1)
    everything = children(web.process.pid, recursive=True)
    assert len(everything) == 4
    assert web.stop() == 0


def test_runs_the_exit_functions_of_the_first_load(start: Starter, port: int) -> None:
    """Or its lock would stay, and no worker would lead."""
    web = serve(start, port, "leader")

    def look() -> list[str]:
        found = lines(start.data / "leaders")
        return found if len(found) == 2 else []

    first, second = map(int, wait_for(look, "a leader among the workers"))
    assert first == web.process.pid, "the preload that was given up"
    assert second in [worker.pid for worker in wait_for_children(web.process.pid, 2)]
    assert web.stop() == 0


@pytest.mark.parametrize("made", ["", "native thread"])
def test_a_sidecar_of_the_shell_is_left_alone(
    start: Starter, port: int, made: str
) -> None:
    """Preloaded or not: ``sidecar & exec prodserver web`` keeps its sidecar."""
    apps = '["proj.unforkable.UnforkableConfig"]' if made else "[]"
    env = start.environment(
        {"web": config("gunicorn-2", port)}, {"MADE": made}, TEST_APPS=apps
    )
    script = 'sleep 600 & echo $! > "$TEST_DATA/sidecar"; exec "$@"'
    web = start.process(["sh", "-c", script, "sh", *MODULE, "web"], env, kind=Web)
    web.port = port
    web.wait_until_ready()
    assert ("not preloading" in web.output) is bool(made)
    (sidecar,) = map(int, lines(start.data / "sidecar"))
    process = psutil.Process(sidecar)
    assert process.status() != psutil.STATUS_ZOMBIE
    assert process.ppid() == web.process.pid
    process.kill()
    assert web.stop() == 0


# Natively a URLconf is loaded by the first request; these are made by an app.
EARLY = ("handler_and_timer", "database_pool")


class Answers:
    """What each worker has answered, one value after the other."""

    def __init__(self, web: Web) -> None:
        self._web = web
        self._values: dict[int, list[object]] = {}

    def ask(self, count: int, pids: set[int]) -> None:
        """Send so many requests, and then until each of these workers has answered."""
        with ThreadPoolExecutor(4) as threads:

            def look() -> bool:
                answers = threads.map(self._web.get, ["/use"] * count)
                for answer in map(json.loads, answers):
                    values = self._values.setdefault(answer["pid"], [])
                    values.append(answer["value"])
                return pids <= set(self._values)

            wait_for(look, f"answers of {pids}")

    def kind(self) -> dict[str, object]:
        """Return what can be compared with another start's."""
        sets = [set(map(json.dumps, values)) for values in self._values.values()]
        everything = [value for values in self._values.values() for value in values]
        return {
            "a worker gives one value": all(len(values) == 1 for values in sets),
            "no two give the same": sum(map(len, sets)) == len(set().union(*sets)),
            "types": {type(value) for value in everything},
            "wrong": any(value in (False, None) for value in everything),
        }


def behaviour(web: Web) -> dict[str, object]:
    """Return how the workers answer, one of which is killed and replaced meanwhile."""
    answers = Answers(web)
    before = {worker.pid for worker in wait_for_children(web.process.pid, 2)}
    answers.ask(40, before)
    os.kill(min(before), signal.SIGTERM)

    def replaced() -> set[int]:
        now = {worker.pid for worker in children(web.process.pid)}
        return now if len(now - before) == 1 and min(before) not in now else set()

    answers.ask(10, wait_for(replaced, "another worker"))
    return answers.kind()


def serve_flavour(
    start: Starter, flavour: str, settings: dict[str, Any], **keys: Any
) -> Web:
    port = free_port()
    early = ["proj.flavoured.EarlyConfig"] if flavour in EARLY else []
    env: dict[str, Any] = {
        "settings": {"ROOT_URLCONF": "proj.flavoured", "FLAVOUR": flavour, **settings},
        "TEST_APPS": json.dumps(early),
        # A thread of numpy's library, however many cores there are.
        "OPENBLAS_NUM_THREADS": "2",
    }
    return start.web(config("gunicorn-2", port, **keys), port=port, **env)


#: What has no wheel for Python 3.15 yet, as in pyproject.toml.
NOT_ON_315 = ("kafka",)


def flavour_cases() -> list[Any]:
    """Return each flavour; one that cannot be installed is skipped."""
    missing = pytest.mark.skip(reason="no wheel for Python 3.15")
    skipped = NOT_ON_315 if sys.version_info >= (3, 15) else ()
    return [
        pytest.param(flavour, marks=[missing] if flavour in skipped else [])
        for flavour in FLAVOURS
    ]


@pytest.mark.slow
@pytest.mark.parametrize("flavour", flavour_cases())
def test_the_workers_answer_as_natively(
    start: Starter, redis_url: str, flavour: str
) -> None:
    settings = {"REDIS_URL": redis_url}
    web = serve_flavour(start, flavour, settings)
    reason = FLAVOURS[flavour].reason
    assert ("not preloading" in web.output) is bool(reason)
    assert reason in web.output
    seen = behaviour(web)
    web.stop()
    native = serve_flavour(start, flavour, settings, PRELOAD=False)
    assert behaviour(native) == seen
    native.stop()


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Postgres]:
    with postgres.started(tmp_path_factory.mktemp("postgres") / "log") as server:
        yield server


@pytest.mark.slow
def test_a_pool_of_database_connections_is_closed(
    start: Starter, server: Postgres
) -> None:
    """Before the checks of WAIT_FOR, which are children, and before the workers."""
    database = {**server.database("pool"), "OPTIONS": {"pool": True}}
    settings = {"DATABASES": {"default": database}}
    web = serve_flavour(start, "database_pool", settings, WAIT_FOR=["database"])
    assert "not preloading" not in web.output
    seen = behaviour(web)
    assert seen["no two give the same"], "each has its own connection"
    assert seen["types"] == {int}
    assert web.stop() == 0
