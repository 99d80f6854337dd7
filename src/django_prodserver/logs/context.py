"""The current request or task, whose id is in every log line about it."""

from __future__ import annotations

import os
import re
import time
from contextvars import ContextVar

#: The id of the current request.
request_id: ContextVar[str] = ContextVar("prodserver_request_id", default="")

# Short, without characters to escape: it is logged and sent back in a header.
_ID = re.compile(r"[A-Za-z0-9._:/+=@-]{1,128}", re.ASCII)


def id_for(given: str) -> str:
    """Return the ID in a request's header if it is usable; a new one if not."""
    return given if given and _ID.fullmatch(given) else os.urandom(16).hex()


class Task:
    """A task that is being executed."""

    __slots__ = ("fields", "for_one_line", "started")

    def __init__(self, id: object, name: str, queue: object = None) -> None:
        self.fields: dict[str, object] = {"task_id": str(id), "task": name}
        if queue:
            self.fields["queue"] = str(queue)
        self.fields["state"] = "started"
        self.started = time.monotonic()
        #: Whether only the next line is about it, because it ran in another process.
        self.for_one_line = False

    def end(self, state: str, runtime: float | None = None) -> None:
        """Record how it ended, for the worker's line about it."""
        took = time.monotonic() - self.started if runtime is None else runtime
        self.fields["state"] = state.lower()
        self.fields["runtime"] = round(took, 6)


#: The current task.
task: ContextVar[Task | None] = ContextVar("prodserver_task", default=None)
