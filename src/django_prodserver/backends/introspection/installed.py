"""Read options, and the values they accept, from the installed server."""

from __future__ import annotations

import argparse
import pkgutil
from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator, Mapping
from importlib import import_module
from importlib.metadata import version
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any, NamedTuple

from django_prodserver import backends
from django_prodserver.backends.introspection import OptionFile, parsers
from django_prodserver.config.argv import Option

if TYPE_CHECKING:
    import click

WHOLE = "Write a whole number."
NUMBER = "Write a number."


class OptionHelp(NamedTuple):
    """A server's description of an option, for the documentation."""

    default: object
    text: str


class InstalledOptions(ABC):
    """
    Read the options of a command from the installed server.

    Creating an instance imports no server; its methods do.

    Args:
        distribution: The name under which pip installs it.
        app: The app that the command belongs to, if it is a management command.
        settings: The Django settings that it needs to be imported.
        defaults: The documentation's text for defaults that depend on the machine,
            by the option's name.
        help: The documentation's text for options that the server does not describe.
    """

    def __init__(
        self,
        distribution: str,
        *,
        app: str = "",
        settings: Mapping[str, object] | None = None,
        defaults: Mapping[str, str] | None = None,
        help: Mapping[str, str] | None = None,
    ) -> None:
        self.distribution = distribution
        self.app = app
        self.settings = settings or {}
        self.defaults = defaults or {}
        self.help = help or {}

    @property
    def version(self) -> str:
        """
        The installed version.

        Raises:
            PackageNotFoundError: It is not installed.
        """
        return version(self.distribution)

    @abstractmethod
    def read_options(self) -> list[Option]:
        """Return the options of the installed server, sorted."""

    @abstractmethod
    def refusal(self, flag: str, text: str) -> str:
        """
        Return how to write an option's value; "" if the server accepts this one.

        Args:
            flag: The option, ``--workers``.
            text: The value, as it is on the command line.
        """

    @abstractmethod
    def describe(self) -> Iterator[tuple[str, OptionHelp]]:
        """Yield each option's name and the server's description of it."""


class ClickOptions(InstalledOptions):
    """Read the options of a command that is written with click."""

    def __init__(
        self,
        distribution: str,
        module: str,
        command: str,
        *,
        also: Mapping[str, Iterable[str]] | None = None,
        **more: Any,
    ) -> None:
        super().__init__(distribution, **more)
        self._module = module
        self._command = command
        self._also = also or {}

    @property
    def _click_command(self) -> click.Command:
        command: click.Command = getattr(import_module(self._module), self._command)
        return command

    def read_options(self) -> list[Option]:
        return [
            parsers.also_named(option, self._also.get(option.name, ()))
            for option in parsers.from_click(self._click_command)
        ]

    def refusal(self, flag: str, text: str) -> str:
        from click import BadParameter, Choice, Path

        for parameter in self._click_command.params:
            # A path may exist on the machine that starts it, and not on this one.
            if flag not in parameter.opts or isinstance(parameter.type, Path):
                continue
            try:
                parameter.type.convert(text, parameter, None)
            except BadParameter as error:
                if isinstance(parameter.type, Choice):
                    choices = ", ".join(repr(str(c)) for c in parameter.type.choices)
                    return f"Write one of {choices}."
                kind = parameter.type.to_info_dict()["param_type"]
                if kind.startswith(("Int", "Float")):  # IntRange too
                    return WHOLE if kind.startswith("Int") else NUMBER
                return f"The server reports: {error.message.rstrip('.')}."
        return ""

    def describe(self) -> Iterator[tuple[str, OptionHelp]]:
        for parameter in self._click_command.params:
            # This is public; the attributes are not, and some hold click's sentinels.
            info = parameter.to_info_dict()
            for flag in info["opts"]:
                help = OptionHelp(info["default"], info.get("help") or "")
                yield flag.lstrip("-"), help


class ManagementOptions(InstalledOptions):
    """Read the options of a management command."""

    def __init__(self, distribution: str, app: str, command: str, **more: Any) -> None:
        super().__init__(distribution, app=app, **more)
        self._command = command

    def read_options(self) -> list[Option]:
        return parsers.from_command(self.app, self._command)

    def refusal(self, flag: str, text: str) -> str:
        for action in self._actions():
            if flag in action.option_strings:
                return refused_by_action(action, text)
        return ""

    def describe(self) -> Iterator[tuple[str, OptionHelp]]:
        for action in self._actions():
            for flag in action.option_strings:
                name = flag.lstrip("-").removeprefix("no-")
                yield (
                    name,
                    OptionHelp(action.default, (action.help or "") % vars(action)),
                )

    def _actions(self) -> list[argparse.Action]:
        from django.core.management import load_command_class

        command = load_command_class(self.app, self._command)
        return command.create_parser("", self._command)._actions


def refused_number(kind: object, text: str) -> str:
    """Return how to write a number; "" if the text is one, or none is expected."""
    if kind is not int and kind is not float:
        return ""
    try:
        kind(text)
    except ValueError:
        return WHOLE if kind is int else NUMBER
    return ""


def refused_by_action(action: argparse.Action, text: str) -> str:
    """Return how to write a value for an argparse action, if it does not take this."""
    value: Any = text
    if callable(action.type):
        if refused := refused_number(action.type, text):
            return refused
        try:
            value = action.type(text)
        except (argparse.ArgumentTypeError, TypeError, ValueError) as error:
            return f"The server reports: {str(error).rstrip('.')}."
    if action.choices is not None and value not in action.choices:
        return f"Write one of {', '.join(repr(c) for c in action.choices)}."
    return ""


def installed_options(file: OptionFile | None) -> InstalledOptions | None:
    """Return the reader that generates a table; None without a table."""
    if file is None:
        return None
    reader: InstalledOptions = _introspect(file.package)[file.name]
    return reader


def all_tables() -> dict[OptionFile, InstalledOptions]:
    """Return the table of every backend in the package, each with its reader."""
    packages = [
        f"{backends.__name__}.{module.name}"
        for module in pkgutil.iter_modules(backends.__path__)
        if module.ispkg
    ]
    return {
        OptionFile(package, name): installed
        for package in packages
        if find_spec(f"{package}.introspect")
        for name, installed in _introspect(package).items()
    }


def _introspect(package: str) -> dict[str, InstalledOptions]:
    """Return the readers of a backend's tables, by the name of the file."""
    tables: dict[str, InstalledOptions]
    tables = import_module(f"{package}.introspect").TABLES
    return tables
