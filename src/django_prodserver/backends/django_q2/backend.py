"""Django-Q2."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, ClassVar

from django.conf import settings

from django_prodserver.backends.django_command import ManagementBackend
from django_prodserver.config.keys import Translation, Unsupported


class DjangoQ2Worker(ManagementBackend):
    """
    Run a Django-Q2 cluster; what it does is in the setting ``Q_CLUSTER``.

    ``CONCURRENCY`` and ``MAX_TASKS`` are stronger than its "workers" and "recycle".
    """

    package = "django_q"
    extra = "django-q2"
    table = "qcluster"
    management_command = "qcluster"
    keys: ClassVar[Mapping[str, Translation]] = {
        **ManagementBackend.keys,
        "CONCURRENCY": "",
        "QUEUES": Unsupported(
            "a cluster has one queue, its name; write ENV Q_CLUSTER_NAME for one of "
            "ALT_CLUSTERS"
        ),
        "MAX_TASKS": "",
        "GRACEFUL_TIMEOUT": "",
    }

    def install_shutdown_deadline(self, seconds: float) -> None:
        from django_prodserver.backends.django_q2 import shutdown

        shutdown.install_shutdown_deadline(seconds)

    def heartbeat_max_age(self, args: Sequence[str]) -> float:
        # It goes round twice a second. What may hold it up is the schedule, which
        # it looks at each half minute, in the database.
        return 30

    def install_heartbeat(self) -> None:
        from django_prodserver.backends.django_q2 import heartbeat

        heartbeat.install_heartbeat()
        self._configure()

    @property
    def has_broker(self) -> bool:
        return True

    def broker(self) -> Callable[[], object]:
        from django_q.brokers import get_broker
        from django_q.brokers.orm import ORM

        broker = get_broker()
        # Of the database, ping() says nothing.
        look: Callable[[], object]
        look = broker.queue_size if isinstance(broker, ORM) else broker.ping
        return look

    def workers(self) -> int:
        """Return how many: by CONCURRENCY, else the setting, else the CPUs."""
        if "CONCURRENCY" not in self.config:
            cluster: dict[str, Any] = getattr(settings, "Q_CLUSTER", {})
            if given := cluster.get("workers"):
                return int(given)
        return int(self.resolve("CONCURRENCY").value)

    def prepare(self, args: Sequence[str]) -> str:
        self._configure()
        return ""

    def _configure(self) -> None:
        """Set what Django-Q2 takes from nowhere but the settings."""
        from django_q.conf import Conf

        if "CONCURRENCY" in self.config or not Conf.conf.get("workers"):
            Conf.WORKERS = self.workers()
        # Natively the square of that: a stop first does all that is queued.
        Conf.QUEUE_LIMIT = Conf.conf.get("queue_limit", Conf.WORKERS)
        if recycle := self.resolve("MAX_TASKS").value:
            Conf.RECYCLE = recycle
