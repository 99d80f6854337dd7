"""Read ``PRODUCTION_PROCESSES`` and select a process."""

from __future__ import annotations

import contextlib
import dataclasses
import json
import math
import os
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from django.conf import settings

from django_prodserver.config import wait_for
from django_prodserver.config.argv import ArgumentError, fits
from django_prodserver.config.context import Context
from django_prodserver.config.keys import AUTO
from django_prodserver.exceptions import ConfigurationError, Fault, UnknownProcess
from django_prodserver.text import did_you_mean, safe_repr

EXAMPLE = (
    'PRODUCTION_PROCESSES = {"web": {"BACKEND": '
    '"django_prodserver.backends.gunicorn.GunicornServer"}}'
)
#: The keys of every process, and what each is. Only Celery's backends use APP.
KEYS = {
    "BACKEND": "The dotted path of the backend.",
    "ARGS": "The server's own options, under the server's own names.",
    "APP": "The path of the Celery app, such as shop.celery.app.",
    "ENV": "Environment variables to set before the process starts.",
    "PREFIX": "A wrapper around the native command, as a list of strings.",
    "PRELOAD": "Whether to load the application before forking the workers: "
    '"auto" (the default) does unless something in it would not survive the fork, '
    "True always does, False never does.",
    "HEALTH": 'Settings of the probe: {"MAX_AGE": seconds} is the age at which a '
    "worker's heartbeat counts as too old.",
    "START_TIMEOUT": "Seconds that loading the application may take.",
    "WAIT_FOR": f"What must be ready before the process starts: {wait_for.FORM}.",
}
# The most processes that an error lists.
_MAX_LISTED = 20
# Names are typed in shells and used as file names.
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}")


@dataclass(frozen=True)
class Changes:
    """
    What ``--compare`` changes in the settings of a process that it starts.

    Attributes:
        set: The keys that have another value.
        without: The keys that are left out.
    """

    set: Mapping[str, Any]
    without: Sequence[str] = ()

    def apply(self, process: Process) -> Process:
        """Return the process with these changes."""
        kept = process.without(self.without).config
        return Process(process.name, {**kept, **self.set})

    def encode(self) -> str:
        """Return them as ``Context.changes``."""
        return json.dumps(dataclasses.asdict(self))


@dataclass(frozen=True)
class Process:
    """One entry of ``PRODUCTION_PROCESSES``."""

    name: str
    config: Mapping[str, Any]

    def fault(self, fault: Fault, message: str, hint: str = "") -> ConfigurationError:
        """Return an error whose message names the place in the settings."""
        return ConfigurationError(fault, message, hint, self.where)

    def named(self, error: ConfigurationError) -> ConfigurationError:
        """Return a backend's error with the process in front of its message."""
        message = error.message
        if isinstance(error, ArgumentError):
            message = f"['ARGS']{message}"
        elif not message.startswith("["):
            message = f": {message}"
        return self.fault(error.fault, message, error.hint)

    @contextlib.contextmanager
    def named_faults(self) -> Iterator[None]:
        """Put the process in front of the message of a backend's error."""
        try:
            yield
        except ConfigurationError as error:
            raise self.named(error) from None

    @property
    def where(self) -> str:
        return f"PRODUCTION_PROCESSES[{self.name!r}]"

    @property
    def environment(self) -> dict[str, str]:
        """``ENV``, with its values as strings."""
        return {name: str(value) for name, value in self.config.get("ENV", {}).items()}

    @property
    def preload(self) -> str | bool:
        """``PRELOAD``: "auto", True or False."""
        value: str | bool = self.config.get("PRELOAD", AUTO)
        return value

    @property
    def start_timeout(self) -> float | None:
        """``START_TIMEOUT``: seconds, or None for no limit."""
        return self.config.get("START_TIMEOUT")

    @property
    def waits(self) -> list[str]:
        """``WAIT_FOR``, as a list."""
        return wait_for.listed(self.config.get("WAIT_FOR", ()))

    def without(self, keys: Iterable[object]) -> Process:
        """Return the process without some keys."""
        left = {key: self.config[key] for key in self.config if key not in set(keys)}
        return Process(self.name, left)

    def faults(self) -> Iterator[tuple[object, ConfigurationError]]:
        """Yield the invalid keys that every process may have, each with its fault."""
        wanted = {
            "ENV": ('{"NAME": "value"}', _is_environment),
            "PREFIX": ('["command", "argument"]', _is_words),
            "PRELOAD": ('"auto", True or False', _is_preload),
            "HEALTH": ('{"MAX_AGE": seconds}', _is_health),
            "START_TIMEOUT": ("a number of seconds, such as 60", _is_seconds),
            "WAIT_FOR": (wait_for.FORM, wait_for.is_valid),
        }
        for key, (form, is_right) in wanted.items():
            if key in self.config and not is_right(self.config[key]):
                # Not the value of ENV: it may hold a secret.
                message = f"[{key!r}] is {safe_repr(self.config[key])}."
                if key == "ENV":
                    message = "['ENV'] is not a dictionary of variables."
                hint = f"Write {key} as {form}."
                yield key, self.fault(Fault.BAD_VALUE, message, hint)
        for key in self.config:
            if not isinstance(key, str):
                message = f" has the key {safe_repr(key)}."
                hint = "Use strings as keys."
                yield key, self.fault(Fault.UNKNOWN_KEY, message, hint)


