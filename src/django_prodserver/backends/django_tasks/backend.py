"""The workers of Django Tasks."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from django.conf import settings

from django_prodserver.backends.django_command import ManagementBackend
from django_prodserver.config.argv import value_of
from django_prodserver.config.keys import Resolved, Translation, Unsupported


class DjangoTasksWorker(ManagementBackend):
    """
    Run the worker of the backend in ``TASKS``: django-tasks-db's or -rq's.

    Which entry of ``TASKS`` is said as to django-tasks-db's own command,
    ``"ARGS": {"backend": "reports"}``, and is ``default`` otherwise.
    """

    extra = "django-tasks"
    defaults = {
        "no-reload": Resolved(
            True,
            "natively it reloads while DEBUG is on, in a process that no stop waits "
            'for; "devserver" is for that',
        )
    }

    def __init__(self, **config: Any) -> None:
        entries = getattr(settings, "TASKS", {})
        args = config.get("ARGS")
        alias = args.get("backend", "default") if isinstance(args, dict) else "default"
        # What is no text is no name either, and ARGS is told so further on.
        named = isinstance(alias, str)
        self.entry: dict[str, Any] = entries.get(alias, {}) if named else {}
        backend = str(self.entry.get("BACKEND", ""))
        self.on_rq = backend.startswith("django_tasks_rq.")
        super().__init__(**config)

    @property
    def table(self) -> str:  # type: ignore[override]
        return "rqworker" if self.on_rq else "db_worker"

    @property
    def package(self) -> str:  # type: ignore[override]
        return "django_rq" if self.on_rq else "django_tasks_db"

    @property
    def keys(self) -> Mapping[str, Translation]:  # type: ignore[override]
        """What the keys become; QUEUES are no option of rqworker's."""
        own: dict[str, Translation] = {"QUEUES": "queue-name", "MAX_TASKS": "max-tasks"}
        if self.on_rq:
            own = {"QUEUES": "", "MAX_TASKS": "max-jobs"}
        alone = Unsupported("one task at a time; start more of it")
        shared = {**super().keys, "GRACEFUL_TIMEOUT": ""}
        return {**shared, "CONCURRENCY": alone, **own}

    @property
    def requirement(self) -> str:
        return "django-tasks-rq" if self.on_rq else super().requirement

    @property
    def management_command(self) -> str:
        return self.table

    def native_args(self) -> object:
        given = super().native_args()
        if self.on_rq and isinstance(given, dict):
            return {name: value for name, value in given.items() if name != "backend"}
        return given

    def given_elsewhere(self, option: str) -> bool:
        return self.on_rq

    def heartbeat_max_age(self, args: Sequence[str]) -> float:
        if self.on_rq:
            return 30  # it goes round each 5 s
        # It polls as often as --interval says, each second by default. What may
        # hold it up is the database.
        try:
            return 30 + float(value_of("interval", args, self.option_table) or 0)
        except ValueError:
            return 30  # and it does not start

    def install_heartbeat(self) -> None:
        if self.on_rq:
            from django_prodserver.backends.django_tasks import rqworker_heartbeat

            rqworker_heartbeat.install_heartbeat()
        else:
            from django_prodserver.backends.django_tasks import db_worker_heartbeat

            db_worker_heartbeat.install_heartbeat()

    def command(self, args: Sequence[str]) -> list[str]:
        if not self.on_rq:
            return super().command(args)
        # Tasks are jobs of a class of their own, on the queues of the entry.
        job = "--job-class=django_tasks_rq.backend.Job"
        rest = [word for word in args if not word.startswith("--backend=")]
        return [*super().command([job, *rest]), *self._queues()]

    def install_shutdown_deadline(self, seconds: float) -> None:
        if self.on_rq:
            from django_prodserver.backends.django_tasks import rqworker_shutdown

            rqworker_shutdown.install_shutdown_deadline(seconds)
        else:
            from django_prodserver.backends.django_tasks import db_worker_shutdown

            db_worker_shutdown.install_shutdown_deadline(seconds)

    @property
    def has_broker(self) -> bool:
        return self.on_rq

    def broker(self) -> Callable[[], object]:
        from django_rq import get_connection

        queues = self._queues() or ("default",)
        connections = [get_connection(queue) for queue in queues]
        return lambda: [connection.ping() for connection in connections]

    def _queues(self) -> Sequence[str]:
        found = self.resolve("QUEUES").value or self.entry.get("QUEUES")
        return tuple(found or getattr(settings, "RQ_QUEUES", None) or ())
