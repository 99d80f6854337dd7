"""What the web servers share: the application they serve."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from importlib import import_module
from typing import ClassVar, Literal

from django.conf import settings

from django_prodserver import warming
from django_prodserver.arguments import value_of
from django_prodserver.backends.base import Backend
from django_prodserver.exceptions import ConfigurationError, Fault

Interface = Literal["wsgi", "asgi"]


class WebBackend(Backend):
    """A backend that serves ``WSGI_APPLICATION`` or ``ASGI_APPLICATION``."""

    #: Which of the two; a property where the options decide.
    interface: ClassVar[Interface]
    #: What to serve instead of the application, as ``module:attribute``.
    target = ""
    keys = {"GRACEFUL_TIMEOUT": "graceful-timeout"}

    def interface_for(self, args: Sequence[str]) -> Interface:
        return self.interface

    def application(self, args: Sequence[str]) -> str:
        """
        Return the application as servers want it, ``module:attribute``.

        Raises:
            ConfigurationError: The setting is unset or no dotted path.
        """
        setting = f"{self.interface_for(args).upper()}_APPLICATION"
        dotted = getattr(settings, setting, None)
        if dotted is None:
            message = f"{setting} is not set, and {type(self).__name__} serves it."
            raise self._no_application(setting, message)
        module, _, attribute = str(dotted).rpartition(".")
        if not module or not all(p.isidentifier() for p in str(dotted).split(".")):
            message = f"{setting} is {dotted!r}, which is no dotted path."
            raise self._no_application(setting, message)
        return self.target or f"{module}:{attribute}"

    def _no_application(self, setting: str, message: str) -> ConfigurationError:
        # None where the settings were configured without a module.
        package = (settings.SETTINGS_MODULE or "project").partition(".")[0]
        module = setting.partition("_")[0].lower()
        hint = f'Write {setting} = "{package}.{module}.application" in the settings.'
        return ConfigurationError(Fault.NO_APPLICATION, message, hint)

    def with_static_files(self, args: Sequence[str]) -> None:
        """Serve static files too, as runserver does."""
        self.target = f"django_prodserver.servers.static:{self.interface_for(args)}"

    def command(self, args: Sequence[str]) -> list[str]:
        # The application first: an option whose value may be left out
        # (gunicorn's --proxy-protocol) would take it for its value.
        return [self.script, self.application(args), *args]

    def addresses(self, args: Sequence[str]) -> tuple[str, ...]:
        """
        Return where it listens: ``tcp://host:port`` or ``unix://path``, each.

        None where only the server itself knows (a socket it is handed down, a
        configuration file).
        """
        return ()

    def speaks_tls(self, args: Sequence[str]) -> bool:
        return False

    def option(self, name: str, args: Sequence[str]) -> str:
        """Return an option's value: of the command, else of the environment."""
        given = value_of(name, args, self.grammar)
        variable = self.env_prefix + name.replace("-", "_").upper()
        if given is None and self.env_prefix:
            given = os.environ.get(variable)
        return given or ""

    def load(self, args: Sequence[str]) -> None:
        """Import the application and its URLs, so that forked workers share them."""
        target = self.application(args)
        self.import_application(target)
        warming.load_urls_and_what_views_use()
        warming.hand_over(target)

    def import_application(self, target: str) -> None:
        module, _, attribute = target.partition(":")
        getattr(import_module(module), attribute)

    def check(self) -> Iterator[ConfigurationError]:
        yield from super().check()
        try:
            self.application(self.args)
        except ConfigurationError as error:
            yield error
