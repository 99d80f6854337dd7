"""A table of a few columns of text, for the pages and for the README."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import NamedTuple


class Table(NamedTuple):
    """
    A table.

    Args:
        head: The columns' titles.
        rows: The cells, as text in which only `code` is marked.
        targets: What the rows are the targets of, such as "key"; nothing, "".
        names: The name of each row's target.
    """

    head: Sequence[str]
    rows: Sequence[Sequence[str]]
    targets: str = ""
    names: Sequence[str] = ()


def of_named(
    kind: str, head: Sequence[str], rows: Iterable[tuple[str, Sequence[str]]]
) -> Table:
    """Return a table whose rows can be linked to, each by the name that it begins."""
    named = list(rows)
    cells = [(code(name), *rest) for name, rest in named]
    return Table(head, cells, kind, [name for name, _ in named])


def markdown(table: Table) -> list[str]:
    """Return the table as lines of Markdown."""
    rule = ["---"] * len(table.head)
    return [f"| {' | '.join(row)} |" for row in (table.head, rule, *table.rows)]


def code(text: object) -> str:
    return f"`{text}`"


def codes(names: Iterable[object]) -> str:
    return ", ".join(map(code, names))
