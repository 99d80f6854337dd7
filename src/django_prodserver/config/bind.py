"""``BIND``: where a web server shall listen, in one form for all of them."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import NamedTuple

_TCP = re.compile(r"(?P<host>\[[0-9A-Fa-f:.%\w]+\]|[^\[\]:/\s]*):(?P<port>\d{1,5})")
_UNIX = re.compile(r"unix:(?://)?(?P<path>/[^\0]+)")
_FD = re.compile(r"fd://(?P<fd>\d+)")


class Bind(NamedTuple):
    """One address: a host and port, or the path of a socket, or a descriptor."""

    text: str
    host: str = ""
    port: str = ""
    path: str = ""
    fd: str = ""


def parse(text: str) -> Bind | None:
    """Return what an address of ``BIND`` says; None if it is none."""
    if found := _UNIX.fullmatch(text):
        return Bind(f"unix:{found['path']}", path=found["path"])
    if found := _FD.fullmatch(text):
        return Bind(text, fd=found["fd"])
    found = _TCP.fullmatch(text)
    if not found or not is_port(found["port"]):
        return None
    # All interfaces, as gunicorn reads an empty host.
    host = found["host"].strip("[]") or "0.0.0.0"  # noqa: S104
    return Bind(joined(host, found["port"]), host, found["port"])


def each(value: object) -> Iterator[Bind | None]:
    """Yield the addresses of ``BIND``, one or a list; None for what is none."""
    for item in value if isinstance(value, list | tuple) else [value]:
        yield parse(item) if isinstance(item, str) else None


def joined(host: str, port: str) -> str:
    """Return ``host:port`` or ``[::1]:port``."""
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def is_port(text: str) -> bool:
    return text.isascii() and text.isdecimal() and 0 < int(text) < 65536
