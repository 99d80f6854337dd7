"""Send Django's tasks for ``--compare``, to the database."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from django.conf import settings
from django.db import connections
from django.utils.module_loading import import_string

from django_prodserver.backends.task_load import QUEUE, TaskLoad, check_arguments
from django_prodserver.exceptions import UsageError


class DatabaseTaskLoad(TaskLoad):
    """
    Tasks of django-tasks-db, by the dotted paths of their functions.

    Args:
        alias: The entry of ``TASKS``.
    """

    def __init__(self, alias: str) -> None:
        self.alias = alias
        self.task: Any = None

    def hosts(self) -> Iterable[str]:
        for connection in connections.all():
            if connection.vendor != "sqlite":
                yield str(connection.settings_dict.get("HOST") or "")

    def select(self, task: str) -> None:
        try:
            found: Any = import_string(task)
        except ImportError as error:
            message = f"There is no task {task!r}: {error}."
            hint = "Write its dotted path: --task shop.tasks.send_mail"
            raise UsageError(message, hint) from None
        if not hasattr(found, "using"):
            message = f"{task!r} is not a task."
            raise UsageError(message, "Decorate the function with @task.")
        queues = settings.TASKS[self.alias].get("QUEUES", ["default"])
        if queues and QUEUE not in queues:
            message = f"TASKS[{self.alias!r}] does not have the queue {QUEUE!r}."
            hint = f'Write "QUEUES": {[*queues, QUEUE]!r}, or [] for any queue.'
            raise UsageError(message, hint)
        check_arguments(task, found.func)
        self.task = found.using(queue_name=QUEUE, backend=self.alias)

    def send(self, number: int) -> None:
        from django.db import transaction

        # One transaction for all: on SQLite each would wait for the disk.
        with transaction.atomic():
            for _ in range(number):
                self.task.enqueue()

    def clear(self) -> None:
        from django_tasks_db.models import DBTaskResult

        DBTaskResult.objects.filter(queue_name=QUEUE).delete()
