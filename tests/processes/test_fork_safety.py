"""What a fork would break is loaded by each worker, as with the native command."""

from __future__ import annotations

from typing import Any

import psutil
import pytest

from tests.conftest import Starter
from tests.harness import MODULE, Web, lines, wait_for
from tests.servers import config

pytestmark = pytest.mark.process


def serve(start: Starter, port: int, made: str) -> Web:
    env: dict[str, Any] = {
        "TEST_APPS": '["proj.unforkable.UnforkableConfig"]',
        "settings": {"MADE": made},
        "via": MODULE,
    }
    return start.web(config("gunicorn-2", port), port=port, **env)


def children(pid: int, count: int) -> list[psutil.Process]:
    """Return the children of a process, once there are so many."""

    def look() -> list[psutil.Process]:
        found = psutil.Process(pid).children()
        return found if len(found) == count else []

    return wait_for(look, f"{count} children")


@pytest.mark.parametrize(
    ("made", "named"),
    [
        ("native thread", "the application has started a thread outside Python ("),
        ("process", "the application has started a process (python"),
        ("pool", "the application has started "),
        ("lock", "the application has made a multiprocessing lock, queue or pool"),
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
    for worker in children(web.process.pid, 2):
        children(worker.pid, 1)
    everything = psutil.Process(web.process.pid).children(recursive=True)
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
    assert second in [worker.pid for worker in children(web.process.pid, 2)]
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
