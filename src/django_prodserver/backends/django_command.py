"""Backends whose process is a management command of an installed app."""

from __future__ import annotations

import shlex
from abc import abstractmethod
from collections.abc import Iterator, Sequence
from typing import ClassVar

from django.conf import settings

from django_prodserver.backends.base import CommandBackend
from django_prodserver.config.argv import fits
from django_prodserver.exceptions import ConfigurationError, Fault
from django_prodserver.process import project
from django_prodserver.text import safe_repr


class ManagementBackend(CommandBackend):
    """Run a management command of an installed app."""

    script = "django-admin"
    abbreviates = True
    is_management_command = True
    #: The app that provides the command, if it is not ``package``.
    app: ClassVar[str] = ""

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
        app = self.app or self.package
        # An entry is "django_q" or "django_q.apps.DjangoQConfig".
        installed = [f"{each}." for each in settings.INSTALLED_APPS]
        if app and not any(each.startswith(f"{app}.") for each in installed):
            yield ConfigurationError(
                Fault.APP_NOT_INSTALLED,
                f"{app}, which provides the command {self.management_command}, "
                "is not in INSTALLED_APPS.",
                f'Add "{app}" to INSTALLED_APPS, then run: python manage.py migrate',
            )


def command_words(command: object, where: str, hint: str) -> list[str]:
    """
    Return a management command of the settings as a list of words.

    Args:
        command: A string or a list of words.
        where: The beginning of the message, such as "COMMAND is".
        hint: How to write it.

    Raises:
        ConfigurationError: It is neither.
    """
    words = command
    if isinstance(command, str):
        try:
            words = shlex.split(command)
        except ValueError as error:
            message = f"{where} {safe_repr(command)}, which cannot be split into words:"
            message = f"{message} {error}."
            raise ConfigurationError(Fault.BAD_VALUE, message, hint) from error
    if isinstance(words, list | tuple) and words:
        text = [w for w in words if isinstance(w, str) and w and fits(w)]
        if len(text) == len(words):
            return text
    message = f"{where} {safe_repr(command)}, which is not a command."
    raise ConfigurationError(Fault.BAD_VALUE, message, hint)
