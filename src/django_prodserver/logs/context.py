"""What is being worked on: the request or the task, which every line of it names."""

from __future__ import annotations

import os
import re
import time
from contextvars import ContextVar

#: The id of the request that is being answered.
request_id: ContextVar[str] = ContextVar("prodserver_request_id", default="")

# What goes into a log and back into a header: short, and nothing to escape.
_ID = re.compile(r"[A-Za-z0-9._:/+=@-]{1,128}", re.ASCII)


def id_for(given: str) -> str:
    """Return the id that a request brings, or a new one if it brings none fit."""
    return given if given and _ID.fullmatch(given) else os.urandom(16).hex()


class Task:
    """A task that is being worked on."""

    __slots__ = ("began", "fields", "for_one_line")

    def __init__(self, id: object, name: str, queue: object = None) -> None:
        self.fields: dict[str, object] = {"task_id": str(id), "task": name}
        if queue:
            self.fields["queue"] = str(queue)
        self.fields["state"] = "started"
        self.began = time.monotonic()
        #: Whether it is told in one line, in a process that did not work on it.
        self.for_one_line = False

    def end(self, state: str, runtime: float | None = None) -> None:
        """Note how it ended, for the line that the worker writes of it."""
        took = time.monotonic() - self.began if runtime is None else runtime
        self.fields["state"] = state.lower()
        self.fields["runtime"] = round(took, 6)


#: The task that is being worked on.
task: ContextVar[Task | None] = ContextVar("prodserver_task", default=None)
