"""The Django app, with the commands and the system checks."""

from __future__ import annotations

import sys
from importlib import import_module
from typing import Any

from django.apps import AppConfig
from django.core.checks import CheckMessage, register

from django_prodserver.config.context import of_this_process

TAG = "prodserver"
_LAUNCHER = "django_prodserver.launch.launcher"


class DjangoProdserverConfig(AppConfig):
    """Register the checks, and prepare a process that was started by exec."""

    name = "django_prodserver"
    verbose_name = "django-prodserver"

    def ready(self) -> None:
        _register_checks()
        if context := of_this_process():
            from django_prodserver.process import bootstrap

            bootstrap.prepare(context)
            # The launcher does the rest itself, if it runs the command in place. A web
            # server needs none of it.
            if _LAUNCHER not in sys.modules and context.kind != "web":
                from django_prodserver.backends import loader

                loader.install_in_own_process(context)


def _register_checks() -> None:
    """Register the checks; their modules are imported only when they run."""
    # The messages of the other two checks, for the deployment check.
    reported: dict[str, list[CheckMessage]] = {}

    def check_processes(**kwargs: Any) -> list[CheckMessage]:
        reported["processes"] = _checks().check_processes()
        return reported["processes"]

    def check_health(**kwargs: Any) -> list[CheckMessage]:
        reported["health"] = _checks().check_health()
        return reported["health"]

    def check_deployment(**kwargs: Any) -> list[CheckMessage]:
        # Django does not tell the other checks about --deploy, but it runs this one
        # after them.
        for messages in reported.values():
            _checks().raise_levels(messages)
        warnings: list[CheckMessage] = _checks().check_deployment()
        return warnings

    register(check_processes, TAG)
    register(check_health, TAG)
    register(check_deployment, TAG, deploy=True)


def _checks() -> Any:
    # Imported here, because a start does not need it.
    return import_module("django_prodserver.checks.processes")
