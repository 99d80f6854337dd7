"""``--explain``: every option of a command, its value, and where it came from."""

from __future__ import annotations

import json
import os
import shlex
from collections.abc import Iterable, Iterator, Sequence
from typing import TYPE_CHECKING, NamedTuple

from django_prodserver.backends.base import BaseServerBackend, CommandBackend
from django_prodserver.backends.layers import Layer
from django_prodserver.config.argv import groups
from django_prodserver.config.keys import KEYS, Unsupported
from django_prodserver.text import redact, redact_words

if TYPE_CHECKING:
    from django_prodserver.launch.launcher import Plan

ENVIRONMENT = "environment"
_VARIABLES = {known.variable for known in KEYS.values() if known.variable}


class Row(NamedTuple):
    """One option, variable or key."""

    option: str
    value: str
    origin: str
    why: str = ""


def rows(plan: Plan) -> list[Row]:
    """Return what a command is made of, in its order."""
    backend = plan.backend
    found = [
        Row("command", shlex.join(_command(plan)), "BACKEND"),
        *_options(plan.args, plan.layers, backend),
    ]
    if isinstance(backend, CommandBackend):
        found += _by_itself(backend)
        known = {row.option for row in found}
        found += (row for row in _own_variables(backend) if row.option not in known)
    written = plan.process.environment
    for name, value in plan.environment.items():
        found.append(Row(name, value, "ENV" if name in written else "the project"))
    return found


def notes(plan: Plan) -> list[str]:
    """Return what "auto" came to, and why, a line each."""
    # Of what is written, nothing but "auto" needs a reason.
    return [
        f"{row.origin} is {row.value}: {row.why}"
        for row in rows(plan)
        if row.why and (row.origin in KEYS or row.origin in _VARIABLES)
    ]


def as_text(plan: Plan, show_secrets: bool = False) -> str:
    """Return the rows as a table."""
    table = [("OPTION", "VALUE", "FROM", "WHY"), *_shown(plan, show_secrets)]
    widths = [max(len(row[column]) for row in table) for column in range(3)]
    return "\n".join(
        "  ".join([*map(str.ljust, row[:3], widths), row[3]]).rstrip() for row in table
    )


def as_json(plan: Plan, show_secrets: bool = False) -> str:
    """
    Return the rows as a JSON list.

    Each is an object with ``option``, ``value``, ``from`` and ``why``: texts, the
    value of a bare flag and a reason that nobody gave being "".
    """
    names = ("option", "value", "from", "why")
    shown = _shown(plan, show_secrets)
    return json.dumps([dict(zip(names, row, strict=True)) for row in shown], indent=2)


def _shown(plan: Plan, show_secrets: bool) -> Iterator[Row]:
    for row in rows(plan):
        if show_secrets:
            yield row
        elif row.option == "command":
            yield row._replace(value=shlex.join(redact_words(_command(plan))))
        else:
            yield row._replace(value=redact(row.value, row.option.lstrip("-")))


def _command(plan: Plan) -> list[str]:
    """Return the command's words that are no options."""
    if plan.argv is None:
        return [str(plan.process.config["BACKEND"])]
    words = list(plan.argv)
    for word in reversed(plan.args):
        if word in words:
            # The last of that word: a wrapper's own comes first.
            del words[len(words) - 1 - words[::-1].index(word)]
    return words


def _options(
    words: Sequence[str], layers: Iterable[Layer], backend: BaseServerBackend
) -> Iterator[Row]:
    origins: dict[str | None, Layer] = {}
    for layer in layers:
        origins |= {
            name: layer for name, _ in groups(layer.words, backend.option_table)
        }
    for name, group in groups(words, backend.option_table):
        layer = origins.get(name, Layer("ARGS", []))
        if name is None:
            yield Row("", shlex.join(group), layer.origin)
            continue
        option, equals, value = group[0].partition("=")
        if option[:2] != "--" and len(option) > 2:  # -w4
            option, value = option[:2], option[2:] + equals + value
        yield Row(option, value or " ".join(group[1:]), layer.origin, layer.why)


def _by_itself(backend: CommandBackend) -> Iterator[Row]:
    """Yield the keys that are no option, but seen to by the backend."""
    for key, becomes in backend.keys.items():
        said = backend.resolve(key)
        if isinstance(becomes, Unsupported) or said.value is None:
            continue
        if not backend.translate(key, said.value):
            value = said.value
            text = ", ".join(value) if isinstance(value, list | tuple) else str(value)
            yield Row(key, text, said.origin, said.why)


def _own_variables(backend: CommandBackend) -> Iterator[Row]:
    """Yield the variables that the server reads by itself."""
    for name in sorted(os.environ):
        prefix = backend.env_prefix
        option = name.removeprefix(prefix).replace("_", "-").lower()
        known = (
            prefix and name.startswith(prefix) and backend.option_table.knows(option)
        )
        if known or name in backend.variables:
            yield Row(name, os.environ[name], ENVIRONMENT, "the server reads it itself")
