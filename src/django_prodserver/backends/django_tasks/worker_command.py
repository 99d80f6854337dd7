"""What the two workers of Django Tasks have in common."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from typing import Any, ClassVar

from django_prodserver.config.argv import OptionTable
from django_prodserver.config.keys import Resolved, Translation


class WorkerCommand(ABC):
    """
    A management command that runs Django's tasks.

    ``DjangoTasksWorker`` chooses one by its entry of ``TASKS``, and asks it for
    everything in which the two differ.
    """

    #: The management command, and the beginning of the name of its table of options.
    name: ClassVar[str]
    #: The module whose absence means that it is not installed.
    package: ClassVar[str]
    #: What pip installs, where that is not our extra.
    requirement: ClassVar[str] = ""
    #: What the portable settings become that differ between the two.
    keys: ClassVar[Mapping[str, Translation]]
    #: Options given where nothing else gives them.
    defaults: ClassVar[Mapping[str, Resolved]] = {}
    has_broker: ClassVar[bool] = False

    def __init__(self, entry: Mapping[str, Any]) -> None:
        self.entry = entry

    def native_args(self, args: object) -> object:
        """Return what of ``ARGS`` are options of the command."""
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
        """Return the seconds after which a heartbeat no longer counts."""

    @abstractmethod
    def install_heartbeat(self) -> None:
        """Have the worker's loop call ``health.heartbeat.beat``."""

    @abstractmethod
    def install_shutdown_deadline(self, seconds: float) -> None:
        """Have the worker exit within so many seconds of a stop."""

    def broker(self, queues: Sequence[str]) -> Callable[[], object]:
        """Return what raises if the broker does not answer, where there is one."""
        raise NotImplementedError
