"""The tasks that a worker has taken from its broker."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from django_prodserver.backends.unfinished_tasks import UnfinishedTasks
from django_prodserver.config.context import VARIABLE, Context

#: A worker that is killed while it has a task.
KILLED = """
import os, signal
from django_prodserver.backends.unfinished_tasks import UnfinishedTasks
UnfinishedTasks().add("1", b"the arguments")
os.kill(os.getpid(), signal.SIGKILL)
"""


@pytest.fixture
def runtime(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The runtime directory."""
    state_file = tmp_path / "worker.state"
    monkeypatch.setenv(VARIABLE, Context(state_file=str(state_file)).encode())
    return tmp_path


def test_tasks_that_have_not_begun_are_taken(runtime: Path) -> None:
    tasks = UnfinishedTasks()
    for id in ("1", "2", "3"):
        tasks.add(id, id.encode())
    tasks.begin("1")
    tasks.begin("2")
    tasks.end("2")
    assert list(tasks.take([])) == [b"3"]
    assert list(tasks.take([os.getpid()])) == [b"1"]
    assert list(tasks.take([os.getpid()])) == []
    tasks.remove()
    assert not [*runtime.iterdir()]


def test_the_next_worker_removes_those_of_one_that_was_killed(runtime: Path) -> None:
    """Their files have the arguments of tasks."""
    other = UnfinishedTasks()
    subprocess.run([sys.executable, "-c", KILLED], check=False)
    assert len([*runtime.glob(".tasks-*")]) == 2
    own = UnfinishedTasks()
    assert len([*runtime.glob(".tasks-*")]) == 2, "of this process: both"
    for tasks in (other, own):
        tasks.remove()
    assert not [*runtime.iterdir()]
