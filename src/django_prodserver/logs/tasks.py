"""The task that a worker runs, for the lines that are logged meanwhile."""

from __future__ import annotations

from typing import Any

from django_prodserver.logs import context


def begin(id: object, name: str, queue: object = None) -> None:
    """Note that a task has begun in this process."""
    context.task.set(context.Task(id, name, queue))


def end(state: str) -> None:
    """Note how the task ended, before the worker logs it."""
    if task := context.task.get():
        task.end(state)


def forget(**kwargs: Any) -> None:
    """Forget the task: a receiver for the signal that follows the last line."""
    context.task.set(None)
