"""A management command that runs until it is stopped: a bot, a scheduler."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

from django.apps import apps

from django_prodserver.backends import singleton
from django_prodserver.backends.django_command import ManagementBackend, command_words
from django_prodserver.exceptions import ConfigurationError, Fault
from django_prodserver.health import heartbeat
from django_prodserver.text import did_you_mean, safe_repr

if TYPE_CHECKING:
    from django_prodserver.backends.singleton import Singleton

_FORM = 'Write COMMAND as "run_bot --verbosity 2", or as a list of words.'
# How people begin a command line in a shell.
_PROGRAMS = ("python", "python3", "manage.py", "./manage.py", "django-admin")


class LongRunningCommand(ManagementBackend):
    """
    Run the management command in ``COMMAND`` until it is stopped.

    A stop reaches the command as Ctrl-C does, unless it handles SIGTERM itself.
    """

    title = "Management command"
    package = ""
    extra = ""
    keys = {**ManagementBackend.keys, "GRACEFUL_TIMEOUT": "", "SINGLETON": ""}
    own_keys = {
        "COMMAND": "The management command, as a string or a list of words.",
    }

    def __init__(self, **config: Any) -> None:
        super().__init__(**config)
        try:
            self._words = self._command_words()
        except ConfigurationError:
            self._words = []  # check() reports it

    def _command_words(self) -> list[str]:
        found = self.config.get("COMMAND")
        if found is None:
            message = f"{type(self).__name__} has no COMMAND."
            raise ConfigurationError(Fault.BAD_VALUE, message, _FORM)
        return command_words(found, "COMMAND is", _FORM)

    @property
    def management_command(self) -> str:
        return self._words[0] if self._words else ""

    def command(self, args: Sequence[str]) -> list[str]:
        return super().command([*self._command_words()[1:], *args])

    def check(self) -> Iterator[ConfigurationError]:
        yield from super().check()
        try:
            self._command_words()
        except ConfigurationError as error:
            yield error
            return
        if apps.ready:  # without the apps, load() comes later
            yield from self._missing_command()

    def _missing_command(self) -> Iterator[ConfigurationError]:
        """Yield a fault if no installed app has the command."""
        from django.core.management import get_commands

        name, known = self.management_command, get_commands()
        if name in known:
            return
        hint = did_you_mean(name, known) or "Is its app in INSTALLED_APPS?"
        if name in _PROGRAMS:
            hint = "Start with the name of the command, without what runs it."
        message = f"COMMAND names {safe_repr(name)}, but no app has that command."
        yield ConfigurationError(Fault.COMMAND_NOT_FOUND, message, hint)

    def why_single(self, args: Sequence[str]) -> str:
        return "two would do everything twice"

    def load(self, args: Sequence[str]) -> None:
        super().load(args)
        for fault in self._missing_command():
            raise fault

    def check_loaded(self) -> None:
        super().check_loaded()
        singleton.check_database(self.config)

    def prepare_after_exec(self, args: Sequence[str]) -> None:
        for fault in self._missing_command():
            raise fault

    def install_singleton(self, singleton: Singleton) -> None:
        from django_prodserver.backends.long_running import one_active

        one_active.install(singleton, self.install_heartbeat)

    def heartbeat_max_age(self, args: Sequence[str]) -> float:
        return 30  # of a command that calls beat(); see install_heartbeat()

    def install_heartbeat(self) -> None:
        # Counts at any age, until the command calls beat() itself.
        heartbeat.beat("busy", "its command writes no heartbeat")

    def install_shutdown_deadline(self, seconds: float) -> None:
        from django_prodserver.backends.long_running import shutdown

        shutdown.install_shutdown_deadline(seconds)
