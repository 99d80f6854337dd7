"""Plan a start: the command, the origin of each option, and any faults."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass

from django.conf import settings

from django_prodserver.backends import loader
from django_prodserver.backends.base import Backend
from django_prodserver.config.argv import Layer, render
from django_prodserver.config.context import NATIVE, VARIABLE, Context
from django_prodserver.config.processes import Process
from django_prodserver.exceptions import ConfigurationError, UsageError
from django_prodserver.health import conf as health
from django_prodserver.launch import environment, origins
from django_prodserver.launch.origins import Row


@dataclass(frozen=True)
class Plan:
    """
    Everything about a start, before anything is started.

    Attributes:
        process: The process.
        backend: Its backend.
        args: The options, including those of the command line.
        overrides: The options of the command line.
        base_command: The native command without its options, ``PREFIX`` first; the
            dotted path of the backend if it has no native command.
        command: The native command, ``PREFIX`` first; empty for a backend that has
            only ``start_server``.
        commands: The equivalent native commands; several for a release.
        environment: The environment variables that the command needs.
        context: The data that is passed to the process; None for a backend of another
            package that we know nothing about.
        rows: Each option, variable and key with its origin.
        notes: The number that each "auto" stands for, a line each.
        faults: The errors that prevent a start.
    """

    process: Process
    backend: Backend
    args: tuple[str, ...]
    overrides: tuple[str, ...]
    base_command: tuple[str, ...]
    command: tuple[str, ...]
    commands: tuple[tuple[str, ...], ...]
    environment: dict[str, str]
    context: Context | None
    rows: tuple[Row, ...]
    notes: tuple[str, ...]
    faults: tuple[ConfigurationError, ...]

    @property
    def prefix(self) -> tuple[str, ...]:
        """The words of ``PREFIX``, with which the command begins."""
        return tuple(self.process.config.get("PREFIX", ()))

    @property
    def options(self) -> tuple[str, ...]:
        """The words of the command after the name of its script."""
        return self.command[len(self.prefix) + 1 :]

    @property
    def runs_management_command(self) -> bool:
        """Whether the command is ``django-admin``, or is run by the project's entry."""
        native = self.backend.as_command()
        return bool(native and native.is_management_command)

    def check(self) -> None:
        """
        Check that the process can be started.

        Raises:
            ConfigurationError: The first fault.
        """
        for fault in self.faults:
            raise fault


class _OptionWord(str):
    """A word of a command that is an option."""

    __slots__ = ()


def make_plan(
    process: Process,
    overrides: Sequence[str] = (),
    *,
    development: bool = False,
    native: bool = False,
) -> Plan:
    """
    Return the plan of a process; nothing is started or changed.

    Args:
        process: The process.
        overrides: Options of the command line, which replace the configured ones.
        development: Whether ``devserver`` starts it: with one worker, and with static
            files where DEBUG is on.
        native: Whether the command must run where this package is not installed.

    Raises:
        ConfigurationError: The backend cannot be loaded. All other faults are in the
            plan.
        UsageError: The backend takes no options.
    """
    for _, fault in process.faults():
        raise fault
    if native:
        config = {**process.config, "LOG_FORMAT": NATIVE}
        process = dataclasses.replace(process, config=config)
    backend = loader.load(process, native)
    if overrides:
        backend.add_overrides(overrides)
    faults = list(loader.backend_faults(process, backend))
    if backend.kind == "web" and health.is_installed():
        faults += health.faults()

    layers = _layers(backend, overrides, development)
    args = backend.prep_server_args()
    for layer in layers:
        if layer.origin in ("devserver", "command line"):
            args = backend.override(args, layer.words)
    args = [_OptionWord(word) for word in args]

    command: list[str] = []
    commands: list[list[str]] = []
    try:
        with process.named_faults():
            if development and settings.DEBUG:
                backend.serve_static_files(args)
            commands = backend.native_commands(args)
    except ConfigurationError as error:
        faults.append(error)
    except UsageError:
        # Faults of the settings are reported first.
        if not faults:
            raise
    if commands and backend.as_command():
        command = [*process.config.get("PREFIX", ()), *commands[0]]
        commands = [command]
    base_command = [word for word in command if not isinstance(word, _OptionWord)]
    if not command:
        base_command = [str(process.config["BACKEND"])]

    context = None if native else backend.context(args, process.name)
    before = Context.from_environment()
    if context and before and before.process == process.name:
        context = dataclasses.replace(context, changes=before.changes)
    variables = backend.environment() | environment.of_command(process)
    rows = origins.find_rows(base_command, args, layers, backend)
    rows += origins.variable_rows(variables, process.environment)
    if context:
        variables[VARIABLE] = context.encode()
    return Plan(
        process=process,
        backend=backend,
        args=tuple(args),
        overrides=tuple(overrides),
        base_command=tuple(base_command),
        command=tuple(command),
        commands=tuple(map(tuple, commands)),
        environment=variables,
        context=context,
        rows=tuple(rows),
        notes=tuple(origins.notes(rows)),
        faults=tuple(faults),
    )


def _layers(
    backend: Backend, overrides: Sequence[str], development: bool
) -> list[Layer]:
    """Return the options by origin, the weakest first."""
    layers = list(backend.layers)
    if development:
        options = render(backend.development_options(), backend.option_table)
        layers.append(Layer("devserver", options))
    layers.append(Layer("command line", list(overrides)))
    return layers
