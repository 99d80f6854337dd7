"""``WAIT_FOR``: the names it accepts, and their form."""

from __future__ import annotations

from typing import Any

from django_prodserver.config.bind import split_host_port

#: The names that may be followed by an alias, such as "database:replica".
ALIASED = ("database", "migrations", "cache")
FORM = (
    'a list of "database", "migrations", "cache" (for another alias than default: '
    '"database:replica"), "broker", "tcp://host:port"'
)
#: Seconds. Longer than a database takes to start or to fail over, and half of the
#: 600 s after which Kubernetes reports a rollout as failed, so that the log has the
#: reason by then.
DEFAULT_TIMEOUT = 300.0
_TCP = "tcp://"


def listed(value: object) -> list[Any]:
    """Return the names as a list; a single name may be a string."""
    if isinstance(value, str):
        return [value]
    return list(value) if isinstance(value, list | tuple) else []


def is_valid(value: object) -> bool:
    """Return whether a value has the form of ``WAIT_FOR``."""
    is_list = isinstance(value, str | list | tuple)
    return is_list and all(map(_is_name, listed(value)))


def address(name: str) -> tuple[str, int] | None:
    """Return the host and port of ``tcp://host:port``; None for the other names."""
    if not name.startswith(_TCP):
        return None
    host, port = split_host_port(name.removeprefix(_TCP))
    return host, int(port)


def split_alias(name: str) -> tuple[str, str]:
    """Return ("database", "replica") for "database:replica"; "default" if no alias."""
    kind, colon, alias = name.partition(":")
    return kind, alias if colon else "default"


def _is_name(name: object) -> bool:
    if not isinstance(name, str):
        return False
    try:
        host_and_port = address(name)
    except ValueError:
        return False
    if host_and_port is None:
        kind, alias = split_alias(name)
        return name == "broker" or (kind in ALIASED and bool(alias))
    host, port = host_and_port
    # Not a URL: a path or a password would be ignored.
    return bool(host) and not set(host) & set("/@") and 0 < port < 65536
