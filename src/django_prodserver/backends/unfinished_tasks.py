"""Record the tasks that a worker has taken from its broker."""

from __future__ import annotations

import contextlib
import os
import shutil
import tempfile
from collections.abc import Collection, Iterator
from hashlib import sha256
from pathlib import Path

from django_prodserver.config.context import Context
from django_prodserver.health.state import State

_PREFIX = ".tasks-"
# In the directory: the process that has created it.
_OWNER = "owner"


class UnfinishedTasks:
    """
    Store unfinished tasks, because some brokers forget a task once it is taken.

    They are files in a directory, one per task. A file is named after the task and,
    once the task runs, also after the process that runs it. The children of the
    process that created the directory write to it too.
    """

    def __init__(self) -> None:
        context = Context.from_environment()
        parent = None
        if context and context.state_file:
            parent = Path(context.state_file).parent
        self._directory = Path(tempfile.mkdtemp(prefix=_PREFIX, dir=parent))
        with contextlib.suppress(OSError):
            (self._directory / _OWNER).write_text(State("tasks", "worker").identity())
        _remove_those_of_killed_workers(self._directory.parent)

    def add(self, id: str, task: bytes) -> None:
        """Add a task that has been taken from the broker."""
        # If the disk is full, the worker works without this record.
        with contextlib.suppress(OSError):
            self._file(id).write_bytes(task)

    def begin(self, id: str) -> None:
        """Note that this process runs the task."""
        with contextlib.suppress(OSError):
            file = self._file(id)
            file.rename(file.with_suffix(f".{os.getpid()}"))

    def end(self, id: str) -> None:
        """Remove a task that this process has finished."""
        with contextlib.suppress(OSError):
            self._file(id).with_suffix(f".{os.getpid()}").unlink()

    def take(self, workers: Collection[int]) -> Iterator[bytes]:
        """
        Yield and remove the tasks that have not started, or run in these processes.

        The task of a process that ended long ago is left out: it may have crashed the
        process.
        """
        for file in sorted(self._directory.iterdir()):
            worker = file.suffix.removeprefix(".")
            if file.name == _OWNER:
                continue
            if not worker or int(worker) in workers:
                yield file.read_bytes()
                file.unlink()

    def remove(self) -> None:
        """Remove the directory."""
        shutil.rmtree(self._directory, ignore_errors=True)

    def _file(self, id: str) -> Path:
        # An ID may be any text.
        return self._directory / sha256(id.encode()).hexdigest()


def _remove_those_of_killed_workers(parent: Path) -> None:
    """Remove the directories of workers that were killed before they could."""
    for directory in parent.glob(f"{_PREFIX}*"):
        # Another user's, or one that is just being created, is left alone.
        with contextlib.suppress(OSError, ValueError):
            pid, start, namespace = (directory / _OWNER).read_text().split("/", 2)
            owner = State(
                "tasks", "worker", pid=int(pid), start=start, namespace=namespace
            )
            if owner.condition() == "gone":
                shutil.rmtree(directory, ignore_errors=True)
