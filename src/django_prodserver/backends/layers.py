"""
Where the options of a command come from, the weakest first.

Defaults, the variables of a platform (``WEB_CONCURRENCY``), neutral keys, ``ARGS``;
the command line comes last, and is the launcher's.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import TYPE_CHECKING, NamedTuple

from django_prodserver import vocabulary
from django_prodserver.arguments import render
from django_prodserver.backends import concurrency
from django_prodserver.vocabulary import AUTO, KEYS, Cannot, Said

if TYPE_CHECKING:
    from django_prodserver.backends.base import Backend, KnownBackend

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


def below_args(backend: Backend) -> list[Layer]:
    """Return what is weaker than ``ARGS``, the weakest first."""
    found = [
        _layer(backend, default.origin, {option: default.value}, default.why)
        for option, default in backend.default_options().items()
    ]
    for key in backend.keys:
        said = backend.said(key)
        if said.value is not None:
            options = backend.translate(key, said.value)
            found.append(_layer(backend, said.origin, options, said.why))
    return [layer for layer in found if layer.words]


def said(backend: KnownBackend, key: str) -> Said:
    """Return what a key is for a process: as it is written, else by default."""
    known = KEYS[key]
    if isinstance(backend.keys.get(key), Cannot):
        return Said(None, DEFAULT)
    found = Said(known.default, DEFAULT, known.why)
    text = os.environ.get(known.variable, "") if known.variable else ""
    if text and known.is_right(value := vocabulary.from_text(text)):
        found = Said(value, known.variable)
    if key in backend.config:
        found = Said(backend.config[key], key)
    if found.value == AUTO:
        number, why = concurrency.auto(key)
        return Said(number, found.origin, why)
    return found


def _layer(
    backend: Backend, origin: str, given: Mapping[str, object], why: str
) -> Layer:
    # The server's own variables are stronger than what nobody has written.
    written = origin in KEYS
    options = {
        option: value
        for option, value in given.items()
        if written or not backend.given_elsewhere(option)
    }
    return Layer(origin, render(options, backend.grammar), why)
