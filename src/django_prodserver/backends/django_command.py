"""Backends whose process is a management command of an installed app."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterator, Sequence

from django.conf import settings

from django_prodserver.backends.base import CommandBackend
from django_prodserver.exceptions import ConfigurationError, Fault
from django_prodserver.process import project


class ManagementBackend(CommandBackend):
    """Run a management command of an installed app."""

    script = "django-admin"
    abbreviates = True
    is_management_command = True

    @property
    @abstractmethod
    def management_command(self) -> str:
        """Return the name of the command."""

    def command(self, args: Sequence[str]) -> list[str]:
        return [project.admin_script(), self.management_command, *args]

    @property
    def native_name(self) -> str:
        return f"{self.script} {self.management_command}"

    def check(self) -> Iterator[ConfigurationError]:
        yield from super().check()
        # An entry is "django_q" or "django_q.apps.DjangoQConfig".
        installed = {app.partition(".")[0] for app in settings.INSTALLED_APPS}
        if self.package not in installed:
            yield ConfigurationError(
                Fault.APP_NOT_INSTALLED,
                f"{self.package} is not in INSTALLED_APPS, "
                f"and brings the command {self.management_command}.",
                f'Add "{self.package}" to INSTALLED_APPS, then run: '
                "python manage.py migrate",
            )
