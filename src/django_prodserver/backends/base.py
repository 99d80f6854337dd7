"""Base classes: the public extension point, and the declarative backends."""

from __future__ import annotations

import os
import sys
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping, Sequence
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any, ClassVar

from django_prodserver.backends import brokers, introspection, singleton
from django_prodserver.backends.elsewhere import Elsewhere
from django_prodserver.backends.introspection import OptionFile
from django_prodserver.config import keys
from django_prodserver.config.argv import (
    FALSE,
    Layer,
    OptionTable,
    merge,
    render,
    value_of,
    values_of,
)
from django_prodserver.config.context import NATIVE, OFF, Context
from django_prodserver.config.keys import KEYS, Resolved, Translation, Unsupported
from django_prodserver.exceptions import ConfigurationError, Fault
from django_prodserver.logs import project_console
from django_prodserver.process import bootstrap, executable
from django_prodserver.process.deadline import UNFINISHED
from django_prodserver.text import safe_repr

if TYPE_CHECKING:
    from django.core.checks import CheckMessage

    from django_prodserver.backends.introspection.installed import InstalledOptions
    from django_prodserver.backends.singleton import Singleton
    from django_prodserver.backends.task_load import TaskLoad
    from django_prodserver.process.logging_state import LoggingState


class BaseServerBackend(ABC):
    """
    The minimal backend interface: subclass it and write ``start_server``.

    It is created as ``BACKEND(**config)``, with the process's own dictionary from
    ``PRODUCTION_PROCESSES``, and called as
    ``backend.start_server(*backend.prep_server_args())`` in a process where
    Django is set up. Backends written for django-prodserver 2.x or 3.x work.

    Attributes:
        config: The process's dictionary.
        args: ``ARGS`` as a list of command-line words.
    """

    option_table = OptionTable()

    def __init__(self, **config: Any) -> None:
        self.config = config
        self.args = render(config.get("ARGS", {}), self.option_table)

    def prep_server_args(self) -> list[str]:
        """Return the arguments for ``start_server``."""
        return list(self.args)

    def override(self, words: Sequence[str], stronger: Sequence[str]) -> list[str]:
        """Return the options, with those that ``stronger`` replaces left out."""
        return merge(words, stronger, self.option_table)

    @abstractmethod
    def start_server(self, *args: str) -> None:
        """Replace this process with the server, or run it and return when it ends."""


class BaseWorkerBackend(BaseServerBackend):
    """The base class for workers in 3.x; kept for code that imports it."""


#: The common base class in 3.x; kept for code that imports it.
BaseProcessBackend = BaseServerBackend


