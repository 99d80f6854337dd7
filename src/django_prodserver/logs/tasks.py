"""The task that a worker runs, for the lines logged during it."""

from __future__ import annotations

from typing import Any

from django_prodserver.logs import context


def begin(id: object, name: str, queue: object = None) -> None:
    """Record that a task has started in this process."""
    context.task.set(context.Task(id, name, queue))


def end(state: str) -> None:
    """Record how the task ended, before the worker logs it."""
    if task := context.task.get():
        task.end(state)


def forget(**kwargs: Any) -> None:
    """Forget the task; a receiver for the signal after the last line."""
    context.task.set(None)
