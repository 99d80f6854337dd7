"""Where each option, variable and key of a start comes from."""

from __future__ import annotations

import os
import shlex
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import NamedTuple

from django_prodserver.backends.base import Backend, CommandBackend
from django_prodserver.config.argv import Layer, OptionTable, groups, names
from django_prodserver.config.keys import KEYS, Unsupported

_VARIABLES = {known.variable for known in KEYS.values() if known.variable}


class Row(NamedTuple):
    """
    One option, variable or key.

    Args:
        option: Its name; "" for a word that belongs to no option.
        value: Its value; "" for a flag.
        origin: Where it comes from.
        why: The reason for a default.
    """

    option: str
    value: str
    origin: str
    why: str = ""


def find_rows(
    base_command: Sequence[str],
    args: Sequence[str],
    layers: Iterable[Layer],
    backend: Backend,
) -> list[Row]:
    """Return the parts of a native command in order, each with its origin."""
    rows = [Row("command", shlex.join(base_command), "BACKEND")]
    rows += _options(args, layers, backend.option_table)
    if native := backend.as_command():
        rows += _keys_without_option(native)
        rows += _configured_elsewhere(native, args)
    return rows


def variable_rows(
    environment: Mapping[str, str], written: Mapping[str, str]
) -> list[Row]:
    """Return the variables of the environment; ``written`` are those of ``ENV``."""
    return [
        Row(name, value, "ENV" if name in written else "the project")
        for name, value in environment.items()
    ]


def notes(rows: Iterable[Row]) -> list[str]:
    """Return the number that each "auto" stands for, and why, a line each."""
    # Among the values that the user has set, only "auto" has a reason.
    return [
        f"{row.origin} is {row.value}: {row.why}"
        for row in rows
        if row.why and (row.origin in KEYS or row.origin in _VARIABLES)
    ]


def _options(
    args: Sequence[str], layers: Iterable[Layer], option_table: OptionTable
) -> Iterator[Row]:
    origins: dict[str | None, Layer] = {}
    for layer in layers:
        for name, _ in groups(layer.words, option_table):
            origins[name] = layer
    for name, group in groups(args, option_table):
        layer = origins.get(name, Layer("ARGS", []))
        if name is None:
            yield Row("", shlex.join(group), layer.origin)
            continue
        option, equals, value = group[0].partition("=")
        if option[:2] != "--" and len(option) > 2:  # -w4
            option, value = option[:2], option[2:] + equals + value
        yield Row(option, value or " ".join(group[1:]), layer.origin, layer.why)


def _keys_without_option(backend: CommandBackend) -> Iterator[Row]:
    """Yield the portable settings that the backend applies without an option."""
    for key, translation in backend.keys.items():
        resolved = backend.resolve(key)
        is_shown_elsewhere = key == "LOG_FORMAT"  # commands.explain
        if isinstance(translation, Unsupported) or resolved.value is None:
            continue
        if not (is_shown_elsewhere or backend.translate(key, resolved.value)):
            value = resolved.value
            text = ", ".join(value) if isinstance(value, list | tuple) else str(value)
            yield Row(key, text, resolved.origin, resolved.why)


def _configured_elsewhere(
    backend: CommandBackend, args: Sequence[str]
) -> Iterator[Row]:
    """Yield the options from the server's own environment and configuration file."""
    replaced = names(args, backend.option_table)
    elsewhere = backend.configured_elsewhere(args)
    for option, found in elsewhere.items():
        if option not in replaced:
            # One by one, so that each is redacted if it is a secret.
            for value in found.values or ("off",):
                yield Row(found.name, value, found.origin, found.why)
    listed = {found.origin for found in elsewhere.values()}
    for name in sorted(backend.variables):
        if (text := os.environ.get(name)) and name not in listed:
            yield Row(name, text, "environment", "the server reads it itself")
