"""The Django app: it brings the commands and the system checks."""

from __future__ import annotations

from django.apps import AppConfig
from django.core.checks import register


class DjangoProdserverConfig(AppConfig):
    """Register the checks, and join the worker's loop where this is one."""

    name = "django_prodserver"
    verbose_name = "django-prodserver"

    def ready(self) -> None:
        from django_prodserver.backends.loading import join_own_loop
        from django_prodserver.checks import (
            TAG,
            check_deployment,
            check_health,
            check_processes,
        )
        from django_prodserver.logs.options import for_this_process
        from django_prodserver.logs.setting_up import apply
        from django_prodserver.servers.proxied import install

        # In the native command; where the launcher runs it, it has done it.
        if found := for_this_process():
            apply(found)
            install()
        register(check_processes, TAG)
        register(check_health, TAG)
        register(check_deployment, TAG, deploy=True)
        join_own_loop()
