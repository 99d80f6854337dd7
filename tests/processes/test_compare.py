"""``prodserver --compare``: real servers, and a real load generator."""

from __future__ import annotations

import contextlib
import json
import shutil
import signal
from typing import Any

import psutil
import pytest

from django_prodserver.commands.compare.load_tools import TOOLS
from tests import harness
from tests.conftest import Starter
from tests.harness import MANAGE, MODULE, Running, has_ended
from tests.servers import BACKENDS, config

pytestmark = pytest.mark.process
loaded = pytest.mark.skipif(
    not any(shutil.which(tool.name) for tool in TOOLS),
    reason="no load generator; make test installs wrk",
)
CELERY = {"BACKEND": f"{BACKENDS}.celery.CeleryWorker", "APP": "proj.celery.app"}
TASKS = {"BACKEND": f"{BACKENDS}.django_tasks.DjangoTasksWorker"}
ON_DATABASE = {
    "TASKS": {"default": {"BACKEND": "django_tasks_db.DatabaseBackend", "QUEUES": []}}
}
SHORT = ("--rounds=1", "--seconds=1", "--connections=2")


def left(data: str) -> list[psutil.Process]:
    """Return what is left of a comparison: each server has its own session."""
    found = []
    for process in psutil.process_iter():
        with contextlib.suppress(psutil.Error):
            ours = process.environ().get("TEST_DATA") == data
            if ours and not has_ended(process):
                found.append(process)
    return found


def compare(start: Starter, *words: str, via: Any = MANAGE, **keys: Any) -> Any:
    # Another process has the configured address, the probe's port and PORT.
    backend = f"{BACKENDS}.gunicorn.GunicornServer"
    processes = {"web": {"BACKEND": backend, "BIND": "127.0.0.1:1", **keys}}
    environment = start.environment(processes, PRODSERVER_PROBE_PORT="1", PORT="1")
    return harness.running([*via, "web", "--compare", *words], env=environment)


@loaded
def test_two_servers(start: Starter, tmp_path) -> None:
    svg = tmp_path / "compare.svg"
    words = ["/first", "--servers=gunicorn,waitress", *SHORT]
    done = compare(start, *words, "--format=json", f"--plot={svg}")
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    names = [server["name"] for server in found["servers"]]
    assert names == ["GunicornServer (now)", "WaitressServer"]
    for server in found["servers"]:
        assert server["pages"]["/first"]["requests_per_second"]["median"] > 0
        assert server["pages"]["/first"]["errors"] == 0
        assert server["memory_mib"]["median"] > 5
        assert server["first_answer_seconds"]["median"] > 0
    assert found["advice"]
    assert "round 1/1: WaitressServer" in done.stderr
    assert svg.read_text().startswith("<svg")
    assert left(str(start.data)) == []
    # The probe's file of a process that runs here is not touched.
    assert not list(start.data.glob("**/web*"))


@loaded
@pytest.mark.parametrize(
    ("via", "path", "message"),
    [
        (MANAGE, "/none", "/none returns 404, on GunicornServer (now)."),
        (MODULE, "/failing", "/failing returns 500, on GunicornServer (now)."),
    ],
    ids=["manage", "module"],
)
def test_a_page_that_fails_is_told_before_anything_is_measured(
    start: Starter, via, path, message
) -> None:
    done = compare(start, path, "--servers=gunicorn", *SHORT, via=via)
    assert done.returncode == 2
    assert message in done.stderr
    assert left(str(start.data)) == []


@loaded
def test_a_server_that_does_not_start(start: Starter) -> None:
    done = compare(start, "--servers=gunicorn", *SHORT, ENV={"TEST_SETTINGS": "{"})
    assert done.returncode == 69
    assert "No server could be measured. it exited with code" in done.stderr


@loaded
@pytest.mark.parametrize(
    ("signum", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)]
)
def test_an_interruption_ends_everything(start: Starter, signum, code) -> None:
    environment = start.environment({"web": config("gunicorn-2", 1)})
    words = [*MANAGE, "web", "--compare", "/about", "--rounds=50", "--seconds=50"]
    running: Running = start.process(words, environment)
    running.says("round 1/50")
    data = str(start.data)
    # The server's parent with its workers, and the load generator beside it.
    running.until(lambda: len(left(data)) > 3, "a server at work")
    assert running.stop(signum) == code
    harness.wait_for(lambda: left(data) == [], "nothing left", 30)
    assert "interrupted" in running.output
    assert "Nothing was measured" in running.output


@pytest.mark.parametrize("queue", ["celery", "tasks"])
def test_a_worker(start: Starter, redis_url: str, queue) -> None:
    """Of Django Tasks two processes are compared: each does one task at a time."""
    start.migrate()
    config, task, what = {
        "celery": (CELERY, "proj.jobs.celery_tasks.tick", "concurrency 2"),
        "tasks": (TASKS, "proj.jobs.tasks.tick", "processes: 2"),
    }[queue]
    # A task of the project's own queue stays where it is.
    start.enqueue(queue, "real", TEST_REDIS_URL=redis_url)
    words = [*MANAGE, "worker", "--compare", "--concurrency=2", f"--task={task}"]
    environment = start.environment(
        {"worker": config}, ON_DATABASE, TEST_REDIS_URL=redis_url
    )
    running: Running = start.process([*words, *SHORT[:2], "--format=json"], environment)
    assert running.exits(300) == 0, running.output
    output = running.output
    found = json.loads(output[output.index("\n{") :])
    [row] = found["workers"]
    assert row["name"] == what
    [measured] = row["tasks"].values()
    assert measured["tasks_per_second"]["median"] > 0
    assert measured["errors"] == 0
    assert row["lost_at_stop"] >= 0
    assert start.marks("real") == (0, 0)
    assert left(str(start.data)) == []


def test_a_task_that_does_not_exist(start: Starter) -> None:
    words = [*MANAGE, "worker", "--compare", "--task=proj.jobs.celery_tasks.tock"]
    done = harness.running(words, env=start.environment({"worker": CELERY}))
    assert done.returncode == 2
    assert "There is no Celery task 'proj.jobs.celery_tasks.tock'" in done.stderr
    assert "Did you mean 'proj.jobs.celery_tasks.tick'?" in done.stderr
