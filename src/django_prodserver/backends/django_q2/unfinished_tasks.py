"""Record the tasks that a Django-Q2 cluster has taken from its broker."""

from __future__ import annotations

import contextlib
import os
import shutil
import tempfile
from collections.abc import Collection, Iterator
from pathlib import Path
from typing import Any

from django_q.signing import SignedPackage

from django_prodserver.config.context import Context


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
        self._directory = Path(tempfile.mkdtemp(prefix=".tasks-", dir=parent))

    def add(self, task: dict[str, Any]) -> None:
        """Add a task that has been taken from the broker."""
        # If the disk is full, the cluster works as it does on its own.
        with contextlib.suppress(OSError):
            (self._directory / task["id"]).write_text(SignedPackage.dumps(task))

    def begin(self, task: dict[str, Any]) -> None:
        """Note that this process runs the task."""
        with contextlib.suppress(OSError):
            file = self._directory / task["id"]
            file.rename(file.with_suffix(f".{os.getpid()}"))

    def end(self, task: dict[str, Any]) -> None:
        """Remove a task that this process has finished."""
        with contextlib.suppress(OSError):
            (self._directory / f"{task['id']}.{os.getpid()}").unlink()

    def take(self, workers: Collection[int]) -> Iterator[dict[str, Any]]:
        """
        Yield and remove the tasks that have not begun, or run in these processes.

        The task of a process that ended long ago is left out: it may have crashed the
        process.
        """
        for file in sorted(self._directory.iterdir()):
            worker = file.suffix.removeprefix(".")
            if not worker or int(worker) in workers:
                yield SignedPackage.loads(file.read_text())
                file.unlink()

    def remove(self) -> None:
        """Remove the directory."""
        shutil.rmtree(self._directory, ignore_errors=True)