class Backend(BaseServerBackend):
    """
    A backend that can be planned, checked and explained before it is started.

    Subclasses that start a native command derive from ``CommandBackend``.
    """

    #: How the probe checks it: a "web" process over HTTP, a "worker" and a "release"
    #: by their heartbeat; "" cannot be checked.
    kind: ClassVar[str] = "worker"
    #: The portable settings that it supports, each with its options.
    keys: ClassVar[Mapping[str, Translation]] = {"LOG_LEVEL": "", "LOG_FORMAT": ""}
    #: The keys that only this backend has, with their descriptions for the docs.
    own_keys: ClassVar[Mapping[str, str]] = {}
    #: Whether a key that is neither in ``keys`` nor in ``own_keys`` is an error.
    rejects_unknown_keys: ClassVar[bool] = True
    #: The prefix of the environment variables from which the server reads options.
    env_prefix: ClassVar[str] = ""
    #: The server's own loggers.
    server_loggers: ClassVar[tuple[str, ...]] = ()
    #: Whether its commands work without this package; set by ``native_class``.
    is_native: ClassVar[bool] = False
    #: The attributes and the options of keys that differ in such a command.
    native_attributes: ClassVar[Mapping[str, object]] = {}
    native_keys: ClassVar[Mapping[str, Translation]] = {}

    @classmethod
    def native_class(cls) -> type[Backend]:
        """Return the class whose commands work without this package."""
        attributes = {"is_native": True, **cls.native_attributes}
        if cls.native_keys:
            attributes["keys"] = {**cls.keys, **cls.native_keys}
        return type(cls.__name__, (cls,), attributes)

    def native_omissions(self) -> list[str]:
        """Return the configured keys that only this package supports."""
        return [
            key
            for key, translation in self.keys.items()
            if key in self.config and translation == ""
        ]

    @property
    def layers(self) -> list[Layer]:
        """The options by origin, weakest first, without those of the command line."""
        return [Layer("ARGS", self.args)]

    def add_overrides(self, overrides: Sequence[str]) -> None:
        """Recompute the defaults, which may depend on the command line's options."""

    def native_commands(self, args: Sequence[str]) -> list[list[str]]:
        """
        Return the equivalent native commands in order; empty if there are none.

        Raises:
            ProdserverError: The backend does not accept these options.
        """
        return []

    def as_command(self) -> CommandBackend | None:
        """Return this backend if it starts a native command; None if not."""
        return None

    def check(self) -> Iterator[ConfigurationError]:
        """Yield the errors in the settings for this backend."""
        yield from ()

    def check_loaded(self) -> None:
        """
        Run the checks that need Django to be set up.

        Raises:
            ConfigurationError: Something is wrong.
        """

    def start_warnings(self, args: Sequence[str]) -> Iterator[str]:
        """Yield the warnings to log at the start, one per line."""
        yield from ()

    def addresses(self, args: Sequence[str]) -> tuple[str, ...]:
        """
        Return the addresses it listens on: ``tcp://host:port`` or ``unix://path``.

        Empty if only the server knows them: for an inherited socket or a
        configuration file.
        """
        return ()

    def speaks_tls(self, args: Sequence[str]) -> bool:
        return False

    def path(self, args: Sequence[str]) -> str:
        """Return the path that the probe requests."""
        return "/"

    def user(self, args: Sequence[str]) -> int | None:
        """Return the ID of the user that the process changes to; None if it stays."""
        return None

    def heartbeat_max_age(self, args: Sequence[str]) -> float:
        """
        Return the age in seconds at which a heartbeat is too old.

        It depends on how often the worker's loop beats. ``HEALTH`` overrides it. 0
        means that there is no heartbeat.
        """
        return 0

    def health_paths(self) -> tuple[str, str] | None:
        """Return the paths of liveness and readiness; None if it has none."""
        return None

    def why_single(self, args: Sequence[str]) -> str:
        """
        Return why several replicas would be wrong; "" if they are not.

        It is the end of a sentence: "One only: ...".
        """
        return ""

    def parallelism(self, args: Sequence[str]) -> int | None:
        """
        Return how many processes or tasks the settings ask for; None for "auto".

        It is the same on every machine.
        """
        for key in ("WORKERS", "CONCURRENCY"):
            if isinstance(self.keys.get(key, Unsupported("")), Unsupported):
                continue
            return keys.as_count(self.written_value(key) or KEYS[key].default or 1)
        return 1

    def inherits_socket(self) -> bool:
        """Tell whether it serves on a socket that systemd has opened for it."""
        return False

    def written_value(self, key: str) -> object:
        """Return the value of a portable setting that the settings contain, or None."""
        return self.config.get(key)

    def resolve(self, key: str) -> Resolved:
        """Return the value of a portable setting, and where it comes from."""
        if isinstance(self.keys.get(key), Unsupported):
            return Resolved(None)
        return keys.resolve(key, self.config)

    def unsupported_keys(self) -> dict[str, str]:
        """Return the configured keys that the server does not support, and why."""
        return {
            key: translation.why
            for key, translation in self.keys.items()
            if key in self.config and isinstance(translation, Unsupported)
        }

    def context(self, args: Sequence[str], process: str) -> Context | None:
        """Return the data that the process named ``process`` needs at run time."""
        log_format = self.resolve("LOG_FORMAT")
        is_written = log_format.origin != keys.DEFAULT
        console = None if is_written else project_console.find()
        return Context(
            process=process,
            kind=self.kind,
            command=self.native_name,
            log_format=log_format.value,
            log_format_written=is_written,
            console_formatter=console.formatter_as_json if console else "",
            log_level=self.resolve("LOG_LEVEL").value,
            access_log=self.access_log(args),
            server_loggers=self.server_loggers,
        )

    @property
    def logs_natively(self) -> bool:
        return bool(self.resolve("LOG_FORMAT").value == NATIVE)

    def explain_log_format(self) -> Resolved:
        """Return the log format, and the reason for it."""
        log_format = self.resolve("LOG_FORMAT")
        if log_format.value == NATIVE:
            return log_format._replace(why="left to the server and to LOGGING")
        console = project_console.find()
        if log_format.origin != keys.DEFAULT:
            every = "every line on standard output and error"
            of = f", those of {console} too" if console else ""
            return log_format._replace(why=every + of)
        if console:
            return Resolved("the project's", f"it has {console}", "LOGGING")
        return log_format

    @property
    def native_name(self) -> str:
        """The name of the native command, with its subcommand."""
        return ""

    def access_log(self, args: Sequence[str]) -> str:
        """Return ``Context.access_log``: whether, and by whom, requests are logged."""
        return OFF

    def environment(self) -> dict[str, str]:
        """Return the environment variables it needs besides the project's."""
        return {}

    def development_options(self) -> dict[str, object]:
        """Return the options that ``devserver`` adds, usually a single worker."""
        return {}

    def serve_static_files(self, args: Sequence[str]) -> None:
        """Also serve static files, as ``runserver`` does; for web backends only."""

    def install_heartbeat(self) -> None:
        """
        Make the worker's own loop call ``health.heartbeat.beat`` every second or so.

        Called once, in the worker's process, before the worker starts and with
        Django set up; only where ``heartbeat_max_age`` is not 0.
        """

    def install_shutdown_deadline(self, seconds: float) -> None:
        """
        Make the worker exit within ``seconds`` of a stop, with 1 if work was cut off.

        Called once, in the worker's process, before the worker starts and with
        Django set up. Web servers have an option for it.
        """

    def install_singleton(self, singleton: Singleton) -> None:
        """
        Make the worker call ``singleton.wait`` before it works, then ``check``.

        Called once, in the worker's process, before the worker starts and with
        Django set up; only where ``SINGLETON`` is set, and in ``keys``.
        """

    def install_task_log(self) -> None:
        """
        Add a task's ID, name, queue, state and runtime to its log lines.

        Called once, in the worker's process, before the worker starts and with
        Django set up; not where ``LOG_FORMAT`` is "native".
        """

    def task_load(self, args: Sequence[str]) -> TaskLoad | None:
        """
        Return a sender of tasks to this worker for ``--compare``; None if it has none.

        Called with Django set up.
        """
        return None

    @property
    def has_broker(self) -> bool:
        """Whether ``WAIT_FOR`` may name the broker."""
        # A web process that sends tasks can name the app, too.
        return "APP" in self.config

    def broker(self) -> Callable[[], object]:
        """Return a function that raises if the broker does not answer."""
        return brokers.celery_broker(str(self.config["APP"]))

    def broker_kind(self) -> str:
        """Return "redis" or "rabbitmq"; "" for any other broker or none."""
        return brokers.celery_kind(str(self.config["APP"])) if self.has_broker else ""


