"""Addresses on which a web server listens, in the form that the probe reads."""

from __future__ import annotations

import contextlib
import socket
from collections.abc import Sequence
from pathlib import Path

from django.conf import settings

from django_prodserver.config.bind import join_host_port

_LOOPBACK = ("tcp://127.", "tcp://localhost:", "tcp://[::1]:")


def only_loopback(addresses: Sequence[str]) -> bool:
    """Tell whether addresses are known, and none can be reached from outside."""
    return bool(addresses) and all(each.startswith(_LOOPBACK) for each in addresses)


def tcp(host: str, port: object) -> str:
    """Return a TCP address: ``tcp://127.0.0.1:8000`` or ``tcp://[::1]:8000``."""
    return f"tcp://{join_host_port(host.strip('[]'), port)}"


def unix(path: str) -> str:
    """Return the address of a unix socket: ``unix:///run/web.sock``."""
    return f"unix://{path}"


def is_unix(address: str) -> bool:
    """Tell whether an address is that of a unix socket."""
    return address.startswith("unix://")


def remove_stale(address: str) -> None:
    """Remove a unix socket that a killed server left behind: nothing listens on it."""
    kind, _, path = address.partition("://")
    if kind != "unix" or not Path(path).is_socket():
        return
    with socket.socket(socket.AF_UNIX) as client:
        client.settimeout(1)
        try:
            client.connect(path)
        except ConnectionRefusedError:
            with contextlib.suppress(OSError):
                Path(path).unlink()
        except OSError:
            pass  # its server is busy, or another user's


def host_header() -> str:
    """Return a Host header that the site accepts: the first of ``ALLOWED_HOSTS``."""
    for host in settings.ALLOWED_HOSTS:
        if host != "*":
            return str(host).removeprefix(".")
    return "localhost"
