"""``BIND``: the addresses a web server listens on, in one form for all servers."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Iterator
from typing import NamedTuple

#: The default address of a web server: only a proxy on this machine can reach it.
DEFAULT_HOST = "127.0.0.1"
DEFAULT_PORT = "8000"
_TCP = re.compile(r"(?P<host>\[[0-9A-Fa-f:.%\w]+\]|[^\[\]:/\s]*):(?P<port>\d{1,5})")
_HOST = re.compile(r"[\w.-]+")
_UNIX = re.compile(r"unix:(?://)?(?P<path>/[^\0]+)")
_FD = re.compile(r"fd://(?P<fd>\d+)")


class Bind(NamedTuple):
    """One address: a host and port, the path of a unix socket, or a file descriptor."""

    text: str
    host: str = ""
    port: str = ""
    path: str = ""
    fd: str = ""


def parse(text: str) -> Bind | None:
    """Parse one address of ``BIND``; return None if it is not one."""
    if match := _UNIX.fullmatch(text):
        return Bind(f"unix:{match['path']}", path=match["path"])
    if match := _FD.fullmatch(text):
        return Bind(text, fd=match["fd"])
    match = _TCP.fullmatch(text)
    if not match or not is_port(match["port"]):
        return None
    # An empty host means all interfaces, as for gunicorn.
    host = match["host"].strip("[]") or "0.0.0.0"  # noqa: S104
    return Bind(join_host_port(host, match["port"]), host, match["port"])


def each(value: object) -> Iterator[Bind | None]:
    """Yield the addresses of ``BIND``, one or a list; None for an invalid one."""
    for item in value if isinstance(value, list | tuple) else [value]:
        yield parse(item) if isinstance(item, str) else None


def join_host_port(host: str, port: object) -> str:
    """Return ``host:port``, with brackets around an IPv6 address."""
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def split_host_port(text: str, default_port: str = "") -> tuple[str, str]:
    """Split ``host:port``, ``[::1]:port``, ``:port`` or ``host``, without brackets."""
    host, colon, port = text.rpartition(":")
    if not colon or "]" in port:  # the colon is one of the IPv6 address
        host, port = text, ""
    return host.strip("[]"), port or default_port


def is_host(text: str) -> bool:
    """Return whether a string is a host name or an IP address, without a port."""
    host = text.removeprefix("[").removesuffix("]")
    if ":" not in host:
        return bool(_HOST.fullmatch(text))
    try:
        ipaddress.IPv6Address(host)
    except ValueError:
        return False
    return True


def is_port(text: str) -> bool:
    """Return whether a string is a number from 1 to 65535."""
    return text.isascii() and text.isdecimal() and 0 < int(text) < 65536
