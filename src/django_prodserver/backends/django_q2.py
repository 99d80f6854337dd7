"""Django-Q2."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from django_prodserver.backends.commands import ManagementBackend


class DjangoQ2Worker(ManagementBackend):
    """Run a Django-Q2 cluster; what it does is in the setting ``Q_CLUSTER``."""

    package = "django_q"
    extra = "django-q2"
    table = "qcluster"
    management_command = "qcluster"
    keys = {"GRACEFUL_TIMEOUT": ""}

    def bound_stop(self, seconds: float) -> None:
        from django_prodserver.stops import qcluster

        qcluster.bound(seconds)

    def max_age(self, args: Sequence[str]) -> float:
        # It goes round twice a second. What may hold it up is the schedule, which
        # it looks at each half minute, in the database.
        return 30

    def join_loop(self) -> None:
        from django_prodserver.loops import qcluster

        qcluster.join()

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
