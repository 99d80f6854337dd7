"""Dramatiq, with django-dramatiq."""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping, Sequence
from io import StringIO
from typing import Any, ClassVar

from django.conf import settings

from django_prodserver.backends.django_command import ManagementBackend
from django_prodserver.backends.dramatiq.setup import Setup
from django_prodserver.backends.elsewhere import patches_first
from django_prodserver.backends.introspection import OptionFile
from django_prodserver.config.argv import value_of
from django_prodserver.config.keys import Translation, Unsupported


class DramatiqWorker(ManagementBackend):
    """
    Run Dramatiq's workers with the broker in ``DRAMATIQ_BROKER``.

    ``rundramatiq`` finds the modules with tasks, and then becomes Dramatiq's own
    command. Here, that runs in the same process.
    """

    title = "Dramatiq"
    package = "django_dramatiq"
    extra = "dramatiq"
    server_loggers = ("dramatiq",)
    option_file = OptionFile(__package__)
    management_command = "rundramatiq"
    has_broker = True
    keys: ClassVar[Mapping[str, Translation]] = {
        **ManagementBackend.keys,
        "CONCURRENCY": lambda backend, value: backend.concurrency_options(value),
        # Words behind one option, which is not repeated.
        "QUEUES": lambda backend, value: {},
        "MAX_TASKS": Unsupported("Dramatiq never replaces a worker process"),
        "GRACEFUL_TIMEOUT": lambda backend, value: {
            "worker-shutdown-timeout": value * 1000
        },
    }

    def __init__(self, **config: Any) -> None:
        super().__init__(**config)
        self.setup = Setup()

    def concurrency_options(self, value: int) -> Mapping[str, object]:
        # CONCURRENCY is exact. Without it, each process keeps Dramatiq's 8 threads.
        is_written = "CONCURRENCY" in self.config
        return {"processes": value, **({"threads": 1} if is_written else {})}

    def command(self, args: Sequence[str]) -> list[str]:
        words = super().command(args)
        queues = self.resolve("QUEUES").value
        if queues and not self.values("queues", args):
            words += ["--queues", *queues]
        return words

    def request_concurrency(self, args: Sequence[str]) -> int | None:
        threads = value_of("threads", args, self.option_table) or ""
        return int(threads) if threads.isdecimal() else 8

    def windows_obstacle(self) -> str:
        return "it stops its worker processes with signals that Windows lacks"

    def must_exec(self, args: Sequence[str]) -> str:
        if self.is_on("use-gevent", args):
            return patches_first("gevent")
        if self.forks(args):
            return ""
        return "Dramatiq starts its processes without forking"

    def forks(self, args: Sequence[str]) -> bool:
        return sys.version_info < (3, 14) and not self.is_on("use-spawn", args)

    def load(self, args: Sequence[str]) -> None:
        from django_dramatiq.management.commands import rundramatiq

        super().load(args)
        rundramatiq.Command(stdout=StringIO()).discover_tasks_modules()

    def prepare(self, args: Sequence[str]) -> str:
        self.setup.is_preloaded = True
        return ""

    def heartbeat_max_age(self, args: Sequence[str]) -> float:
        if self.is_on("use-gevent", args):
            return 0  # another script, which patches everything first
        return 30  # the consumers' loops run once a second

    def install_heartbeat(self) -> None:
        self.setup.has_heartbeat = True

    def install_shutdown_deadline(self, seconds: float) -> None:
        from django_prodserver.backends.dramatiq import runner

        self.setup.seconds = seconds
        runner.replace_exec(self.setup)

    def install_task_log(self) -> None:
        self.setup.has_task_log = True

    def broker_kind(self) -> str:
        broker = getattr(settings, "DRAMATIQ_BROKER", {}).get("BROKER", "")
        return next((kind for kind in ("redis", "rabbitmq") if kind in broker), "")

    def broker(self) -> Callable[[], object]:
        import dramatiq

        broker: Any = dramatiq.get_broker()
        client = getattr(broker, "client", None)
        if client is not None:  # Redis
            ping: Callable[[], object] = client.ping
            return ping
        return lambda: broker.connection  # RabbitMQ: connects
