"""Log Django's tasks, by the signals that both workers send."""

from __future__ import annotations

from importlib import import_module
from importlib.util import find_spec
from typing import Any

from django.conf import settings

from django_prodserver.logs import tasks


def install() -> None:
    """Connect to the signals of every task package that is in use."""
    for package in _packages():
        signals = import_module(f"{package}.signals")
        # Both must run before the package's own receivers, which log a line.
        _connect_first(signals.task_started, _begin)
        _connect_first(signals.task_finished, _end)
        signals.task_finished.connect(tasks.forget, weak=False)


def _packages() -> list[str]:
    """Return Django's own package (since 6.0), and the backport if it is used."""
    own, backport = "django.tasks", "django_tasks"
    if find_spec(own) is None:
        return [backport] if find_spec(backport) else []
    # RQ's worker uses the backport on every Django. Import it only if it is used,
    # because it imports all of the admin.
    backends = [each.get("BACKEND", "") for each in settings.TASKS.values()]
    is_used = any(
        name.startswith(("django_tasks.", "django_tasks_rq.")) for name in backends
    )
    return [own, backport] if is_used else [own]


def _connect_first(signal: Any, receiver: Any) -> None:
    """Connect a receiver that runs before the others."""
    signal.connect(receiver, weak=False)
    signal.receivers.insert(0, signal.receivers.pop())
    signal.sender_receivers_cache.clear()


def _begin(task_result: Any, **kwargs: Any) -> None:
    task = task_result.task
    tasks.begin(task_result.id, task.module_path, task.queue_name)


def _end(task_result: Any, **kwargs: Any) -> None:
    is_success = str(task_result.status) == "SUCCESSFUL"
    tasks.end("success" if is_success else "failure")
