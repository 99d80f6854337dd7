"""Django-Q2."""

from __future__ import annotations

from django_prodserver.backends.commands import ManagementBackend


class DjangoQ2Worker(ManagementBackend):
    """Run a Django-Q2 cluster; what it does is in the setting ``Q_CLUSTER``."""

    package = "django_q"
    extra = "django-q2"
    table = "qcluster"
    management_command = "qcluster"
