"""A comparison as a table, and as JSON."""

from __future__ import annotations

import json
import statistics
from collections.abc import Iterator, Sequence

from django_prodserver.commands.compare.load_tools import Burst
from django_prodserver.commands.compare.results import Result, Row


def as_json(result: Result) -> str:
    """Return it as a JSON object; each figure has its median and its runs."""
    return json.dumps(result.as_dict(), indent=2)


def as_text(result: Result) -> str:
    """Return a table, the omissions, and the advice."""
    is_web = result.unit == "requests"
    table = [
        (
            *(("SERVER", "PROCESSES", "PAGE") if is_web else ("WORKER", "TASK")),
            *(f"{result.unit.upper()}/S", "P99 MS", "ERRORS"),
            "FIRST RESPONSE S" if is_web else "FIRST TASK S",
            *(f"{result.memory} MIB", "LOST AT STOP"),
        ),
        *_lines(result),
    ]
    widths = [max(len(row[column]) for row in table) for column in range(len(table[0]))]
    lines = [
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True))
        for row in table
    ]
    return "\n".join([*(line.rstrip() for line in lines), *_below(result)])


def _lines(result: Result) -> Iterator[tuple[str, ...]]:
    rows = sorted(result.measured(), key=Row.rate, reverse=True)
    for row in rows:
        # What belongs to the server and not to the page is written once.
        head, own = [row.name], _of_server(row)
        if result.unit == "requests":
            head.append(_processes(row))
        for page, bursts in row.bursts.items():
            yield (*head, page, *_of_page(bursts), *own)
            head, own = [""] * len(head), ("", "", "")


def _of_page(bursts: Sequence[Burst]) -> tuple[str, str, str]:
    rates = [burst.rate for burst in bursts]
    spread = f" ({min(rates):.0f}-{max(rates):.0f})" if len(rates) > 1 else ""
    return (
        f"{statistics.median(rates):.0f}{spread}",
        f"{statistics.median(burst.p99 for burst in bursts):.0f}",
        str(sum(burst.errors for burst in bursts)),
    )


def _of_server(row: Row) -> tuple[str, str, str]:
    late = "" if all(row.stopped) else ", killed"
    return (
        f"{statistics.median(row.first_answers):.1f}",
        f"{row.memory():.0f}",
        f"{sum(row.lost)}{late}",
    )


def _processes(row: Row) -> str:
    threads = row.candidate.threads
    workers = str(row.candidate.workers)
    return f"{workers} x {threads} threads" if threads else workers


def _below(result: Result) -> Iterator[str]:
    yield ""
    for entry in result.left_out:
        yield f"Left out: {entry.name}: {entry.why} {entry.hint}".rstrip()
    for warning in result.warnings:
        yield f"Warning: {warning}."
    if result.interrupted:
        yield "Interrupted: these are the rounds that were finished."
    yield result.advice
