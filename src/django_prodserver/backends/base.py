"""What a backend is: the public extension point, and the declarative kind on it."""

from __future__ import annotations

import os
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping, Sequence
from importlib.util import find_spec
from typing import Any, ClassVar

from django_prodserver.backends import introspection, layers
from django_prodserver.backends.layers import Default, Layer
from django_prodserver.config import keys
from django_prodserver.config.argv import OptionTable, merge, render, value_of
from django_prodserver.config.keys import KEYS, Resolved, Translation, Unsupported
from django_prodserver.exceptions import ConfigurationError, Fault
from django_prodserver.logs import options as logs
from django_prodserver.logs.options import Options
from django_prodserver.process import executable
from django_prodserver.text import safe_repr


class BaseServerBackend(ABC):
    """
    The least a backend is: subclass it and write ``start_server``.

    It is made as ``BACKEND(**config)``, with the process's own dictionary from
    ``PRODUCTION_PROCESSES``, and called as
    ``backend.start_server(*backend.prep_server_args())`` in a process where
    Django is set up. A backend written for django-prodserver 2.x or 3.x is one.

    Attributes:
        config: The process's dictionary.
        args: ``ARGS`` as a list of command-line words.
    """

    option_table = OptionTable()

    def __init__(self, **config: Any) -> None:
        self.config = config
        self.args = render(config.get("ARGS", {}), self.option_table)

    def prep_server_args(self) -> list[str]:
        """Return the words that ``start_server`` is to be called with."""
        return list(self.args)

    def override(self, words: Sequence[str], stronger: Sequence[str]) -> list[str]:
        """Return the options, with what stronger ones replace."""
        return merge(words, stronger, self.option_table)

    @abstractmethod
    def start_server(self, *args: str) -> None:
        """Become, or run until its end, the server."""


class BaseWorkerBackend(BaseServerBackend):
    """Base class of 3.x for what serves no requests; nothing depends on it."""


#: Base class of 3.x for both.
BaseProcessBackend = BaseServerBackend


class Backend(BaseServerBackend):
    """A backend whose keys we know, and that can be asked before it is started."""

    #: What it is for the probe: "web" is asked over HTTP.
    kind: ClassVar[str] = "worker"
    #: Its keys beside those of every process, and what each becomes.
    keys: ClassVar[Mapping[str, Translation]] = {"LOG_LEVEL": "", "LOG_FORMAT": ""}

    def native(self, args: Sequence[str]) -> list[list[str]]:
        """
        Return the native commands that do the same, one after the other, if any.

        Raises:
            ProdserverError: These options cannot be had.
        """
        return []

    def check(self) -> Iterator[ConfigurationError]:
        """Yield what the settings lack for this backend."""
        yield from ()

    def check_loaded(self) -> None:
        """Raise for what can only be seen in a process where Django is set up."""

    def addresses(self, args: Sequence[str]) -> tuple[str, ...]:
        """
        Return where it listens: ``tcp://host:port`` or ``unix://path``, each.

        None where only the server itself knows (a socket it is handed down, a
        configuration file).
        """
        return ()

    def speaks_tls(self, args: Sequence[str]) -> bool:
        return False

    def path(self, args: Sequence[str]) -> str:
        """Return what the probe asks for."""
        return "/"

    def heartbeat_max_age(self, args: Sequence[str]) -> float:
        """
        Return the seconds after which a heartbeat of its loop no longer counts.

        It fits the loop, and is a default: ``HEALTH`` has the last word. 0, as a
        rule, where there is no heartbeat.
        """
        return 0

    def resolve(self, key: str) -> Resolved:
        """Return the value of a neutral key, with its origin."""
        return layers.resolve(self, key)

    def logs(self, args: Sequence[str], process: str) -> Options:
        """Return how a process of that name logs."""
        form, level = (self.resolve(key).value for key in ("LOG_FORMAT", "LOG_LEVEL"))
        access = self.access_log(args)
        return Options(form, level, access, self.native_name, process)

    @property
    def logs_natively(self) -> bool:
        return bool(self.resolve("LOG_FORMAT").value == logs.NATIVE)

    @property
    def native_name(self) -> str:
        """The native command's name, with that of its sub-command behind it."""
        return ""

    def access_log(self, args: Sequence[str]) -> str:
        """Return whether requests are logged, as ``Options`` has it."""
        return logs.OFF

    @property
    def has_broker(self) -> bool:
        """Whether it is known what the broker is that ``WAIT_FOR`` may name."""
        # A web process that sends tasks can say so.
        return "APP" in self.config

    def broker(self) -> Callable[[], object]:
        """Return what raises if the broker does not answer; Django is set up."""
        from django_prodserver.backends.celery.backend import broker_of

        return broker_of(str(self.config["APP"]))


