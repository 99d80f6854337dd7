"""
The workers of other packages: a management command for a path in ``TASKS``.

Each is only a declaration. The package itself decides how tasks are logged, and what
happens to an unfinished task.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from typing import Any, ClassVar

from django.utils.module_loading import import_string

from django_prodserver.backends.django_tasks.worker_command import WorkerCommand
from django_prodserver.config.argv import OptionTable, value_of
from django_prodserver.config.keys import Unsupported
from django_prodserver.health.heartbeat import beat


class OtherWorker(WorkerCommand):
    """Run a command whose loop calls one method on each turn."""

    #: The method that the loop of the started process calls on each turn.
    loop: ClassVar[str]
    windows_obstacle = "it has not been tested there"

    def heartbeat_max_age(self, args: Sequence[str], table: OptionTable) -> float:
        # Each turn may be delayed by the database, and --interval is between two.
        try:
            return 30 + float(value_of("interval", args, table) or 0)
        except ValueError:
            return 30  # the command itself rejects such a value

    def install_heartbeat(self) -> None:
        path, _, name = self.loop.rpartition(".")
        owner = import_string(path)
        turn = getattr(owner, name)

        def beat_and_turn(*args: Any, **kwargs: Any) -> Any:
            beat("ready")
            return turn(*args, **kwargs)

        # Patches django-ox, checked with 1.9: the loop has no hook.
        # Patches dj-queue, checked with 0.14: the same.
        # Patches steady-queue, checked with 0.3: the same.
        setattr(owner, name, beat_and_turn)

    def install_task_log(self) -> None:
        # A command that finds a handler does not add its own, with its own format.
        logging.getLogger(self.package).addHandler(logging.NullHandler())

    def install_shutdown_deadline(self, seconds: float) -> None:
        from django_prodserver.backends.long_running import shutdown

        shutdown.install_shutdown_deadline(seconds)


class OxWorker(OtherWorker):
    """Run the tasks of django-ox."""

    name = "ox_worker"
    package = "django_ox"
    requirement = "django-ox"
    loop = "django_ox.worker.Worker._beat"
    keys = {
        "CONCURRENCY": "concurrency",
        "QUEUES": lambda backend, queues: {"queues": ",".join(queues)},
        "MAX_TASKS": "max-tasks",
    }


class DjQueueWorker(OtherWorker):
    """Run the tasks of dj-queue, by its supervisor."""

    name = "dj_queue"
    package = "dj_queue"
    requirement = "dj-queue"
    loop = "dj_queue.runtime.supervisor.Supervisor.poll_once"
    keys = dict.fromkeys(
        ("CONCURRENCY", "QUEUES", "MAX_TASKS"),
        Unsupported("configure its workers in the OPTIONS of TASKS"),
    )


class SteadyQueueWorker(OtherWorker):
    """Run the tasks of steady-queue, by its supervisor."""

    name = "steady_queue"
    package = "steady_queue"
    requirement = "steady-queue"
    has_backend_option = False
    loop = "steady_queue.processes.supervisor.Supervisor.set_procline"
    keys = dict.fromkeys(
        ("CONCURRENCY", "QUEUES", "MAX_TASKS"),
        Unsupported("configure its workers in the setting STEADY_QUEUE"),
    )
