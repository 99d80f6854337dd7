"""RQ's worker, as django-rq starts it."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import ClassVar

from django.conf import settings

from django_prodserver.backends.django_command import ManagementBackend
from django_prodserver.backends.rq import rqworker
from django_prodserver.config.argv import groups
from django_prodserver.config.keys import Translation, Unsupported
from django_prodserver.exceptions import ConfigurationError, Fault
from django_prodserver.text import did_you_mean, safe_repr


class RQWorker(ManagementBackend):
    """
    Run jobs from the queues in the setting ``RQ_QUEUES``.

    ``"ARGS": {"with-scheduler": True}`` also moves scheduled jobs to their queues.
    """

    title = "RQ"
    package = rqworker.PACKAGE
    extra = "rq"
    server_loggers = ("rq",)
    option_file = rqworker.OPTIONS
    management_command = rqworker.COMMAND
    keys: ClassVar[Mapping[str, Translation]] = {
        **ManagementBackend.keys,
        "CONCURRENCY": Unsupported("it runs one job at a time; start more processes"),
        "SINGLETON": Unsupported("workers share their queues; start only one"),
        # The queues are arguments of the command, not an option.
        "QUEUES": lambda backend, queues: {},
        "MAX_TASKS": "max-jobs",
        "GRACEFUL_TIMEOUT": "",
    }
    has_broker = True

    def command(self, args: Sequence[str]) -> list[str]:
        return super().command([*args, *self._queues(args)])

    def check(self) -> Iterator[ConfigurationError]:
        yield from super().check()
        known = getattr(settings, "RQ_QUEUES", None) or {}
        for name in self.resolve("QUEUES").value or ():
            if name not in known:
                message = f"QUEUES has {safe_repr(name)}, which is not in RQ_QUEUES."
                names = ", ".join(known) or "none"
                hint = did_you_mean(name, known) or f"RQ_QUEUES has {names}."
                yield ConfigurationError(Fault.BAD_VALUE, message, hint)

    def windows_obstacle(self) -> str:
        return rqworker.WINDOWS_OBSTACLE

    def heartbeat_max_age(self, args: Sequence[str]) -> float:
        return rqworker.HEARTBEAT_MAX_AGE

    def install_heartbeat(self) -> None:
        from django_prodserver.backends.rq import heartbeat

        heartbeat.install_heartbeat()

    def install_shutdown_deadline(self, seconds: float) -> None:
        from django_prodserver.backends.rq import shutdown

        shutdown.install_shutdown_deadline(seconds)

    def install_task_log(self) -> None:
        from django_prodserver.backends.rq import task_log

        task_log.install()

    def broker_kind(self) -> str:
        return "redis"

    def broker(self) -> Callable[[], object]:
        return rqworker.broker(self._queues(self.args))

    def _queues(self, args: Sequence[str]) -> Sequence[str]:
        """Return the value of ``QUEUES``, unless the options name queues."""
        names_queues = any(name is None for name, _ in groups(args, self.option_table))
        return () if names_queues else tuple(self.resolve("QUEUES").value or ())