class CommandBackend(Backend):
    """
    A backend that returns the command to run, and lets the launcher run it.

    No server is imported to create, list, check or print one.
    """

    #: Its name in the documentation.
    title: ClassVar[str] = ""
    #: The console script; ``django-admin`` for a management command.
    script: ClassVar[str]
    #: Whether the script's first argument is a management command of the project.
    is_management_command: ClassVar[bool] = False
    #: The module that is missing if the server is not installed; "" for none.
    package: ClassVar[str]
    #: ``pip install "django-prodserver[extra]"``.
    extra: ClassVar[str]
    #: The generated table of the command's options; None if they are unknown.
    option_file: ClassVar[OptionFile | None] = None
    #: Whether the server accepts abbreviated long options.
    abbreviates: ClassVar[bool] = False
    #: The separator of a list, for an option that may not be repeated.
    join: ClassVar[str] = ","
    #: Options that apply if nothing else sets them, besides those of the keys.
    defaults: ClassVar[Mapping[str, Resolved]] = {}
    #: Environment variables that the server reads besides those of ``env_prefix``.
    variables: ClassVar[tuple[str, ...]] = ()
    #: What to use on Windows instead, if the server does not run there.
    windows_way_out: ClassVar[str] = "Run it on Linux, in a container or in WSL."
    #: Options for development, which ``check --deploy`` warns about.
    debug_options: ClassVar[tuple[str, ...]] = ("reload",)

    def __init__(self, **config: Any) -> None:
        super().__init__(**config)
        #: The options that the user wrote: ``ARGS``, then the command line's.
        self.written = list(self.args)
        self._arrange(self.args)

    def _arrange(self, args: list[str]) -> None:
        """Put the weaker layers below ``ARGS``."""
        self.args = args
        self._layers = [*self._layers_below_args(), Layer("ARGS", args)]
        words: list[str] = []
        for layer in self._layers:
            words = self.override(words, layer.words)
        self.args = words

    def add_overrides(self, overrides: Sequence[str]) -> None:
        # They may name another configuration file, or a worker class.
        args = self._layers[-1].words
        self.written = self.override(args, overrides)
        self._arrange(args)

    @property
    def layers(self) -> list[Layer]:
        return list(self._layers)

    def as_command(self) -> CommandBackend | None:
        # A subclass may start the server differently.
        starts_command = type(self).start_server is CommandBackend.start_server
        return self if starts_command else None

    @property
    def option_table(self) -> OptionTable:  # type: ignore[override]
        file = self.option_file
        return introspection.option_table(file, self.join, self.abbreviates)

    @property
    def native_name(self) -> str:
        return self.script

    def default_options(self) -> Mapping[str, Resolved]:
        """Return the options that apply if nothing else sets them."""
        return self.defaults

    def translate(self, key: str, value: object) -> Mapping[str, object]:
        """
        Translate a portable setting to options of the server.

        Raises:
            ConfigurationError: The server does not accept that value.
        """
        translation = self.keys[key]
        if isinstance(translation, Unsupported) or not translation:
            return {}
        if isinstance(translation, str):
            return {translation: value}
        return translation(self, value)

    def written_value(self, key: str) -> object:
        value = super().written_value(key)
        option = self.keys.get(key)
        if value is None and isinstance(option, str) and option:
            return value_of(option, self.written, self.option_table)
        return value

    def native_args(self) -> object:
        """Return the part of ``ARGS`` that is meant for the server."""
        return self.config.get("ARGS", {})

    def request_concurrency(self, args: Sequence[str]) -> int | None:
        """Return how many requests or tasks a process handles at once; None: many."""
        return 1

    @property
    def requirement(self) -> str:
        """The requirement to install with pip."""
        return f"django-prodserver[{self.extra}]"

    @abstractmethod
    def command(self, args: Sequence[str]) -> list[str]:
        """Return the native command for these options, the script's name first."""

    def native_commands(self, args: Sequence[str]) -> list[list[str]]:
        return [self.command(args)] if self.as_command() else []

    def start_server(self, *args: str) -> None:
        """Replace this process with the native command."""
        argv = self.command(args)
        script = executable.find(argv[0])
        executable.replace_process([script, *argv[1:]])

    def must_exec(self, args: Sequence[str]) -> str:
        """
        Return why preloading the application would be useless or harmful.

        The reason ends the sentence "not preloading, because ..."; it is "" if the
        application can be preloaded.
        """
        return ""

    def forks(self, args: Sequence[str]) -> bool:
        """
        Tell whether it forks workers from the process that loaded the application.

        If so, everything that the application has opened must survive a fork.
        """
        return False

    def server_environment(
        self, args: Sequence[str], given: Mapping[str, str]
    ) -> Mapping[str, str]:
        """
        Return the variables that the server sets before it loads the application.

        Args:
            args: The options.
            given: The variables that are set already.
        """
        return {}

    def call_before_fork(self, args: Sequence[str], load: Callable[[], None]) -> None:
        """
        Make the server call ``load`` before it forks, or now.

        The moment is after the server has read its configuration, so that the
        application finds the environment, directory and logging that it finds with
        the native command; and before it listens, because ``load`` may replace this
        process.
        """
        load()

    def load(self, args: Sequence[str]) -> None:
        """Import what the server will load, and set up Django."""
        bootstrap.set_up_django()

    def defer_logging(self, args: Sequence[str], before: LoggingState) -> None:
        """
        Postpone the application's logging until the worker has configured its own.

        Called in the process that has loaded the application, before it forks.

        Args:
            args: The options.
            before: How logging was configured before the application was loaded.
        """

    def prepare(self, args: Sequence[str]) -> str:
        """
        Patch the server in this process, before it forks.

        Returns:
            Why the native command must be started with exec after all; usually "".
        """
        return ""

    def prepare_after_exec(self, args: Sequence[str]) -> None:
        """
        Apply the same patches in a worker's process that was started by exec.

        Called once, before the worker starts and with Django set up; its application
        may not be loaded yet.
        """

    def windows_obstacle(self) -> str:
        """Return why the server does not run on Windows; "" if it does run."""
        return ""

    def check(self) -> Iterator[ConfigurationError]:
        if sys.platform == "win32" and (why := self.windows_obstacle()):
            message = f" does not run on Windows: {why}."
            yield ConfigurationError(
                Fault.NOT_ON_WINDOWS,
                f"{type(self).__name__}{message}",
                self.windows_way_out,
            )
            return
        if self.keys.get(singleton.KEY) == "":
            yield from singleton.faults(self.config)
        for package in self.required_modules():
            if find_spec(package) is None:
                yield self.not_installed(package)
        for key in self.keys:
            name = KEYS[key].variable
            text = os.environ.get(name, "") if name else ""
            if text and not KEYS[key].is_right(keys.from_text(text)):
                message = f"{name} is {safe_repr(text)} in the environment."
                hint = f"Set {name} to {KEYS[key].form}, or unset it."
                yield ConfigurationError(Fault.BAD_VARIABLE, message, hint)

    def required_modules(self) -> tuple[str, ...]:
        """Return the modules that must be installed."""
        return (self.package,) if self.package else ()

    def not_installed(self, package: str) -> ConfigurationError:
        return ConfigurationError(
            Fault.NOT_INSTALLED,
            f"{package} is not installed.",
            f'Install it: python -m pip install "{self.requirement}"',
        )

    def values(self, name: str, args: Sequence[str]) -> list[str | None]:
        """
        Return an option's values, on the command line or in the server's own file.

        As in ``config.argv.values_of``, a flag is "", and None if it is off.
        """
        given = values_of(name, args, self.option_table)
        if not given and (elsewhere := self.configured_elsewhere(args).get(name)):
            given = list(elsewhere.values)
        return given

    def option(self, name: str, args: Sequence[str]) -> str:
        """Return an option's last value; "" if it has none."""
        return (self.values(name, args) or [""])[-1] or ""

    def is_on(self, name: str, args: Sequence[str]) -> bool:
        """Tell whether a switch is turned on."""
        value = (self.values(name, args) or [None])[-1]
        return value is not None and value.lower() not in FALSE

    def configured_elsewhere(self, args: Sequence[str]) -> Mapping[str, Elsewhere]:
        """
        Return the options from the server's own environment or configuration file.

        Args:
            args: The command line, which may name that file.

        Returns:
            The settings by the name of the option, as ``option_table`` has it.
        """
        if not self.env_prefix:
            return {}
        found = {}
        for variable, value in sorted(self._variables().items()):
            option = variable.removeprefix(self.env_prefix).replace("_", "-").lower()
            if (
                variable.startswith(self.env_prefix)
                and self.option_table.knows(option)
                # Kubernetes' own variables: see launch.environment.
                and not value.startswith("tcp://")
            ):
                name = self.option_table.find(option)[0].name
                why = "the server reads it itself"
                found[name] = Elsewhere(variable, (value,), "environment", why)
        return found

    def given_elsewhere(self, option: str) -> bool:
        """Tell whether the server's own environment or file sets an option."""
        return option in self.configured_elsewhere(self.written)

    def _variables(self) -> dict[str, str]:
        """Return the environment, with ``ENV``."""
        own = self.config.get("ENV", {})
        return {**os.environ, **{name: str(value) for name, value in own.items()}}

    def _layers_below_args(self) -> list[Layer]:
        """Return the layers that are weaker than ``ARGS``, the weakest first."""
        layers = [
            self._layer({option: default.value}, default)
            for option, default in self.default_options().items()
        ]
        for key in self.keys:
            resolved = self.resolve(key)
            if resolved.value is not None:
                layers.append(
                    self._layer(self.translate(key, resolved.value), resolved)
                )
        return [layer for layer in layers if layer.words]

    def _layer(self, options: Mapping[str, object], resolved: Resolved) -> Layer:
        # The server's own variables are stronger than our defaults.
        is_written = resolved.origin in KEYS
        kept = {
            option: value
            for option, value in options.items()
            if is_written or not self.given_elsewhere(option)
        }
        return Layer(resolved.origin, render(kept, self.option_table), resolved.why)

    def installed_options(self) -> InstalledOptions | None:
        """Return a reader of the installed server's options; None if there is none."""
        from django_prodserver.backends.introspection import installed

        return installed.installed_options(self.option_file)

    def deployment_warnings(self) -> Iterator[CheckMessage]:
        """
        Yield what ``manage.py check --deploy`` should report about this process.

        The name of the process precedes each message: " has ..." or ": ...".
        """
        yield from ()

    def finishes_on(self, signum: int, args: Sequence[str]) -> bool:
        """
        Tell whether SIGTERM or SIGINT lets the work in progress finish.

        If it does not, the request or task is cut off.
        """
        return True

    def clean_exit_code(self, signum: int, args: Sequence[str]) -> int:
        """
        Return the exit code after a stop within ``GRACEFUL_TIMEOUT``.

        Negative, as in ``subprocess``, if the signal itself ends the process.
        """
        return 0

    def cut_exit_code(self, args: Sequence[str]) -> int:
        """Return the exit code after ``GRACEFUL_TIMEOUT`` has cut off the work."""
        return UNFINISHED