def table() -> Mapping[object, object]:
    """
    Return the setting as it is.

    Raises:
        ConfigurationError: It is not a dictionary, or it is empty.
    """
    found = getattr(settings, "PRODUCTION_PROCESSES", {})
    if not isinstance(found, Mapping):
        message = f"PRODUCTION_PROCESSES is {_what(found)}, not a dictionary."
        raise ConfigurationError(Fault.NOT_A_DICT, message, f"For example: {EXAMPLE}")
    if not found:
        message = "PRODUCTION_PROCESSES is empty or not set."
        raise ConfigurationError(Fault.EMPTY, message, f"For example: {EXAMPLE}")
    return found


def entry(name: object) -> Process:
    """
    Return the process of that name, which is in the table.

    Raises:
        ConfigurationError: The name or the entry is invalid.
    """
    if not isinstance(name, str) or not _NAME.fullmatch(name):
        message = f"PRODUCTION_PROCESSES has the name {safe_repr(name)}."
        hint = "Use letters, digits, '.', '_' and '-', with a letter or digit first."
        raise ConfigurationError(Fault.BAD_NAME, message, hint)
    process = Process(name, config if isinstance(config := table()[name], dict) else {})
    if not isinstance(config, dict):
        hint = 'Write {"BACKEND": "dotted.path", ...}.'
        message = f" is {_what(config)}, not a dictionary."
        raise process.fault(Fault.SPEC_NOT_A_DICT, message, hint)
    context = Context.from_environment()
    if context and context.changes and context.process == name:
        return Changes(**json.loads(context.changes)).apply(process)
    return process


def process(name: str | None = None) -> Process:
    """
    Return the process of that name, or the default process.

    The default is ``PROCESS_NAME``, then ``web``, then the only one.

    Raises:
        UnknownProcess: There is no such process, or no default.
        ConfigurationError: The table or this entry is invalid.
    """
    names = [key for key in table() if isinstance(key, str)]
    listed = [key for key in names if _NAME.fullmatch(key)]
    more = f" and {len(listed) - _MAX_LISTED} more" if listed[_MAX_LISTED:] else ""
    shown = ", ".join(listed[:_MAX_LISTED])
    configured = f"Configured: {shown}{more}." if listed else ""
    chosen = name or os.environ.get("PROCESS_NAME")
    if not chosen and ("web" in names or len(names) == 1):
        chosen = "web" if "web" in names else names[0]
    if not chosen:
        message = "No process was named, and none is called 'web'."
        raise UnknownProcess(message, configured)
    if chosen not in names:
        guess = did_you_mean(chosen, listed)
        hint = f"{guess} {configured}".strip()
        # The reader may not know that the variable is set.
        origin = "" if name else " (from PROCESS_NAME)"
        message = f"No process named {safe_repr(chosen)}{origin}."
        raise UnknownProcess(message, hint)
    return entry(chosen)


def _what(value: object) -> str:
    # Not its contents, which may be an ENV with secrets.
    holds = isinstance(value, list | tuple | set) and value
    return f"a {type(value).__name__}" if holds else safe_repr(value)


def _is_seconds(value: object) -> bool:
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    return is_number and 0 < value < math.inf  # type: ignore[operator]


def _is_environment(value: object) -> bool:
    return isinstance(value, Mapping) and all(
        isinstance(name, str)
        and name
        and "=" not in name
        and isinstance(text, str | int | float)
        and fits(name)
        and fits(text)
        for name, text in value.items()
    )


def _is_words(value: object) -> bool:
    return isinstance(value, list | tuple) and all(
        isinstance(word, str) and fits(word) for word in value
    )


def _is_preload(value: object) -> bool:
    return isinstance(value, bool) or value == AUTO


def _is_health(value: object) -> bool:
    if not isinstance(value, Mapping) or not set(value) <= {"MAX_AGE"}:
        return False
    age = value.get("MAX_AGE", 1)
    return isinstance(age, int | float) and not isinstance(age, bool) and age > 0
