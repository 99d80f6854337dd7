"""``--explain``: each option of a command, its value, and where it comes from."""

from __future__ import annotations

import json
import shlex
from collections.abc import Iterator

from django_prodserver.config.keys import DEFAULT
from django_prodserver.launch.origins import Row
from django_prodserver.launch.plan import Plan
from django_prodserver.process import entry as project_entry
from django_prodserver.process import preload_memory
from django_prodserver.process.executable import Program
from django_prodserver.text import redact, redact_words


def as_text(
    plan: Plan, show_secrets: bool = False, entry: Program | None = None
) -> str:
    """Return the rows of a plan as a table."""
    table = [("OPTION", "VALUE", "FROM", "WHY"), *rows(plan, show_secrets, entry)]
    widths = [max(len(row[column]) for row in table) for column in range(3)]
    lines = []
    for row in table:
        cells = [cell.ljust(width) for cell, width in zip(row, widths, strict=False)]
        lines.append("  ".join([*cells, row[3]]).rstrip())
    return "\n".join(lines)


def as_json(
    plan: Plan, show_secrets: bool = False, entry: Program | None = None
) -> str:
    """
    Return the rows of a plan as a JSON list.

    Each is an object with the strings ``option``, ``value``, ``from`` and ``why``.
    The value of a flag is "", and so is a missing reason.
    """
    names = ("option", "value", "from", "why")
    shown = rows(plan, show_secrets, entry)
    return json.dumps([dict(zip(names, row, strict=True)) for row in shown], indent=2)


def rows(plan: Plan, show_secrets: bool, entry: Program | None) -> Iterator[Row]:
    """Yield the rows of a plan, without secrets unless they are asked for."""
    every = (
        *plan.rows,
        *_release_rows(plan),
        *_process_rows(plan),
        *_entry_row(entry),
    )
    for row in every:
        if show_secrets:
            yield row
        elif row.option in ("command", "COMMANDS", "entry"):
            words = redact_words(shlex.split(row.value))
            yield row._replace(value=shlex.join(words))
        else:
            yield row._replace(value=redact(row.value, row.option.lstrip("-")))


def _release_rows(plan: Plan) -> Iterator[Row]:
    """Yield the commands of a release, and whether it holds a lock."""
    if plan.backend.kind != "release":
        return
    for command in plan.commands:
        yield Row("COMMANDS", shlex.join(command), "COMMANDS")
    lock = plan.process.config.get("LOCK", True)
    yield Row("LOCK", str(lock), "LOCK" if "LOCK" in plan.process.config else DEFAULT)


def _process_rows(plan: Plan) -> Iterator[Row]:
    """Yield the keys that every process may have."""
    if plan.process.waits:
        yield Row("WAIT_FOR", ", ".join(plan.process.waits), "WAIT_FOR")
    for name, value in plan.process.config.get("HEALTH", {}).items():
        yield Row(f"HEALTH {name}", str(value), "HEALTH")
    if "LOG_FORMAT" in plan.backend.keys:
        value, why, origin = plan.backend.explain_log_format()
        yield Row("LOG_FORMAT", value, origin, why)
    yield from _preload_row(plan)


def _entry_row(entry: Program | None) -> Iterator[Row]:
    """Yield the project's entry, if ``prodserver`` was configured to use one."""
    if entry and (origin := project_entry.configured_by()):
        yield Row("entry", shlex.join(entry.command), origin)


def _preload_row(plan: Plan) -> Iterator[Row]:
    """Yield the row of ``PRELOAD``, with the decision of the last start."""
    if plan.backend.as_command():
        origin = "PRELOAD" if "PRELOAD" in plan.process.config else DEFAULT
        yield Row("PRELOAD", str(plan.process.preload), origin, _why_preload(plan))


def _why_preload(plan: Plan) -> str:
    backend = plan.backend.as_command()
    if not plan.process.preload or not backend:
        return ""
    if plan.prefix:
        return "not preloaded: PREFIX starts another program"
    if reason := backend.must_exec(plan.args):
        return f"not preloaded, because {reason}"
    last = preload_memory.last_decision(plan.process.name)
    if last is None:
        return ""
    if not last.preloaded:
        return f"not preloaded at the last start, because {last.reason}"
    although = f", although {last.reason}" if last.reason else ""
    return f"preloaded at the last start{although}"
