"""Every backend in the image, plain and hardened: comes up, works, stops, reaps."""

from __future__ import annotations

import json

import pytest
from proj.image_urls import ORPHANS

from tests.conftest import Row
from tests.containers.harness import WEB, WORKERS, Container, Containers, Site

pytestmark = pytest.mark.container

TABLE = "The image: docker stop with a 3 s request or task in flight"
#: The image's own check, and oftener, so that it does not take 10 s to be seen.
OFTEN = {"interval": 2_000_000_000}
#: Seconds; the work itself takes 3, and a stop that hangs ends after 25.
STOP = 20
hardenings = pytest.mark.parametrize("hardened", [False, True], ids=["plain", "hard"])


def _is_one_server_below_tini(container: Container) -> None:
    """PID 1 is tini, and the server is its only child."""
    processes = container.processes()
    assert (processes[0].pid, processes[0].command.split()[0]) == (1, "/usr/bin/tini")
    (server,) = [process for process in processes if process.ppid == 1]
    assert "python" in server.command
    assert "entrypoint" not in server.command


def _probes_say_yes(container: Container) -> None:
    ready, live = container.probe(), container.probe("--live")
    assert (ready.code, live.code) == (0, 0), f"{ready}, {live}"


def _orphans_are_reaped(container: Container) -> int:
    """Return how many zombies there are, once 200 orphans have ended."""
    before = len(container.processes())
    done = container.exec("python", "-c", ORPHANS)
    assert done.output.split() == ["200", "1"], done.output
    container.until(lambda: len(container.processes()) <= before, "orphans reaped")
    return sum(process.state == "Z" for process in container.processes())


@hardenings
@pytest.mark.parametrize("name", WEB)
def test_web(name: str, hardened: bool, containers: Containers, row: Row) -> None:
    web = containers.web(name, hardened=hardened, healthcheck=OFTEN)
    healthy = web.healthy()
    about = json.loads(web.get("/about"))
    assert about["asgi"] is name.endswith("asgi")
    _is_one_server_below_tini(web)
    _probes_say_yes(web)
    zombies = _orphans_are_reaped(web)
    assert zombies == 0
    request = web.in_flight("/slow?s=3")
    stopped = web.stop()
    assert request.result() == "slow done"
    assert stopped.code == 0
    assert stopped.took < STOP
    web.log_is_clean()
    row(
        TABLE,
        **{"backend": name, "container": "hardened" if hardened else "plain"},
        **{"healthy (s)": healthy, "in flight": "kept", "exit": stopped.code},
        **{"stop (s)": stopped.took, "zombies": zombies},
    )


@hardenings
@pytest.mark.parametrize("name", WORKERS)
def test_worker(name: str, hardened: bool, site: Site, row: Row) -> None:
    """Tasks are done; one in flight is finished; those behind it are the next one's."""
    queue = WORKERS[name]
    worker = site.start(name, hardened=hardened, healthcheck=OFTEN)
    healthy = worker.healthy()
    site.enqueue(queue, "first")
    worker.until(lambda: site.marks("first") == (1, 1), "the first task done")
    _is_one_server_below_tini(worker)
    _probes_say_yes(worker)
    zombies = _orphans_are_reaped(worker)
    assert zombies == 0
    site.enqueue(queue, "long", seconds=3)
    behind = [f"behind-{number}" for number in range(8)]
    site.enqueue(queue, *behind, seconds=1)
    worker.until(lambda: site.marks("long")[0], "the task begun")
    stopped = worker.stop()
    assert site.marks("long") == (1, 1)
    assert stopped.code == 0
    assert stopped.took < STOP
    worker.log_is_clean()
    again = site.start(name, hardened=hardened)
    again.until(lambda: all(site.marks(task)[1] for task in behind), "the tasks behind")
    # There may have been none. A signal that comes before tini does is lost.
    again.until(lambda: again.probe().code == 0, "it is ready")
    assert {task: site.marks(task) for task in behind} == dict.fromkeys(behind, (1, 1))
    assert again.stop().code == 0
    row(
        TABLE,
        **{"backend": name, "container": "hardened" if hardened else "plain"},
        **{"healthy (s)": healthy, "in flight": "kept", "exit": stopped.code},
        **{"stop (s)": stopped.took, "zombies": zombies},
    )


@hardenings
def test_beat(hardened: bool, site: Site, row: Row) -> None:
    beat = site.start("beat", hardened=hardened, healthcheck=OFTEN)

    def sent() -> int:
        return int(site.redis.exec("redis-cli", "llen", "celery").output)

    healthy = beat.healthy()
    beat.until(lambda: sent() >= 2, "two tasks sent")
    _is_one_server_below_tini(beat)
    _probes_say_yes(beat)
    zombies = _orphans_are_reaped(beat)
    assert zombies == 0
    stopped = beat.stop()
    assert stopped.code == 0
    assert stopped.took < STOP
    beat.log_is_clean()
    row(
        TABLE,
        **{"backend": "beat", "container": "hardened" if hardened else "plain"},
        **{"healthy (s)": healthy, "in flight": "-", "exit": stopped.code},
        **{"stop (s)": stopped.took, "zombies": zombies},
    )
