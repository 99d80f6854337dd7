"""What ``WAIT_FOR`` can name."""

from __future__ import annotations

from typing import Any

NAMES = ("database", "migrations", "broker", "cache")
FORM = 'a list of "database", "migrations", "broker", "cache", "tcp://host:port"'
_TCP = "tcp://"


def listed(value: object) -> list[Any]:
    """Return what is named, which may be one name by itself."""
    if isinstance(value, str):
        return [value]
    return list(value) if isinstance(value, list | tuple) else []


def is_right(value: object) -> bool:
    """Return whether it is what ``WAIT_FOR`` takes."""
    is_list = isinstance(value, str | list | tuple)
    return is_list and all(map(_is_name, listed(value)))


def address(name: str) -> tuple[str, int] | None:
    """Return the host and the port of ``tcp://host:port``; None of another name."""
    if not name.startswith(_TCP):
        return None
    host, _, port = name.removeprefix(_TCP).rpartition(":")
    return host.removeprefix("[").removesuffix("]"), int(port)


def _is_name(name: object) -> bool:
    if not isinstance(name, str):
        return False
    try:
        found = address(name)
    except ValueError:
        return False
    if found is None:
        return name in NAMES
    host, port = found
    # No URL: a path or a password would do nothing.
    return bool(host) and not set(host) & set("/@") and 0 < port < 65536
