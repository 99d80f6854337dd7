"""The interface that both workers of Django Tasks implement."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from typing import Any, ClassVar

from django_prodserver.backends.introspection import OptionFile
from django_prodserver.config.argv import OptionTable
from django_prodserver.config.keys import Resolved, Translation


class WorkerCommand(ABC):
    """
    Describe a management command that runs Django's tasks.

    ``DjangoTasksWorker`` selects one by its entry of ``TASKS``, and takes everything
    from it that differs between the two.
    """

    #: The management command.
    name: ClassVar[str]
    #: The generated table of its options.
    option_file: ClassVar[OptionFile]
    #: The module that is missing when the worker is not installed.
    package: ClassVar[str]
    #: The package that pip installs, if that is not our extra.
    requirement: ClassVar[str] = ""
    #: The portable settings that differ between the two, and the options they become.
    keys: ClassVar[Mapping[str, Translation]]
    #: Options that apply where nothing else sets them.
    defaults: ClassVar[Mapping[str, Resolved]] = {}
    #: Why it does not run on Windows; "" if it does.
    windows_obstacle: ClassVar[str] = ""
    #: Whether ``WAIT_FOR`` may name the broker.
    has_broker: ClassVar[bool] = False

    def __init__(self, entry: Mapping[str, Any]) -> None:
        self.entry = entry

    def native_args(self, args: object) -> object:
        """Return the part of ``ARGS`` that is meant for the command."""
        return args

    def words(self, args: Sequence[str], queues: Sequence[str]) -> list[str]:
        """
        Return the command line after the command's name.

        Args:
            args: The options.
            queues: The value of ``QUEUES``.
        """
        return list(args)

    @abstractmethod
    def heartbeat_max_age(self, args: Sequence[str], table: OptionTable) -> float:
        """Return the age in seconds at which a heartbeat no longer counts."""

    @abstractmethod
    def install_heartbeat(self) -> None:
        """Make the worker's loop call ``health.heartbeat.beat``."""

    @abstractmethod
    def install_shutdown_deadline(self, seconds: float) -> None:
        """Make the worker exit within ``seconds`` of a stop."""

    def broker(self, queues: Sequence[str]) -> Callable[[], object]:
        """Return a function that raises if the broker does not answer."""
        raise NotImplementedError
