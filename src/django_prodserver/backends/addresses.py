"""The addresses of a web server, in the form that the probe reads."""

from __future__ import annotations

import contextlib
import os
import socket
from collections.abc import Sequence
from pathlib import Path

from django.conf import settings

from django_prodserver.config.bind import join_host_port

_LOOPBACK = ("tcp://127.", "tcp://localhost:", "tcp://[::1]:")


def only_loopback(addresses: Sequence[str]) -> bool:
    """Tell whether addresses are known and none is reachable from outside."""
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


def of_descriptor(descriptor: int) -> tuple[str, ...]:
    """Return the address of an inherited socket that listens; () for anything else."""
    try:
        with socket.socket(fileno=os.dup(descriptor)) as listener:
            if not listener.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN):
                return ()
            name = listener.getsockname()
    except OSError:
        return ()
    if isinstance(name, tuple):
        return (tcp(*name[:2]),)
    return (unix(name),) if name and isinstance(name, str) else ()


def from_systemd() -> tuple[str, ...]:
    """Return the addresses of the sockets that systemd has opened for this process."""
    if os.environ.get("LISTEN_PID") != str(os.getpid()):
        return ()
    given = os.environ.get("LISTEN_FDS", "")
    descriptors = range(3, 3 + int(given)) if given.isdecimal() else ()
    return tuple(each for one in descriptors for each in of_descriptor(one))


def remove_stale(address: str) -> None:
    """Remove a unix socket that a killed server left behind."""
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
            pass  # its server is busy or belongs to another user


def host_header() -> str:
    """Return a Host header that the site accepts: the first of ``ALLOWED_HOSTS``."""
    for host in settings.ALLOWED_HOSTS:
        if host != "*":
            return str(host).removeprefix(".")
    return "localhost"
