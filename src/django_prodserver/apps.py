"""The Django app: it brings the commands and the system checks."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from importlib import import_module
from typing import Any

from django.apps import AppConfig
from django.core.checks import CheckMessage, register

TAG = "prodserver"


class DjangoProdserverConfig(AppConfig):
    """Register the checks, and join the worker's loop where this is one."""

    name = "django_prodserver"
    verbose_name = "django-prodserver"

    def ready(self) -> None:
        from django_prodserver.backends.loader import install_own_heartbeat
        from django_prodserver.logs.config import configure
        from django_prodserver.logs.options import for_this_process
        from django_prodserver.middleware.proxy_headers import install

        # In the native command; where the launcher runs it, it has done it.
        if found := for_this_process():
            configure(found)
            install()
        register(_check("processes"), TAG)
        register(_check("health"), TAG)
        register(_check("deployment"), TAG, deploy=True)
        install_own_heartbeat()


def _check(what: str) -> Callable[..., Sequence[CheckMessage]]:
    """Return the check of that name, which a start need not load."""

    def check(**kwargs: Any) -> Sequence[CheckMessage]:
        checks = import_module("django_prodserver.checks.processes")
        found: Sequence[CheckMessage] = getattr(checks, name)()
        return found

    check.__name__ = name = f"check_{what}"
    return check
