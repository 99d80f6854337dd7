"""The base class of web servers: the application to serve, and the addresses."""

from __future__ import annotations

import contextlib
import dataclasses
import os
from collections.abc import Iterator, Mapping, Sequence
from functools import cached_property
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar, Literal

from django.conf import settings

from django_prodserver.backends import addresses, served
from django_prodserver.backends.base import CommandBackend
from django_prodserver.backends.elsewhere import (
    Configuration,
    Elsewhere,
    read_configuration,
)
from django_prodserver.checks.ids import WarningId
from django_prodserver.config import bind
from django_prodserver.config.argv import drop, names, value_of
from django_prodserver.config.bind import Bind
from django_prodserver.config.container import in_container
from django_prodserver.config.context import NATIVE, OFF, ON, VARIABLE, Context
from django_prodserver.config.keys import AUTO, Resolved, Translation
from django_prodserver.exceptions import ConfigurationError, Fault
from django_prodserver.health import conf as health
from django_prodserver.process import bootstrap, preload, project
from django_prodserver.process.logging_state import LoggingState
from django_prodserver.text import is_dotted_path, safe_repr

if TYPE_CHECKING:
    from django.core.checks import CheckMessage

Interface = Literal["wsgi", "asgi"]
#: Why workers cannot share what their parent has loaded, on Windows.
NO_FORK = "this system starts each worker as a new interpreter"


