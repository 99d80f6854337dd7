"""What the web servers share: the application they serve."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from importlib import import_module
from typing import ClassVar, Literal

from django.conf import settings

from django_prodserver import warming
from django_prodserver.arguments import render, value_of
from django_prodserver.backends import addresses
from django_prodserver.backends.base import Backend
from django_prodserver.exceptions import ConfigurationError, Fault
from django_prodserver.health import conf as health
from django_prodserver.masking import short

Interface = Literal["wsgi", "asgi"]


class WebBackend(Backend):
    """A backend that serves ``WSGI_APPLICATION`` or ``ASGI_APPLICATION``."""

    kind = "web"
    #: Which of the two; a property where the options decide.
    interface: ClassVar[Interface]
    #: What to serve instead of the application, as ``module:attribute``.
    target = ""
    #: The options that say the whole of an address, each by itself.
    sockets: ClassVar[tuple[str, ...]] = ()
    keys = {"GRACEFUL_TIMEOUT": "graceful-timeout"}

    def default_options(self) -> Mapping[str, object]:
        return {**super().default_options(), **self._default_address()}

    def address_options(self, host: str, port: str) -> Mapping[str, object]:
        """Return the options for an address; either part may be missing."""
        parts = {"host": host, "port": port}
        return {name: value for name, value in parts.items() if value}

    def _default_address(self) -> Mapping[str, object]:
        """Return the options for ``PRODSERVER_HOST`` and ``PORT``, else our own."""
        words = render(self.config.get("ARGS", {}), self.grammar)
        if any(self._is_given(option, words) for option in self.sockets):
            return {}
        host = os.environ.get("PRODSERVER_HOST", "")
        port = os.environ.get("PORT", "")
        # What ARGS says in part is left to the server: its users know the rest.
        if not any(self._is_given(option, words) for option in ("host", "port")):
            # Who sets PORT (Heroku, Cloud Run) is not on the loopback.
            host = host or ("0.0.0.0" if port else "127.0.0.1")  # noqa: S104
            port = port or "8000"
        return self.address_options(host, port)

    def _is_given(self, option: str, words: Sequence[str]) -> bool:
        if not self.grammar.knows(option):
            return False
        given = value_of(option, words, self.grammar) is not None
        return given or self.given_elsewhere(option)

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

    def path(self, args: Sequence[str]) -> str:
        return health.load().ready_path if health.is_installed() else "/"

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
        port = os.environ.get("PORT", "")
        if port and not addresses.is_port(port):
            message = f"PORT is {short(port)} in the environment, and no port."
            hint = "Set PORT to a number from 1 to 65535, or unset it."
            yield ConfigurationError(Fault.BAD_VALUE, message, hint)
        try:
            self.application(self.args)
        except ConfigurationError as error:
            yield error
