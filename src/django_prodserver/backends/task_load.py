"""Send tasks for ``--compare`` to a queue that nothing else uses."""

from __future__ import annotations

import inspect
from abc import ABC, abstractmethod
from collections.abc import Iterable
from typing import Any
from urllib.parse import urlsplit

from django_prodserver.exceptions import UsageError
from django_prodserver.text import safe_repr

#: The queue of the compared tasks, which no real worker has.
QUEUE = "prodserver-compare"
#: The brokers that are on this machine if the URL has no host.
_LOCAL_BY_DEFAULT = ("amqp", "pyamqp", "redis", "rediss")
_LOOPBACK = ("localhost", "::1", "")


class TaskLoad(ABC):
    """Sends tasks to a separate queue, and removes those that remain."""

    #: More options of the worker's command line.
    words: tuple[str, ...] = ()

    @abstractmethod
    def hosts(self) -> Iterable[str]:
        """Return the hosts of the broker; "" for one on this machine."""

    @abstractmethod
    def select(self, task: str) -> None:
        """
        Select the task to send.

        Raises:
            UsageError: There is no such task, or it cannot be sent without arguments.
        """

    @abstractmethod
    def send(self, number: int) -> None:
        """Send the task that many times."""

    @abstractmethod
    def clear(self) -> None:
        """Remove the tasks that remain on the queue."""

    def check_hosts(self) -> None:
        """
        Check that the broker is on this machine.

        Raises:
            UsageError: It is not.
        """
        for host in self.hosts():
            is_local = host in _LOOPBACK or host.startswith(("127.", "/"))
            if not is_local:
                message = f"The broker is on {safe_repr(host)}, not on this machine."
                hint = "--compare only uses a broker on localhost. Start one there."
                raise UsageError(message, hint)


def host_of(url: str) -> str:
    """Return the host of a broker's URL; "" for this machine, a file or a socket."""
    parts = urlsplit(url)
    is_file = any(word in parts.scheme for word in ("socket", "sqlite", "filesystem"))
    is_default = not parts.hostname and parts.scheme in _LOCAL_BY_DEFAULT
    return "" if is_file or is_default else parts.hostname or parts.scheme


def check_arguments(name: str, function: Any) -> None:
    """
    Check that a function can be called without arguments.

    Raises:
        UsageError: It cannot.
    """
    try:
        inspect.signature(function).bind()
    except TypeError:
        message = f"The task {name!r} needs arguments, and --compare sends none."
        hint = "Name a task whose arguments all have defaults."
        raise UsageError(message, hint) from None
