"""Send Celery's tasks for ``--compare``."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from django_prodserver.backends.task_load import (
    QUEUE,
    TaskLoad,
    check_arguments,
    host_of,
)
from django_prodserver.exceptions import UsageError
from django_prodserver.text import did_you_mean


class CeleryTaskLoad(TaskLoad):
    """
    Tasks of a Celery app, by their names.

    Args:
        app: The app.
    """

    # Two workers of one name would answer each other's remote control.
    words = (f"--hostname={QUEUE}@%h",)

    def __init__(self, app: Any) -> None:
        self.app = app
        self.task = ""

    def hosts(self) -> Iterable[str]:
        # As Celery's connection reads it, but without importing the transport.
        given = self.app.conf.broker_write_url or "amqp://"
        urls = given.split(";") if isinstance(given, str) else given
        return [host_of(url) for url in urls]

    def select(self, task: str) -> None:
        self.app.loader.import_default_modules()
        self.app.finalize(auto=True)
        if task not in self.app.tasks:
            known = [name for name in self.app.tasks if not name.startswith("celery.")]
            message = f"There is no Celery task {task!r}."
            hint = did_you_mean(task, known) or f"There are: {', '.join(sorted(known))}"
            raise UsageError(message, hint)
        check_arguments(task, self.app.tasks[task].run)
        self.task = task

    def send(self, number: int) -> None:
        with self.app.producer_or_acquire() as producer:
            for _ in range(number):
                self.app.send_task(
                    self.task, queue=QUEUE, producer=producer, ignore_result=True
                )

    def clear(self) -> None:
        with self.app.connection_for_write() as connection:
            queue = self.app.amqp.queues.select_add(QUEUE)
            queue(connection.default_channel).purge()
