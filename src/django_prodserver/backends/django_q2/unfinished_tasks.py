"""What a Django-Q2 cluster has taken from its broker, and not finished."""

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


class Ledger:
    """
    A file a task, in memory: some brokers forget a task as they hand it out.

    It is named after the task, and then also after the process that works on it.
    Children of the process that made the ledger write to it too.
    """

    def __init__(self) -> None:
        context = Context.from_environment()
        folder = (
            Path(context.state_file).parent if context and context.state_file else None
        )
        self._folder = Path(tempfile.mkdtemp(prefix=".tasks-", dir=folder))

    def add(self, task: dict[str, Any]) -> None:
        # Where there is no room the cluster works on, as natively.
        with contextlib.suppress(OSError):
            (self._folder / task["id"]).write_text(SignedPackage.dumps(task))

    def begin(self, task: dict[str, Any]) -> None:
        with contextlib.suppress(OSError):
            file = self._folder / task["id"]
            file.rename(file.with_suffix(f".{os.getpid()}"))

    def end(self, task: dict[str, Any]) -> None:
        with contextlib.suppress(OSError):
            (self._folder / f"{task['id']}.{os.getpid()}").unlink()

    def unfinished(self, workers: Collection[int]) -> Iterator[dict[str, Any]]:
        """
        Yield the tasks that nobody has begun, or one of these processes has.

        Not those of one that ended long ago: a task may have ended it.
        """
        for file in sorted(self._folder.iterdir()):
            worker = file.suffix.removeprefix(".")
            if not worker or int(worker) in workers:
                yield SignedPackage.loads(file.read_text())
                file.unlink()

    def remove(self) -> None:
        shutil.rmtree(self._folder, ignore_errors=True)
