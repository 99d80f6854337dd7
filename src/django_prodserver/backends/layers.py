"""
Where the options of a command come from, the weakest first.

Defaults, the variables of a platform (``WEB_CONCURRENCY``), neutral keys, ``ARGS``;
the command line comes last, and is the launcher's.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import TYPE_CHECKING, NamedTuple

from django_prodserver.config import concurrency, keys
from django_prodserver.config.argv import render
from django_prodserver.config.keys import AUTO, KEYS, Resolved, Unsupported

if TYPE_CHECKING:
    from django_prodserver.backends.base import Backend, CommandBackend

DEFAULT = "default"


class Default(NamedTuple):
    """An option's value where nothing else says it, and the reason for it."""

    value: object
    why: str
    origin: str = DEFAULT


class Layer(NamedTuple):
    """Options, as words of a command line, with their origin."""

    origin: str
    words: list[str]
    why: str = ""


def below_args(backend: CommandBackend) -> list[Layer]:
    """Return what is weaker than ``ARGS``, the weakest first."""
    found = [
        _layer(backend, default.origin, {option: default.value}, default.why)
        for option, default in backend.default_options().items()
    ]
    for key in backend.keys:
        resolve = backend.resolve(key)
        if resolve.value is not None:
            options = backend.translate(key, resolve.value)
            found.append(_layer(backend, resolve.origin, options, resolve.why))
    return [layer for layer in found if layer.words]


def resolve(backend: Backend, key: str) -> Resolved:
    """Return what a key is for a process: as it is written, else by default."""
    known = KEYS[key]
    if isinstance(backend.keys.get(key), Unsupported):
        return Resolved(None, DEFAULT)
    found = Resolved(known.default, DEFAULT, known.why)
    text = os.environ.get(known.variable, "") if known.variable else ""
    if text and known.is_right(value := keys.from_text(text)):
        found = Resolved(value, known.variable)
    if key in backend.config:
        found = Resolved(backend.config[key], key)
    if found.value == AUTO:
        number, why = concurrency.auto(key)
        return Resolved(number, found.origin, why)
    return found


def _layer(
    backend: CommandBackend, origin: str, given: Mapping[str, object], why: str
) -> Layer:
    # The server's own variables are stronger than what nobody has written.
    written = origin in KEYS
    options = {
        option: value
        for option, value in given.items()
        if written or not backend.given_elsewhere(option)
    }
    return Layer(origin, render(options, backend.option_table), why)
