"""The command ``rqworker`` of django-rq, for the tasks of django-tasks-rq."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from django.conf import settings

from django_prodserver.backends.django_tasks.worker_command import WorkerCommand
from django_prodserver.backends.rq import rqworker
from django_prodserver.config.argv import OptionTable


class RQWorker(WorkerCommand):
    """Run the tasks that are jobs of RQ."""

    name = rqworker.COMMAND
    package = rqworker.PACKAGE
    requirement = "django-tasks-rq"
    option_file = rqworker.OPTIONS
    has_backend_option = False
    # The queues are arguments of the command, not an option.
    keys = {"QUEUES": lambda backend, queues: {}, "MAX_TASKS": "max-jobs"}
    has_broker = True
    windows_obstacle = rqworker.WINDOWS_OBSTACLE

    def words(self, args: Sequence[str], queues: Sequence[str]) -> list[str]:
        # Tasks are jobs of a special class, on the queues of the entry of TASKS.
        job = "--job-class=django_tasks_rq.backend.Job"
        return [job, *super().words(args, queues), *self._queues(queues)]

    def heartbeat_max_age(self, args: Sequence[str], table: OptionTable) -> float:
        return rqworker.HEARTBEAT_MAX_AGE

    def install_heartbeat(self) -> None:
        from django_prodserver.backends.rq import heartbeat

        heartbeat.install_heartbeat()

    def install_shutdown_deadline(self, seconds: float) -> None:
        from django_prodserver.backends.rq import shutdown

        shutdown.install_shutdown_deadline(seconds)

    def broker(self, queues: Sequence[str]) -> Callable[[], object]:
        return rqworker.broker(self._queues(queues))

    def _queues(self, queues: Sequence[str]) -> Sequence[str]:
        """Return the queues' names, by default those of the entry of ``TASKS``."""
        return tuple(
            queues
            or self.entry.get("QUEUES")
            or getattr(settings, "RQ_QUEUES", None)
            or ()
        )
