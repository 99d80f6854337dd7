"""``--explain``: each option of a command, its value, and where it comes from."""

from __future__ import annotations

import json
import shlex
from collections.abc import Iterator

from django_prodserver.launch.origins import Row
from django_prodserver.launch.plan import Plan
from django_prodserver.text import redact, redact_words


def as_text(plan: Plan, show_secrets: bool = False) -> str:
    """Return the rows of a plan as a table."""
    table = [("OPTION", "VALUE", "FROM", "WHY"), *_shown(plan, show_secrets)]
    widths = [max(len(row[column]) for row in table) for column in range(3)]
    lines = []
    for row in table:
        cells = [cell.ljust(width) for cell, width in zip(row, widths, strict=False)]
        lines.append("  ".join([*cells, row[3]]).rstrip())
    return "\n".join(lines)


def as_json(plan: Plan, show_secrets: bool = False) -> str:
    """
    Return the rows of a plan as a JSON list.

    Each is an object with the strings ``option``, ``value``, ``from`` and ``why``;
    the value of a flag, and a reason that nobody gave, are "".
    """
    names = ("option", "value", "from", "why")
    shown = _shown(plan, show_secrets)
    return json.dumps([dict(zip(names, row, strict=True)) for row in shown], indent=2)


def _shown(plan: Plan, show_secrets: bool) -> Iterator[Row]:
    for row in plan.rows:
        if show_secrets:
            yield row
        elif row.option == "command":
            words = redact_words(list(plan.base_command))
            yield row._replace(value=shlex.join(words))
        else:
            yield row._replace(value=redact(row.value, row.option.lstrip("-")))
