"""Procrastinate, whose jobs are rows in PostgreSQL."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

from django.conf import settings

from django_prodserver.backends.django_command import ManagementBackend
from django_prodserver.backends.introspection import OptionFile
from django_prodserver.config.keys import Resolved, Translation, Unsupported


class ProcrastinateWorker(ManagementBackend):
    """Run Procrastinate's worker, which keeps jobs in PostgreSQL."""

    title = "Procrastinate"
    package = "procrastinate"
    app = "procrastinate.contrib.django"
    extra = "procrastinate"
    server_loggers = ("procrastinate",)
    option_file = OptionFile(__package__)
    abbreviates = False
    env_prefix = "PROCRASTINATE_WORKER_"
    management_command = "procrastinate"
    keys: ClassVar[Mapping[str, Translation]] = {
        **ManagementBackend.keys,
        "CONCURRENCY": "concurrency",
        "QUEUES": "queues",
        "MAX_TASKS": Unsupported("it is a single process, which is never replaced"),
        "GRACEFUL_TIMEOUT": "shutdown-graceful-timeout",
    }

    def command(self, args: Sequence[str]) -> list[str]:
        return super().command(["worker", *args])

    @property
    def native_name(self) -> str:
        return f"{super().native_name} worker"

    def resolve(self, key: str) -> Resolved:
        if key == "CONCURRENCY" and key not in self.config and _concurrency():
            return Resolved(None)
        return super().resolve(key)

    def written_value(self, key: str) -> object:
        value = super().written_value(key)
        return _concurrency() if key == "CONCURRENCY" and value is None else value

    def request_concurrency(self, args: Sequence[str]) -> int | None:
        number = self.option("concurrency", args)
        return int(number) if number.isdecimal() else 1

    def windows_obstacle(self) -> str:
        return "its worker receives no signals there"

    def heartbeat_max_age(self, args: Sequence[str]) -> float:
        return 30  # the event loop beats once a second

    def install_heartbeat(self) -> None:
        self._worker().has_heartbeat = True

    def install_shutdown_deadline(self, seconds: float) -> None:
        self._worker().graceful_timeout = seconds

    def install_task_log(self) -> None:
        self._worker().has_task_log = True

    def _worker(self) -> Any:
        """Return the class of the worker, which is installed from now on."""
        from django_prodserver.backends.procrastinate import worker

        return worker.install()


def _concurrency() -> object:
    """Return the project's default; None if it has none."""
    defaults: Any = getattr(settings, "PROCRASTINATE_WORKER_DEFAULTS", None)
    return (defaults or {}).get("concurrency")