class WebBackend(CommandBackend):
    """A backend that serves ``WSGI_APPLICATION`` or ``ASGI_APPLICATION``."""

    kind = "web"
    #: "wsgi" or "asgi"; ``interface_for`` overrides it if the options decide.
    interface: ClassVar[Interface]
    #: Our backend that serves WSGI_APPLICATION with the same server, as a dotted
    #: path; suggested to a project that has no ASGI application.
    wsgi_alternative: ClassVar[str] = ""
    #: A replacement for the application, as ``module:attribute``.
    target = ""
    #: Our file that reads the server's configuration file (``run_reader.py``).
    reader: ClassVar[Path]
    #: The options that each contain a whole address, not only the host or the port.
    sockets: ClassVar[tuple[str, ...]] = ()
    keys: ClassVar[Mapping[str, Translation]] = {
        "BIND": lambda backend, value: backend.bind_options(list(bind.each(value))),
        "GRACEFUL_TIMEOUT": "graceful-timeout",
        "ROOT_PATH": "",
        "TRUSTED_PROXIES": "",
        "ACCESS_LOG": "",
        "WARM_UP": "",
        "LOG_LEVEL": "log-level",
        "LOG_FORMAT": lambda backend, value: (
            {} if value == NATIVE else backend.log_options()
        ),
    }
    #: The logger of the server's own access log; none if it has none.
    access_logger: ClassVar[str] = ""
    #: The server's own option and environment variable for trusted proxies.
    proxies_option: ClassVar[str] = ""
    proxies_variable: ClassVar[str] = ""

    def default_options(self) -> Mapping[str, Resolved]:
        return {**super().default_options(), **self._default_address()}

    def log_options(self) -> Mapping[str, object]:
        """Return the options that put the server's own log into our format."""
        return {}

    def access_log(self, args: Sequence[str]) -> str:
        if not self.resolve("ACCESS_LOG").value or self.is_off("access-log", args):
            return OFF
        return self.access_logger or ON

    def is_off(self, option: str, args: Sequence[str]) -> bool:
        """Tell whether a switch is turned off, as by ``--no-access-log``."""
        given = option in names(args, self.option_table)
        return given and value_of(option, args, self.option_table) is None

    def bind_options(self, binds: Sequence[Bind]) -> Mapping[str, object]:
        """
        Return the options for the addresses of ``BIND``.

        Raises:
            ConfigurationError: The server cannot listen there.
        """
        bind = binds[0]
        if len(binds) > 1:
            raise self.cannot_bind(binds, "listens on only one address")
        if bind.fd and "fd" not in self.sockets:
            raise self.cannot_bind(binds, "cannot use a socket that is already open")
        if bind.path or bind.fd:
            return {"uds": bind.path} if bind.path else {"fd": bind.fd}
        return self.address_options(bind.host, bind.port)

    def cannot_bind(self, binds: Sequence[Bind], why: str) -> ConfigurationError:
        """Return the error for a ``BIND`` that the server does not support."""
        given = ", ".join(bind.text for bind in binds)
        message = f"['BIND'] is {safe_repr(given)}, but {self.package} {why}."
        hint = 'Write BIND as one address, such as "127.0.0.1:8000".'
        return ConfigurationError(Fault.BAD_VALUE, message, hint)

    def address_options(self, host: str, port: str) -> Mapping[str, object]:
        """Return the options for an address; either part may be missing."""
        parts = {"host": host, "port": port}
        return {name: value for name, value in parts.items() if value}

    def override(self, words: Sequence[str], stronger: Sequence[str]) -> list[str]:
        """
        Return the options, with those that ``stronger`` replaces left out.

        A whole address replaces host and port. A host or a port replaces a whole
        address, but not the other half.
        """
        given = {name for name in self._address if self._is_set(name, stronger)}
        if given.intersection(self.sockets):
            words = drop(words, self._address, self.option_table)
        elif given:
            words = drop(words, self.sockets, self.option_table)
        return super().override(words, stronger)

    @property
    def _address(self) -> tuple[str, ...]:
        return tuple(
            name
            for name in (*self.sockets, "host", "port")
            if self.option_table.knows(name)
        )

    def _default_address(self) -> Mapping[str, Resolved]:
        """Return the options for ``PRODSERVER_HOST`` and ``PORT``, or our defaults."""
        given = {name for name in self._address if self._is_configured(name)}
        if "BIND" in self.config or given.intersection(self.sockets):
            return {}
        host = os.environ.get("PRODSERVER_HOST", "")
        port = os.environ.get("PORT", "")
        # With only a host or a port in ARGS, the server's own default fills the rest.
        if not given:
            # Platforms that set PORT (Heroku, Cloud Run) connect from outside.
            host = host or ("0.0.0.0" if port else bind.DEFAULT_HOST)  # noqa: S104
            port = port or bind.DEFAULT_PORT
        default = Resolved("", "for a proxy on this machine; the image uses 0.0.0.0")
        for name in ("PRODSERVER_HOST", "PORT"):
            if os.environ.get(name):
                default = Resolved("", origin=name)
        return {
            name: default._replace(value=value)
            for name, value in self.address_options(host, port).items()
        }

    def _is_configured(self, option: str) -> bool:
        return self._is_set(option, self.args) or self.given_elsewhere(option)

    def _is_set(self, option: str, words: Sequence[str]) -> bool:
        return value_of(option, words, self.option_table) is not None

    def environment(self) -> dict[str, str]:
        environment = super().environment()
        workers = self.resolve("WORKERS").value
        # Gunicorn reads the variable too, and only accepts a number.
        if workers and os.environ.get("WEB_CONCURRENCY") == AUTO:
            environment["WEB_CONCURRENCY"] = str(workers)
        return environment

    def context(self, args: Sequence[str], process: str) -> Context | None:
        context = super().context(args, process)
        application = ""
        if self.served_module(args):
            # If it cannot be found, the plan already has that fault.
            with contextlib.suppress(ConfigurationError):
                application = self.project_application(args)
        return context and dataclasses.replace(
            context,
            application=application,
            on_unix_socket=any(map(addresses.is_unix, self.addresses(args))),
            root_path=self.resolve("ROOT_PATH").value or "",
            trusted_proxies=tuple(self.resolve("TRUSTED_PROXIES").value or ()),
        )

    def request_concurrency(self, args: Sequence[str]) -> int | None:
        threads = self.keys.get("THREADS")
        if not isinstance(threads, str):
            return None
        given = self.option(threads, args) if threads else ""
        return int(given) if given.isdecimal() else int(self.resolve("THREADS").value)

    def interface_for(self, args: Sequence[str]) -> Interface:
        """Return the interface that the server speaks with these options."""
        return self.interface

    def application(self, args: Sequence[str]) -> str:
        """
        Return the application that the server loads, as ``module:attribute``.

        Raises:
            ConfigurationError: The setting is not set, or is not a dotted path.
        """
        own = self.project_application(args)  # first, for its errors
        module = self.served_module(args)
        served = f"django_prodserver.backends.served.{module}:application"
        return self.target or (served if module else own)

    def served_module(self, args: Sequence[str]) -> str:
        """
        Return the module of ``backends.served`` that the server loads.

        It is "" if the server loads the project's own application.
        """
        return self.interface_for(args) if self.changes_requests else ""

    @property
    def changes_requests(self) -> bool:
        """Whether our own code must wrap the application."""
        keys = ("ROOT_PATH", "TRUSTED_PROXIES")
        return not self.is_native and any(self.resolve(key).value for key in keys)

    def project_application(self, args: Sequence[str]) -> str:
        """
        Return the project's own application, as ``module:attribute``.

        Raises:
            ConfigurationError: The setting is not set, or is not a dotted path.
        """
        setting = f"{self.interface_for(args).upper()}_APPLICATION"
        dotted = getattr(settings, setting, None)
        if dotted is None:
            message = f"{setting} is not set."
            raise self._no_application(setting, message)
        module, _, attribute = str(dotted).rpartition(".")
        if not is_dotted_path(str(dotted)):
            message = f"{setting} is {dotted!r}, which is not a dotted path."
            raise self._no_application(setting, message)
        return f"{module}:{attribute}"

    def _no_application(self, setting: str, message: str) -> ConfigurationError:
        name = setting.partition("_")[0].lower()
        module = project.find_module(name)
        hint = f'Write {setting} = "{module}.application" in the settings.'
        if not module:
            hint = f"The project has no {name}.py: create one"
            hint += self._wsgi_hint() if name == "asgi" else "."
        return ConfigurationError(Fault.NO_APPLICATION, message, hint)

    def _wsgi_hint(self) -> str:
        """Return the end of a sentence that suggests to serve WSGI_APPLICATION."""
        if not self.wsgi_alternative or not settings.WSGI_APPLICATION:
            return "."
        key = f'"BACKEND": "{self.wsgi_alternative}"'
        return f", or serve WSGI_APPLICATION instead, with {key}."

    def serve_static_files(self, args: Sequence[str]) -> None:
        name = self.served_module(args) or self.interface_for(args)
        self.target = f"django_prodserver.backends.static_files:{name}"

    def command(self, args: Sequence[str]) -> list[str]:
        # The application comes first: an option with an optional value (gunicorn's
        # --proxy-protocol) would take it as its value.
        return [self.script, self.application(args), *args]

    def health_paths(self) -> tuple[str, str] | None:
        if not health.is_installed():
            return None
        paths = health.load()
        return paths.live_path, paths.ready_path

    def inherits_socket(self) -> bool:
        binds = bind.each(self.config.get("BIND", ()))
        return any(each.fd == "3" for each in binds if each)

    def path(self, args: Sequence[str]) -> str:
        return health.load().ready_path if health.is_installed() else "/"

    def configuration_words(self, args: Sequence[str]) -> list[str] | None:
        """
        Return the words that tell the server's parser which file to read.

        None if there is no file, so that no process is started to read it.
        """
        return None

    def configuration(self, args: Sequence[str]) -> Configuration:
        """Return the server's configuration file, which is read only once."""
        words = self.configuration_words(args)
        if words is None:
            return Configuration()
        if tuple(words) not in self._configurations:
            self._configurations[tuple(words)] = read_configuration(
                self.reader, words, self._configuration_environment()
            )
        return self._configurations[tuple(words)]

    @cached_property
    def _configurations(self) -> dict[tuple[str, ...], Configuration]:
        return {}

    def _configuration_environment(self) -> dict[str, str]:
        """Return the environment in which the server will read its configuration."""
        environment = self._variables() | self.environment()
        for name, value in project.environment().items():
            if name not in self.config.get("ENV", {}):
                environment[name] = value
        environment.pop(VARIABLE, None)
        return environment

    def option_of(self, setting: str) -> str:
        """Return the option for a setting of the configuration file."""
        return self.option_table.find(setting)[0].name

    def configured_elsewhere(self, args: Sequence[str]) -> Mapping[str, Elsewhere]:
        settings = self.configuration(args).settings
        found = {self.option_of(name): setting for name, setting in settings.items()}
        return {**super().configured_elsewhere(args), **found}

    def server_environment(
        self, args: Sequence[str], given: Mapping[str, str]
    ) -> Mapping[str, str]:
        # Only new ones: the file may append to a variable, and runs once more.
        return {
            name: value
            for name, value in self.configuration(args).environment.items()
            if value is not None and name not in given
        }

    def obstacles(self, args: Sequence[str]) -> Iterator[str]:
        """Yield the reasons why the server must load the application itself."""
        if self.is_on("reload", args):
            yield "--reload must be able to import the application again"
        yield from self.configuration(args).obstacles(self.initial_environment(args))

    def initial_environment(self, args: Sequence[str]) -> dict[str, str]:
        """Return the variables with which the launcher lets settings be imported."""
        given = self._variables()
        return {**given, **self.server_environment(args, given)}

    def must_exec(self, args: Sequence[str]) -> str:
        return next(self.obstacles(args), "")

    def load(self, args: Sequence[str]) -> None:
        """Import the application and its URLs, so that forked workers share them."""
        # First, as the server would: its module may act before it sets up Django.
        self.import_application(self.application(args))
        bootstrap.set_up_django()
        preload.load_urls()
        if paths := self.resolve("WARM_UP").value:
            # Imported here: asyncio takes long to import.
            from django_prodserver.process import warm_up

            interface = self.interface_for(args)
            application = served.wrapped_application(interface)
            warm_up.request_paths(
                interface, application, paths, addresses.host_header()
            )

    def defer_logging(self, args: Sequence[str], before: LoggingState) -> None:
        is_native = self.logs_natively or not self.passes_log_on(args)
        preload.defer_logging(self.application(args), before, in_parent=is_native)

    def passes_log_on(self, args: Sequence[str]) -> bool:
        """Tell whether the server's own log reaches the root logger's handlers."""
        options = self.log_options().items()
        return bool(options) and all(
            self.option(name, args) == value for name, value in options
        )

    def import_application(self, target: str) -> None:
        """Import the application at ``module:attribute``."""
        module, _, attribute = target.partition(":")
        getattr(import_module(module), attribute)

    def check(self) -> Iterator[ConfigurationError]:
        yield from super().check()
        port = os.environ.get("PORT", "")
        if port and not bind.is_port(port):
            message = (
                f"PORT is {safe_repr(port)} in the environment, which is not a port."
            )
            hint = "Set PORT to a number from 1 to 65535, or unset it."
            yield ConfigurationError(Fault.BAD_VARIABLE, message, hint)
        host = os.environ.get("PRODSERVER_HOST", "")
        if host and not bind.is_host(host):
            message = f"PRODSERVER_HOST is {safe_repr(host)} in the environment."
            hint = 'Set it to a host name or an address without a port: "0.0.0.0".'
            yield ConfigurationError(Fault.BAD_VARIABLE, message, hint)
        try:
            self.application(self.args)
        except ConfigurationError as error:
            yield error

    def start_warnings(self, args: Sequence[str]) -> Iterator[str]:
        found = self.addresses(args)
        is_silenced = WarningId.ADDRESS in settings.SILENCED_SYSTEM_CHECKS
        if addresses.only_loopback(found) and in_container() and not is_silenced:
            yield (
                f"nothing outside this container can reach {found[0]}: write "
                f'"BIND": "0.0.0.0:8000", or set PRODSERVER_HOST to 0.0.0.0 '
                f"({WarningId.ADDRESS})"
            )

    def trusted_proxies(self) -> set[str]:
        """Return the proxies that the settings or the server's options name."""
        trusted = set(self.config.get("TRUSTED_PROXIES", ()))
        if self.proxies_option:
            given = self.option(self.proxies_option, self.args)
            trusted.update(given.replace(",", " ").split())
        if self.proxies_variable:
            trusted.update(os.environ.get(self.proxies_variable, "").split(","))
        return trusted

    def deployment_warnings(self) -> Iterator[CheckMessage]:
        from django_prodserver.backends import web_warnings

        yield from web_warnings.unreachable_address(self.addresses(self.args))
        yield from web_warnings.one_request_at_a_time(self)
        yield from web_warnings.trusts_anyone(self.trusted_proxies())

    def cut_exit_code(self, args: Sequence[str]) -> int:
        return 0
