"""What a backend is: the public extension point, and the declarative kind on it."""

from __future__ import annotations

import os
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping, Sequence
from importlib.util import find_spec
from typing import Any, ClassVar

from django_prodserver import options, scripts
from django_prodserver.arguments import Grammar, merge, render, value_of
from django_prodserver.exceptions import ConfigurationError, Fault

#: Seconds a stop may take: within the 30 that Kubernetes and ECS give.
GRACEFUL_TIMEOUT = 25


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

    grammar = Grammar()

    def __init__(self, **config: Any) -> None:
        self.config = config
        self.args = render(config.get("ARGS", {}), self.grammar)

    def prep_server_args(self) -> list[str]:
        """Return the words that ``start_server`` is to be called with."""
        return list(self.args)

    @abstractmethod
    def start_server(self, *args: str) -> None:
        """Become, or run until its end, the server."""


class BaseWorkerBackend(BaseServerBackend):
    """Base class of 3.x for what serves no requests; nothing depends on it."""


#: Base class of 3.x for both.
BaseProcessBackend = BaseServerBackend


class KnownBackend(BaseServerBackend):
    """A backend whose keys we know, and that can be asked before it is started."""

    #: What it is for the probe: "web" is asked over HTTP.
    kind: ClassVar[str] = "worker"
    #: Neutral keys, and the option that each is for this server; "" where the
    #: backend does it by itself.
    keys: ClassVar[Mapping[str, str]] = {}

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

    def max_age(self, args: Sequence[str]) -> float:
        """
        Return the seconds after which a heartbeat of its loop no longer counts.

        It fits the loop, and is a default: ``HEALTH`` has the last word. 0, as a
        rule, where there is no heartbeat.
        """
        return 0

    @property
    def has_broker(self) -> bool:
        """Whether it is known what the broker is that ``WAIT_FOR`` may name."""
        # A web process that sends tasks can say so.
        return "APP" in self.config

    def broker(self) -> Callable[[], object]:
        """Return what raises if the broker does not answer; Django is set up."""
        from django_prodserver.backends.celery import broker_of

        return broker_of(str(self.config["APP"]))


class Backend(KnownBackend):
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
    #: The table in ``django_prodserver.options`` that describes the command.
    table: ClassVar[str]
    #: What the server wants between list items of an option it takes once.
    join: ClassVar[str] = ","
    #: Options given where neither ARGS nor the environment gives them.
    defaults: ClassVar[Mapping[str, object]] = {}
    #: The prefix of the variables that the server reads its options from.
    env_prefix: ClassVar[str] = ""

    def __init__(self, **config: Any) -> None:
        super().__init__(**config)
        weaker = {
            option: value
            for option, value in self.default_options().items()
            if not self.given_elsewhere(option)
        }
        for key, option in self.keys.items():
            if option and key in config:
                weaker[option] = config[key]
        self.args = merge(render(weaker, self.grammar), self.args, self.grammar)

    @property
    def grammar(self) -> Grammar:  # type: ignore[override]
        return options.grammar(self.table, self.join)

    def default_options(self) -> Mapping[str, object]:
        """Return the options given where neither ARGS nor the environment does."""
        return self.defaults

    @property
    def requirement(self) -> str:
        """What to install for it, as pip is told."""
        return f"django-prodserver[{self.extra}]"

    @abstractmethod
    def command(self, args: Sequence[str]) -> list[str]:
        """Return the native command for these options, the script's name first."""

    def argv(self, *overrides: str) -> list[str]:
        """Return the native command, with what the command line overrides."""
        return self.command(merge(self.prep_server_args(), overrides, self.grammar))

    def start_server(self, *args: str) -> None:
        """Replace this process with the native command."""
        argv = self.command(args)
        script = scripts.find(argv[0])
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

    def join_loop(self) -> None:
        """
        Have the worker's own loop call ``health.heartbeat.beat``, each second or so.

        Called once, in the process that the worker is, before it starts and with
        Django set up; only where ``max_age`` says that there is a heartbeat.
        """

    def bound_stop(self, seconds: float) -> None:
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

    def solo(self) -> dict[str, object]:
        """Return the options that make it one worker, for development."""
        return {}

    def check(self) -> Iterator[ConfigurationError]:
        for package in (self.package, *self.needs):
            if find_spec(package) is None:
                yield self.not_installed(package)

    def not_installed(self, package: str) -> ConfigurationError:
        return ConfigurationError(
            Fault.NOT_INSTALLED,
            f"{package} is not installed.",
            f'Install it: python -m pip install "{self.requirement}"',
        )

    def option(self, name: str, args: Sequence[str]) -> str:
        """Return an option's value: of the command, else of the environment."""
        given = value_of(name, args, self.grammar)
        variable = self.env_prefix + name.replace("-", "_").upper()
        if given is None and self.env_prefix:
            given = os.environ.get(variable)
        return given or ""

    def given_elsewhere(self, option: str) -> bool:
        """Tell whether the server's own environment sets it: a default yields."""
        variable = self.env_prefix + option.replace("-", "_").upper()
        return bool(self.env_prefix) and variable in os.environ
