"""Log Django-Q2's tasks, in the processes that run them and in the monitor."""

from __future__ import annotations

from typing import Any

from django_q import signals

from django_prodserver.logs import context, tasks


def install() -> None:
    """Connect to Django-Q2's signals."""
    signals.pre_execute.connect(_begin, weak=False)
    signals.post_execute_in_worker.connect(tasks.forget, weak=False)
    signals.post_execute.connect(_note_result, weak=False)


def _begin(task: dict[str, Any], **kwargs: Any) -> None:
    tasks.begin(task["id"], _name(task["func"]), task.get("cluster"))


def _note_result(task: dict[str, Any], **kwargs: Any) -> None:
    # This runs in the monitor, which logs one line per finished task.
    finished = context.Task(task["id"], _name(task["func"]), task.get("cluster"))
    runtime = (task["stopped"] - task["started"]).total_seconds()
    finished.end("success" if task["success"] else "failure", runtime)
    finished.for_one_line = True
    context.task.set(finished)


def _name(function: Any) -> str:
    if isinstance(function, str):
        return function
    return f"{function.__module__}.{function.__qualname__}"
