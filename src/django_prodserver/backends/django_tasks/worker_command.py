"""The interface that all workers of Django Tasks implement."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from typing import Any, ClassVar

from django_prodserver.backends.introspection import OptionFile
from django_prodserver.config.argv import Option, OptionTable, drop, render
from django_prodserver.config.keys import Resolved, Translation

_BACKEND = OptionTable([Option("backend", "value", "--backend")])


class WorkerCommand(ABC):
    """
    Describe a management command that runs Django's tasks.

    ``DjangoTasksWorker`` selects one by its entry of ``TASKS``, and reads from it
    everything that differs between the workers.
    """

    #: The management command.
    name: ClassVar[str]
    #: The generated table of its options.
    option_file: ClassVar[OptionFile | None] = None
    #: Whether the command has db_worker's option ``--backend``.
    has_backend_option: ClassVar[bool] = True
    #: The module that is missing when the worker is not installed.
    package: ClassVar[str]
    #: The package that pip installs, if that is not our extra.
    requirement: ClassVar[str] = ""
    #: The portable settings that differ between them, and the options they become.
    keys: ClassVar[Mapping[str, Translation]]
    #: Options that apply if nothing else sets them.
    defaults: ClassVar[Mapping[str, Resolved]] = {}
    #: Why it does not run on Windows; "" if it does.
    windows_obstacle: ClassVar[str] = ""
    #: Whether ``WAIT_FOR`` may name the broker.
    has_broker: ClassVar[bool] = False

    def __init__(self, entry: Mapping[str, Any]) -> None:
        self.entry = entry

    def native_args(self, args: object) -> object:
        """Return the part of ``ARGS`` that is meant for the command."""
        if self.has_backend_option:
            return args
        if isinstance(args, Mapping):
            names = {name: _BACKEND.find(str(name))[0].name for name in args}
            return {name: args[name] for name in args if names[name] != "backend"}
        return self._without_backend(render(args, _BACKEND))

    def words(self, args: Sequence[str], queues: Sequence[str]) -> list[str]:
        """
        Return the command line after the command's name.

        Args:
            args: The options.
            queues: The value of ``QUEUES``.
        """
        return list(args) if self.has_backend_option else self._without_backend(args)

    def _without_backend(self, args: Sequence[str]) -> list[str]:
        return drop(args, ["backend"], _BACKEND)

    @abstractmethod
    def heartbeat_max_age(self, args: Sequence[str], table: OptionTable) -> float:
        """Return the age in seconds at which a heartbeat no longer counts."""

    @abstractmethod
    def install_heartbeat(self) -> None:
        """Make the worker's loop call ``health.heartbeat.beat``."""

    @abstractmethod
    def install_shutdown_deadline(self, seconds: float) -> None:
        """Make the worker exit within ``seconds`` of a stop."""

    def install_task_log(self) -> None:  # noqa: B027  # most have no log to prepare
        """Prepare the package's own log, beside that of Django's signals."""

    def broker(self, queues: Sequence[str]) -> Callable[[], object]:
        """Return a function that raises if the broker does not answer."""
        raise NotImplementedError
