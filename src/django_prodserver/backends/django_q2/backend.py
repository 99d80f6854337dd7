"""Django-Q2."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, ClassVar

from django.conf import settings

from django_prodserver.backends.django_command import ManagementBackend
from django_prodserver.backends.introspection import OptionFile
from django_prodserver.config.keys import Translation, Unsupported

if TYPE_CHECKING:
    from django.core.checks import CheckMessage


class DjangoQ2Worker(ManagementBackend):
    """
    Run the Django-Q2 cluster that the setting ``Q_CLUSTER`` configures.

    ``CONCURRENCY`` and ``MAX_TASKS`` override its "workers" and "recycle".
    """

    title = "Django-Q2"
    package = "django_q"
    extra = "django-q2"
    server_loggers = ("django-q",)
    option_file = OptionFile(__package__)
    management_command = "qcluster"
    keys: ClassVar[Mapping[str, Translation]] = {
        **ManagementBackend.keys,
        "CONCURRENCY": "",
        "QUEUES": Unsupported(
            "a cluster has one queue, named like the cluster; to start one of "
            "ALT_CLUSTERS, set Q_CLUSTER_NAME in ENV"
        ),
        "MAX_TASKS": "",
        "SINGLETON": Unsupported(
            "every cluster has a scheduler, and the database ensures that only one "
            'sends each schedule; to turn it off, set "scheduler": False in Q_CLUSTER'
        ),
        "GRACEFUL_TIMEOUT": "",
    }

    def windows_obstacle(self) -> str:
        return "a cluster forks its processes"

    def deployment_warnings(self) -> Iterator[CheckMessage]:
        from django_prodserver.backends.django_q2 import deployment

        yield from super().deployment_warnings()
        yield from deployment.cluster_warnings(self.workers())

    def install_shutdown_deadline(self, seconds: float) -> None:
        from django_prodserver.backends.django_q2 import shutdown

        shutdown.install_shutdown_deadline(seconds)

    def heartbeat_max_age(self, args: Sequence[str]) -> float:
        # The loop runs twice a second, unless "guard_cycle" changes that. Reading the
        # schedule from the database, every half minute, may delay it.
        cycle = getattr(settings, "Q_CLUSTER", {}).get("guard_cycle")
        return 30 + (cycle if isinstance(cycle, int | float) else 0)

    def install_heartbeat(self) -> None:
        from django_prodserver.backends.django_q2 import heartbeat

        heartbeat.install_heartbeat()
        self._configure()

    def install_task_log(self) -> None:
        from django_prodserver.backends.django_q2 import task_log

        task_log.install()

    @property
    def has_broker(self) -> bool:
        return True

    def broker_kind(self) -> str:
        return "redis" if getattr(settings, "Q_CLUSTER", {}).get("redis") else ""

    def written_value(self, key: str) -> object:
        value = super().written_value(key)
        if key == "CONCURRENCY" and value is None:
            return getattr(settings, "Q_CLUSTER", {}).get("workers")
        return value

    def broker(self) -> Callable[[], object]:
        from django_q.brokers import get_broker
        from django_q.brokers.orm import ORM

        broker = get_broker()
        # The ORM broker's ping() does not query the database.
        check: Callable[[], object]
        check = broker.queue_size if isinstance(broker, ORM) else broker.ping
        return check

    def workers(self) -> int:
        """Return the number of workers: CONCURRENCY, Q_CLUSTER's or one per CPU."""
        if "CONCURRENCY" not in self.config:
            cluster: dict[str, Any] = getattr(settings, "Q_CLUSTER", {})
            if given := cluster.get("workers"):
                return int(given)
        return int(self.resolve("CONCURRENCY").value)

    def prepare(self, args: Sequence[str]) -> str:
        self._configure()
        return ""

    def _configure(self) -> None:
        """Set the values that Django-Q2 only reads from the settings."""
        from django_q.conf import Conf

        # Patches django-q2, checked with 1.11: it has no options for them.
        if "CONCURRENCY" in self.config or not Conf.conf.get("workers"):
            Conf.WORKERS = self.workers()
        # Its own default is the square of the workers, and a stop waits for all of
        # those tasks.
        Conf.QUEUE_LIMIT = Conf.conf.get("queue_limit", Conf.WORKERS)
        if recycle := self.resolve("MAX_TASKS").value:
            Conf.RECYCLE = recycle
