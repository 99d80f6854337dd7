"""The command ``db_worker`` of django-tasks-db."""

from __future__ import annotations

from collections.abc import Sequence

from django_prodserver.backends.django_tasks.worker_command import WorkerCommand
from django_prodserver.backends.introspection import OptionFile
from django_prodserver.config.argv import OptionTable, value_of
from django_prodserver.config.keys import Resolved


class DatabaseWorker(WorkerCommand):
    """Run the tasks that are rows in the database."""

    name = "db_worker"
    package = "django_tasks_db"
    option_file = OptionFile(
        "django_prodserver.backends.django_tasks", "db_worker_options.json"
    )
    keys = {"QUEUES": "queue-name", "MAX_TASKS": "max-tasks"}
    defaults = {
        "no-reload": Resolved(
            True,
            "by default it reloads while DEBUG is True, in a process that no stop "
            'waits for; use "devserver" to reload',
        )
    }

    def heartbeat_max_age(self, args: Sequence[str], table: OptionTable) -> float:
        # It polls once per --interval, every second by default; 30 s more because the
        # database may delay it.
        try:
            return 30 + float(value_of("interval", args, table) or 0)
        except ValueError:
            return 30  # the command itself rejects such a value

    def install_heartbeat(self) -> None:
        from django_prodserver.backends.django_tasks.db_worker import worker

        worker.install_heartbeat()

    def install_shutdown_deadline(self, seconds: float) -> None:
        from django_prodserver.backends.django_tasks.db_worker import worker

        worker.install_shutdown_deadline(seconds)