class CommandBackend(Backend):
    """
    A backend that says which command to run, and leaves the running to us.

    No server is imported to make, list, check or print one.
    """

    #: The console script; ``django-admin`` for a management command.
    script: ClassVar[str]
    #: The module whose absence means that the server is not installed.
    package: ClassVar[str]
    #: What the server does not bring itself, and the backend needs.
    needs: ClassVar[tuple[str, ...]] = ()
    #: ``pip install "django-prodserver[extra]"``.
    extra: ClassVar[str]
    #: The table of the command's options; "" where they are not known.
    table: ClassVar[str] = ""
    #: What the server wants between list items of an option it takes once.
    join: ClassVar[str] = ","
    #: Options given where nothing else gives them, beside those of the keys.
    defaults: ClassVar[Mapping[str, Default]] = {}
    #: The prefix of the variables that the server reads its options from.
    env_prefix: ClassVar[str] = ""
    #: Variables that it reads beside those.
    variables: ClassVar[tuple[str, ...]] = ()

    def __init__(self, **config: Any) -> None:
        super().__init__(**config)
        self.layers = [*layers.below_args(self), Layer("ARGS", self.args)]
        words: list[str] = []
        for layer in self.layers:
            words = self.override(words, layer.words)
        self.args = words

    @property
    def option_table(self) -> OptionTable:  # type: ignore[override]
        return introspection.option_table(self.table, self.join)

    @property
    def native_name(self) -> str:
        return self.script

    def default_options(self) -> Mapping[str, Default]:
        """Return the options given where nothing else gives them."""
        return self.defaults

    def translate(self, key: str, value: object) -> Mapping[str, object]:
        """
        Return the options that a neutral key becomes.

        Raises:
            ConfigurationError: The server cannot be told that value.
        """
        becomes = self.keys[key]
        if isinstance(becomes, Unsupported) or not becomes:
            return {}
        return {becomes: value} if isinstance(becomes, str) else becomes(self, value)

    def unsupported_keys(self) -> dict[str, str]:
        """Return the written keys that the server cannot honour, and why."""
        return {
            key: becomes.why
            for key, becomes in self.keys.items()
            if key in self.config and isinstance(becomes, Unsupported)
        }

    def native_args(self) -> object:
        """Return what of ``ARGS`` is for the server, as it is written."""
        return self.config.get("ARGS", {})

    def request_concurrency(self, args: Sequence[str]) -> int | None:
        """Return how many requests or tasks a process has at a time; None for many."""
        return 1

    def environment(self) -> dict[str, str]:
        """Return the variables that the command needs beside the project's."""
        return {}

    @property
    def requirement(self) -> str:
        """What to install for it, as pip is told."""
        return f"django-prodserver[{self.extra}]"

    @abstractmethod
    def command(self, args: Sequence[str]) -> list[str]:
        """Return the native command for these options, the script's name first."""

    def argv(self, *overrides: str) -> list[str]:
        """Return the native command, with what the command line overrides."""
        return self.command(self.override(self.prep_server_args(), overrides))

    def start_server(self, *args: str) -> None:
        """Replace this process with the native command."""
        argv = self.command(args)
        script = executable.find(argv[0])
        os.execv(script, [script, *argv[1:]])  # noqa: S606  # no shell, on purpose

    def must_exec(self, args: Sequence[str]) -> bool:
        """Tell whether an application loaded beforehand is of no use, or harm."""
        return False

    def forks(self, args: Sequence[str]) -> bool:
        """
        Tell whether workers are forked that natively load the application each.

        What is loaded before the fork must survive it.
        """
        return False

    def load(self, args: Sequence[str]) -> None:
        """Import what the server will ask for; Django is set up by then."""

    def install_heartbeat(self) -> None:
        """
        Have the worker's own loop call ``health.heartbeat.beat``, each second or so.

        Called once, in the process that the worker is, before it starts and with
        Django set up; only where ``max_age`` says that there is a heartbeat.
        """

    def install_shutdown_deadline(self, seconds: float) -> None:
        """
        Have the worker end within so many seconds of a stop, or with exit code 1.

        Called once, in the process that the worker is, before it starts and with
        Django set up. Web servers have an option for it.
        """

    def prepare(self, args: Sequence[str]) -> str:
        """
        Put right, in this process, what the native command gets wrong.

        Returns:
            Why the command must be exec'd after all; nothing, as a rule.
        """
        return ""

    def development_options(self) -> dict[str, object]:
        """Return the options that make it one worker, for development."""
        return {}

    def check(self) -> Iterator[ConfigurationError]:
        for package in (self.package, *self.needs):
            if find_spec(package) is None:
                yield self.not_installed(package)
        for key in self.keys:
            name = KEYS[key].variable
            text = os.environ.get(name, "") if name else ""
            if text and not KEYS[key].is_right(keys.from_text(text)):
                message = f"{name} is {safe_repr(text)} in the environment."
                hint = f"Set {name} to {KEYS[key].form}, or unset it."
                yield ConfigurationError(Fault.BAD_VALUE, message, hint)

    def not_installed(self, package: str) -> ConfigurationError:
        return ConfigurationError(
            Fault.NOT_INSTALLED,
            f"{package} is not installed.",
            f'Install it: python -m pip install "{self.requirement}"',
        )

    def option(self, name: str, args: Sequence[str]) -> str:
        """Return an option's value: of the command, else of the environment."""
        given = value_of(name, args, self.option_table)
        variable = self.env_prefix + name.replace("-", "_").upper()
        if given is None and self.env_prefix:
            given = os.environ.get(variable)
        return given or ""

    def given_elsewhere(self, option: str) -> bool:
        """Tell whether the server's own environment sets it: a default yields."""
        variable = self.env_prefix + option.replace("-", "_").upper()
        return bool(self.env_prefix) and variable in os.environ
