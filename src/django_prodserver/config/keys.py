"""
The portable settings: keys with the same meaning for every backend that supports them.

Each backend translates them to its server's options, in its ``keys`` attribute.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

from django_prodserver.config import bind, concurrency
from django_prodserver.config.context import LOG_FORMATS, LOG_LEVELS
from django_prodserver.config.trusted_proxies import are_valid

AUTO = "auto"
#: More processes of one web server are a mistake that would bring the machine down.
MAX_WORKERS = 1000
#: The origin of a value that the user has not set.
DEFAULT = "default"
#: The variable behind ``LOG_FORMAT``.
LOG_FORMAT_VARIABLE = "PRODSERVER_LOG_FORMAT"


class Key(NamedTuple):
    """
    One portable setting.

    Args:
        meaning: What it sets, in one line.
        form: How to write a value, after "Write KEY as".
        is_right: Returns whether a value has that form.
        default: The value if the key is not set; None keeps the server's default.
        why: The reason for that default.
        variable: The environment variable that is used if the key is not set.
    """

    meaning: str
    form: str
    is_right: Callable[[Any], bool]
    default: Any = None
    why: str = ""
    variable: str = ""


class Unsupported(NamedTuple):
    """A key that a server does not support: the reason, and the alternative."""

    why: str


class Resolved(NamedTuple):
    """
    The value of a setting or an option, and where it comes from.

    Args:
        value: The value; None if there is none.
        why: The reason for a default, or for the number that "auto" stands for.
        origin: The key, the environment variable, or "default".
    """

    value: Any
    why: str = ""
    origin: str = DEFAULT


#: How a backend translates a key: the name of the server's option; "" if the backend
#: implements it without an option; a function of backend and value that returns the
#: options; or Unsupported.
Translation = str | Callable[[Any, Any], Mapping[str, object]] | Unsupported


def _is_number(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value > 0


def _is_count(value: object) -> bool:
    return value == AUTO or _is_number(value)


def _is_worker_count(value: object) -> bool:
    return value == AUTO or (_is_number(value) and value <= MAX_WORKERS)  # type: ignore[operator]


def _is_bind(value: object) -> bool:
    addresses = list(bind.each(value))
    return bool(addresses) and None not in addresses


def _is_path(value: object) -> bool:
    return isinstance(value, str) and bool(value)


def _is_names(value: object) -> bool:
    named = isinstance(value, list | tuple) and bool(value)
    return named and all(isinstance(name, str) and name for name in value)  # type: ignore[attr-defined]


def _is_paths(value: object) -> bool:
    return _is_names(value) and all(
        path.startswith("/")
        and path.isascii()
        and path.isprintable()
        and " " not in path
        for path in value  # type: ignore[attr-defined]
    )


def _is_alias_or_flag(value: object) -> bool:
    return isinstance(value, bool) or _is_path(value)


def _is_prefix(value: object) -> bool:
    return isinstance(value, str) and value.startswith("/") and value[-1:] != "/"


def _one_of(words: Sequence[str]) -> str:
    quoted = [f'"{word}"' for word in words]
    return f"{', '.join(quoted[:-1])} or {quoted[-1]}"


_COUNT = 'a whole number from 1, or "auto"'
_SECONDS = "a whole number of seconds, such as 25"

WEB: Mapping[str, Key] = {
    "BIND": Key(
        "The address to listen on.",
        '"127.0.0.1:8000", "[::1]:8000", "unix:/run/web.sock", "fd://3", '
        "or a list of them",
        _is_bind,
    ),
    "WORKERS": Key(
        "Processes that handle requests; 1 by default.",
        f'a whole number from 1 to {MAX_WORKERS}, or "auto"',
        _is_worker_count,
        variable="WEB_CONCURRENCY",
    ),
    "THREADS": Key(
        "Requests that one process handles at a time.",
        "a whole number from 1, such as 4",
        _is_number,
        4,
        "a slow request leaves room for others, and for the probe",
    ),
    "TIMEOUT": Key(
        "Seconds after which a hanging worker is replaced.", _SECONDS, _is_number
    ),
    "KEEP_ALIVE": Key(
        "Seconds that an idle connection is kept open.",
        _SECONDS,
        _is_number,
        65,
        "longer than the 60 s that nginx and AWS keep a connection",
    ),
    "MAX_REQUESTS": Key(
        "Requests after which a worker is replaced, if that loses none.",
        "a whole number from 1, such as 1000",
        _is_number,
    ),
    "CERTFILE": Key("The certificate, for TLS.", "a path", _is_path),
    "KEYFILE": Key("The certificate's private key.", "a path", _is_path),
    "ROOT_PATH": Key(
        "The path under which a proxy serves it.", 'a path, such as "/shop"', _is_prefix
    ),
    "TRUSTED_PROXIES": Key(
        "The proxies whose X-Forwarded-* headers are trusted.",
        'a list of addresses and networks, such as ["10.0.0.0/8"]',
        lambda value: _is_names(value) and are_valid(value),
    ),
    "ACCESS_LOG": Key(
        "Whether each request is logged.",
        "True or False",
        lambda value: isinstance(value, bool),
        True,
        "a proxy's log does not show which worker handled a request",
    ),
    "WARM_UP": Key(
        "Paths to request before the workers are forked, so that they share what the "
        "first requests load.",
        'a list of paths, such as ["/", "/search/?q=a"]',
        _is_paths,
    ),
}

WORKER: Mapping[str, Key] = {
    "CONCURRENCY": Key(
        "Tasks that run at the same time.",
        _COUNT,
        _is_count,
        AUTO,
        "the server's own default counts the host's CPUs, not the container's",
    ),
    "QUEUES": Key(
        "The queues to take tasks from.",
        'a list of names, such as ["default", "mail"]',
        _is_names,
    ),
    "MAX_TASKS": Key(
        "Tasks after which a process is replaced.",
        "a whole number from 1, such as 1000",
        _is_number,
    ),
    "SINGLETON": Key(
        "Whether only one replica is active at a time, under a database lock.",
        "True, False or an alias of DATABASES",
        _is_alias_or_flag,
    ),
}

SHARED: Mapping[str, Key] = {
    "GRACEFUL_TIMEOUT": Key(
        "Seconds that a stop may take.",
        _SECONDS,
        _is_number,
        25,
        "shorter than the 30 s that Kubernetes and ECS allow",
    ),
    "LOG_LEVEL": Key(
        "The lowest level that is logged.",
        _one_of(LOG_LEVELS),
        lambda value: value in LOG_LEVELS,
        "info",
        "includes starts, stops and requests",
    ),
    "LOG_FORMAT": Key(
        "The format of a log line; native leaves it to the server.",
        _one_of(LOG_FORMATS),
        lambda value: value in LOG_FORMATS,
        "text",
        "human-readable; use json for log collectors",
        LOG_FORMAT_VARIABLE,
    ),
}

KEYS: Mapping[str, Key] = {**WEB, **WORKER, **SHARED}


def from_text(text: str) -> object:
    """Return a key's value from the string in an environment variable."""
    # Python refuses to convert a number with thousands of digits.
    is_number = text.isascii() and text.isdecimal() and len(text) < 20
    return int(text) if is_number else text


def as_count(value: object) -> int | None:
    """Return a number of processes; None for "auto" or another text."""
    number = from_text(str(value))
    return number if isinstance(number, int) else None


def resolve(key: str, config: Mapping[str, Any]) -> Resolved:
    """Return a portable setting: its key, its variable or its default."""
    known = KEYS[key]
    found = Resolved(known.default, known.why)
    text = os.environ.get(known.variable, "") if known.variable else ""
    if text and known.is_right(value := from_text(text)):
        found = Resolved(value, origin=known.variable)
    if key in config:
        found = Resolved(config[key], origin=key)
    if found.value == AUTO:
        number, why = concurrency.auto(key)
        return Resolved(number, why, found.origin)
    return found
