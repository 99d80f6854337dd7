"""The workers of Django Tasks."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from django.conf import settings

from django_prodserver.backends.django_command import ManagementBackend
from django_prodserver.backends.django_tasks.db_worker.command import DatabaseWorker
from django_prodserver.backends.django_tasks.other_workers import (
    DjQueueWorker,
    OxWorker,
    SteadyQueueWorker,
)
from django_prodserver.backends.django_tasks.rqworker import RQWorker
from django_prodserver.backends.django_tasks.worker_command import WorkerCommand
from django_prodserver.backends.introspection import OptionFile, option_table
from django_prodserver.config.argv import render, value_of
from django_prodserver.config.keys import Resolved, Translation, Unsupported

if TYPE_CHECKING:
    from django_prodserver.backends.task_load import TaskLoad

# db_worker's option for the entry of TASKS selects any of the workers.
_OPTIONS = DatabaseWorker.option_file
#: The worker for each package that BACKEND in TASKS can name; others use db_worker.
_WORKERS: Mapping[str, type[WorkerCommand]] = {
    "django_tasks_rq": RQWorker,
    **{each.package: each for each in (OxWorker, DjQueueWorker, SteadyQueueWorker)},
}


class DjangoTasksWorker(ManagementBackend):
    """
    Run the worker of the task backend in ``TASKS``, such as django-tasks-db's.

    ``"ARGS": {"backend": "reports"}`` selects the entry of ``TASKS``, as with
    django-tasks-db's own command. Without it, the entry is ``default``.
    """

    title = "Django Tasks"
    extra = "django-tasks"
    server_loggers = (
        *("django_tasks_db", "django_tasks", "rq"),
        *("django_ox", "dj_queue", "steady_queue"),
    )

    def __init__(self, **config: Any) -> None:
        self.worker = _worker_command(
            render(config.get("ARGS", {}), option_table(_OPTIONS))
        )
        super().__init__(**config)

    def add_overrides(self, overrides: Sequence[str]) -> None:
        self.worker = _worker_command([*self.written, *overrides])
        super().add_overrides(overrides)

    @property
    def option_file(self) -> OptionFile | None:  # type: ignore[override]
        return self.worker.option_file

    @property
    def package(self) -> str:  # type: ignore[override]
        return self.worker.package

    @property
    def requirement(self) -> str:
        return self.worker.requirement or super().requirement

    @property
    def keys(self) -> Mapping[str, Translation]:  # type: ignore[override]
        return {
            **super().keys,
            "GRACEFUL_TIMEOUT": "",
            "CONCURRENCY": Unsupported(
                "it runs one task at a time; start more processes"
            ),
            "SINGLETON": Unsupported("workers share their queues; start only one"),
            **self.worker.keys,
        }

    @property
    def management_command(self) -> str:
        return self.worker.name

    def windows_obstacle(self) -> str:
        return self.worker.windows_obstacle

    def default_options(self) -> Mapping[str, Resolved]:
        return self.worker.defaults

    def native_args(self) -> object:
        return self.worker.native_args(super().native_args())

    def command(self, args: Sequence[str]) -> list[str]:
        return super().command(self.worker.words(args, self._queues()))

    def heartbeat_max_age(self, args: Sequence[str]) -> float:
        return self.worker.heartbeat_max_age(args, self.option_table)

    def install_heartbeat(self) -> None:
        self.worker.install_heartbeat()

    def install_shutdown_deadline(self, seconds: float) -> None:
        self.worker.install_shutdown_deadline(seconds)

    def install_task_log(self) -> None:
        from django_prodserver.backends.django_tasks import task_log

        task_log.install()
        self.worker.install_task_log()

    @property
    def has_broker(self) -> bool:
        return self.worker.has_broker

    def broker_kind(self) -> str:
        # The one of its workers that has a broker is RQ's.
        return "redis" if self.has_broker else ""

    def broker(self) -> Callable[[], object]:
        return self.worker.broker(self._queues())

    def task_load(self, args: Sequence[str]) -> TaskLoad | None:
        if not isinstance(self.worker, DatabaseWorker):
            return None
        from django_prodserver.backends.django_tasks.task_load import DatabaseTaskLoad

        return DatabaseTaskLoad(self.option("backend", args) or "default")

    def _queues(self) -> Sequence[str]:
        return tuple(self.resolve("QUEUES").value or ())


def _worker_command(words: Sequence[str]) -> WorkerCommand:
    """Return the worker command for the entry of ``TASKS`` that the options select."""
    alias = value_of("backend", words, option_table(_OPTIONS)) or "default"
    entry = getattr(settings, "TASKS", {}).get(alias, {})
    package = str(entry.get("BACKEND", "")).partition(".")[0]
    return _WORKERS.get(package, DatabaseWorker)(entry)
