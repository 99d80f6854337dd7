"""Deployment warnings that apply to any web server."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from django.core.checks import Warning

from django_prodserver.backends.addresses import only_loopback
from django_prodserver.checks.ids import WarningId
from django_prodserver.config.container import in_container

if TYPE_CHECKING:
    from django_prodserver.backends.base import CommandBackend

_ANYONE = {"*", "0.0.0.0/0", "::/0"}
#: The longest TIMEOUT, in seconds, that limits a request usefully: Kubernetes and
#: load balancers give up on a request far sooner.
_MAX_TIMEOUT = 60


def unreachable_address(addresses: Sequence[str]) -> Iterator[Warning]:
    """Yield a warning if a container listens on loopback addresses only."""
    if only_loopback(addresses) and in_container():
        message = f" listens on {addresses[0]}, which nothing outside can reach."
        hint = 'Write "BIND": "0.0.0.0:8000", or set PRODSERVER_HOST to 0.0.0.0.'
        yield Warning(message, hint=hint, id=WarningId.ADDRESS)


def one_request_at_a_time(backend: CommandBackend) -> Iterator[Warning]:
    """Yield a warning if one slow request blocks all others."""
    workers = backend.option("workers", backend.args) or "1"
    if backend.request_concurrency(backend.args) != 1 or workers != "1":
        return
    timeout = backend.option("timeout", backend.args)
    if not backend.option_table.knows("timeout") or (
        timeout.isdecimal() and not 0 < int(timeout) <= _MAX_TIMEOUT
    ):
        message = (
            " handles one request at a time, so one slow request blocks all others."
        )
        hint = 'Write "THREADS": 4 or "WORKERS": 2.'
        yield Warning(message, hint=hint, id=WarningId.ONE_AT_A_TIME)


def trusts_anyone(proxies: set[str]) -> Iterator[Warning]:
    """Yield a warning if any client can forge its own address."""
    if anyone := sorted(proxies & _ANYONE):
        message = f" trusts X-Forwarded-* headers from any client ({anyone[0]})."
        hint = "Name your proxies, such as 10.0.0.0/8, unless only they can reach it."
        yield Warning(message, hint=hint, id=WarningId.TRUSTS_ANYONE)
