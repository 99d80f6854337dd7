"""Deployment warnings that apply to any web server."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from django.core.checks import Warning

from django_prodserver.checks.ids import WarningId

if TYPE_CHECKING:
    from django_prodserver.backends.base import CommandBackend

_LOOPBACK = ("tcp://127.", "tcp://localhost:", "tcp://[::1]:")
_ANYONE = {"*", "0.0.0.0/0", "::/0"}
#: The longest TIMEOUT, in seconds, that limits a request usefully: Kubernetes and
#: load balancers give up on a request far sooner.
_MAX_TIMEOUT = 60


def in_container(root: Path = Path("/")) -> bool:
    """Tell whether this process runs in a container."""
    files = (root / ".dockerenv", root / "run/.containerenv")
    return "KUBERNETES_SERVICE_HOST" in os.environ or any(f.exists() for f in files)


def unreachable_address(addresses: Sequence[str]) -> Iterator[Warning]:
    """Yield a warning if a container listens on loopback addresses only."""
    is_loopback = addresses and all(each.startswith(_LOOPBACK) for each in addresses)
    if is_loopback and in_container():
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
        message = " answers one request at a time, and one may take long."
        hint = 'Write "THREADS": 4 or "WORKERS": 2.'
        yield Warning(message, hint=hint, id=WarningId.ONE_AT_A_TIME)


def trusts_anyone(proxies: set[str]) -> Iterator[Warning]:
    """Yield a warning if any client can forge its own address."""
    if anyone := sorted(proxies & _ANYONE):
        message = f" believes X-Forwarded-* headers of anyone ({anyone[0]})."
        hint = (
            "Name the proxies, such as 10.0.0.0/8; keep it if none else can reach it."
        )
        yield Warning(message, hint=hint, id=WarningId.TRUSTS_ANYONE)
