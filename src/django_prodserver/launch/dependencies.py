"""Check whether a database, a broker, a cache or an address is available."""

from __future__ import annotations

import socket
from collections.abc import Callable
from functools import partial

from django.db import connections

from django_prodserver.backends.base import Backend
from django_prodserver.config import wait_for
from django_prodserver.health import checks
from django_prodserver.process import bootstrap
from django_prodserver.process.retry import describe_error

# Seconds, for clients with a timeout; launch.wait_for kills the others.
_TIMEOUT = 5

Check = Callable[[], object]


def prepare(name: str, backend: Backend) -> Check:
    """Return a function that raises if ``name`` is not available; do its imports."""
    if address := wait_for.address(name):
        return partial(_connect, address)
    if name == "broker":
        # The settings are checked, so the backend has a broker.
        return backend.broker()
    kind, alias = wait_for.split_alias(name)
    if kind != "cache":
        # A missing driver is an error at once; waiting would not help.
        with bootstrap.named_driver_errors():
            connections[alias]
    return partial(checks.BUILT_IN[kind], alias)


def find_problem(check: Check) -> str:
    """Return why a check fails, in a line without secrets; "" if it passes."""
    try:
        check()
    except checks.NotReady as error:
        return str(error)
    except Exception as error:
        return describe_error(error)
    return ""


def _connect(address: tuple[str, int]) -> None:
    socket.create_connection(address, _TIMEOUT).close()
