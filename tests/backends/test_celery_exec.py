"""Celery's worker and scheduler, started by exec or with a change of the user."""

from __future__ import annotations

import os
import shutil
import signal
import sys
from pathlib import Path
from typing import Any

import psutil
import pytest

from tests.backends.sites import NO, YES, ProbedProcess, WorkerSite
from tests.conftest import Starter
from tests.harness import MANAGE, PROJECT, children

pytestmark = pytest.mark.process

CELERY = "django_prodserver.backends.celery"
APP = {"APP": "proj.celery.app"}
WORKER = {"BACKEND": f"{CELERY}.CeleryWorker", **APP}
BEAT = {"BACKEND": f"{CELERY}.CeleryBeat", **APP}
STARTS: dict[str, dict[str, Any]] = {
    "preloaded": {},
    "exec": {"PRELOAD": False},
    "prefix": {"PREFIX": ["env", "TEST_PREFIX=1"]},
}
#: The user whom containers have for nobody.
NOBODY = 65534


@pytest.mark.skipif(not shutil.which("taskset"), reason="taskset is not installed")
@pytest.mark.parametrize("how", STARTS)
def test_concurrency_is_that_of_the_container(
    start: Starter, redis_url: str, how: str
) -> None:
    """One CPU of the machine; Celery itself takes all that the machine has."""
    cpu = str(min(os.sched_getaffinity(0)))
    config = {**WORKER, **STARTS[how], "GRACEFUL_TIMEOUT": 600}
    site = WorkerSite(start, redis_url, config, {}, "celery-late")
    worker = site.start_worker(via=("taskset", "-c", cpu, *MANAGE))
    probed = ProbedProcess(start, worker)
    probed.wait_for_readiness(YES, "is ready")
    assert len(children(worker.process.pid)) == 1
    site.start_held_tasks(worker, "long")
    worker.signal_all(signal.SIGTERM)
    probed.wait_for_readiness(NO, "is draining")
    site.release_tasks()
    assert worker.exits() == 0
    assert site.marks("long") == [(1, 1)]


def is_for_everyone(path: str) -> bool:
    """Tell whether every user can reach a path."""
    folders = (Path(path), *Path(path).parents)
    return all(folder.stat().st_mode & 0o001 for folder in folders)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can change the user")
@pytest.mark.skipif(
    not is_for_everyone(sys.base_prefix), reason="Python is not for every user"
)
@pytest.mark.parametrize("how", STARTS)
@pytest.mark.parametrize("name", ["worker", "beat"])
def test_another_user(
    short_folder: Path, tmp_path: Path, redis_url: str, name: str, how: str
) -> None:
    """It beats, drains and has a schedule as that user, who cannot write here."""
    short_folder.chmod(0o711)
    data = short_folder / "data"
    data.mkdir()
    data.chmod(0o777)
    start = Starter(data, tmp_path)
    config = BEAT if name == "beat" else {**WORKER, "CONCURRENCY": 1}
    config = {**config, **STARTS[how], "ARGS": {"uid": str(NOBODY)}}
    try:
        worker = start.worker(config, TEST_REDIS_URL=redis_url)
        ProbedProcess(start, worker).wait_for_readiness(YES, "is ready")
        assert psutil.Process(worker.process.pid).uids().effective == NOBODY
        assert worker.stop() == 0
    finally:
        start.end()


@pytest.mark.skipif(os.geteuid() == 0, reason="root can write anywhere")
@pytest.mark.parametrize("how", STARTS)
def test_schedule_in_a_read_only_directory(
    start: Starter, tmp_path: Path, redis_url: str, how: str
) -> None:
    folder = tmp_path / "read-only"
    folder.mkdir(mode=0o500)
    environment = start.environment(
        {"beat": {**BEAT, **STARTS[how]}},
        TEST_REDIS_URL=redis_url,
        PYTHONPATH=str(PROJECT),
    )
    argv = [MANAGE[0], "-m", "django_prodserver", "beat"]
    beat = start.process(argv, environment, cwd=folder)
    ProbedProcess(start, beat, "beat").wait_for_readiness(YES, "is ready")
    assert list(start.data.glob("celerybeat-schedule*"))
    assert beat.stop() == 0
