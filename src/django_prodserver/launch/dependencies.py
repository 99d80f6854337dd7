"""Whether a database, a broker or an address is there."""

from __future__ import annotations

import socket
from collections.abc import Callable
from functools import partial

from django_prodserver.backends.base import Backend
from django_prodserver.config import wait_for
from django_prodserver.health import checks
from django_prodserver.process.retry import describe_error

# Seconds, for what takes a time-out; what takes none is ended by who asked.
_TIMEOUT = 5

Look = Callable[[], object]


def prepare(name: str, backend: Backend) -> Look:
    """Return what raises if what is named is not there, with all imports done."""
    if address := wait_for.address(name):
        return partial(_connect, address)
    if name == "broker":
        # No other backend is let through by the checks of the settings.
        return backend.broker()
    return partial(checks.BUILT_IN[name], "default")


def problem(look: Look) -> str:
    """Return why it is not there, in a line without secrets; "" if it is."""
    try:
        look()
    except checks.NotReady as error:
        return str(error)
    except Exception as error:
        return describe_error(error)
    return ""


def _connect(address: tuple[str, int]) -> None:
    socket.create_connection(address, _TIMEOUT).close()
