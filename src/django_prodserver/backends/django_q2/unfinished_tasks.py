"""The tasks that a Django-Q2 cluster has taken from its broker and not finished."""

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
    A directory with one file per task: some brokers forget a task once it is taken.

    The file is named after the task, and once it is running, also after the process
    that runs it. The children of the process that made the directory write to it too.
    """

    def __init__(self) -> None:
        context = Context.from_environment()
        parent = None
        if context and context.state_file:
            parent = Path(context.state_file).parent
        self._directory = Path(tempfile.mkdtemp(prefix=".tasks-", dir=parent))

    def add(self, task: dict[str, Any]) -> None:
        # Without room for the file, the cluster works as it does without us.
        with contextlib.suppress(OSError):
            (self._directory / task["id"]).write_text(SignedPackage.dumps(task))

    def begin(self, task: dict[str, Any]) -> None:
        with contextlib.suppress(OSError):
            file = self._directory / task["id"]
            file.rename(file.with_suffix(f".{os.getpid()}"))

    def end(self, task: dict[str, Any]) -> None:
        with contextlib.suppress(OSError):
            (self._directory / f"{task['id']}.{os.getpid()}").unlink()

    def take(self, workers: Collection[int]) -> Iterator[dict[str, Any]]:
        """
        Yield, and remove, the tasks that have not begun or run in these processes.

        Not the task of a process that ended long ago: that task may have ended it.
        """
        for file in sorted(self._directory.iterdir()):
            worker = file.suffix.removeprefix(".")
            if not worker or int(worker) in workers:
                yield SignedPackage.loads(file.read_text())
                file.unlink()

    def remove(self) -> None:
        """Remove the directory."""
        shutil.rmtree(self._directory, ignore_errors=True)
