"""The Django app: it brings the commands and the system checks."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from importlib import import_module
from typing import Any

from django.apps import AppConfig
from django.core.checks import CheckMessage, register

from django_prodserver.config.context import of_this_process

TAG = "prodserver"


class DjangoProdserverConfig(AppConfig):
    """Register the checks, and prepare a process that was started by exec."""

    name = "django_prodserver"
    verbose_name = "django-prodserver"

    def ready(self) -> None:
        register(_check("processes"), TAG)
        register(_check("health"), TAG)
        register(_check("deployment"), TAG, deploy=True)
        # The native command. Where the launcher runs it in its own process, the
        # launcher has done this.
        if context := of_this_process():
            from django_prodserver.backends import loader
            from django_prodserver.process import bootstrap

            bootstrap.prepare(context)
            loader.install_in_own_process(context.process)


def _check(name: str) -> Callable[..., Sequence[CheckMessage]]:
    """Return the check of that name, without loading it: a start does not need it."""

    def check(**kwargs: Any) -> Sequence[CheckMessage]:
        checks = import_module("django_prodserver.checks.processes")
        messages: Sequence[CheckMessage] = getattr(checks, f"check_{name}")()
        return messages

    check.__name__ = f"check_{name}"
    return check
