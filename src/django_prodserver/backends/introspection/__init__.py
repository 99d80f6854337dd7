"""Option tables: generated files in each backend's directory."""

from __future__ import annotations

import functools
import json
from collections.abc import Iterable
from importlib import import_module
from pathlib import Path
from typing import NamedTuple

from django_prodserver.config.argv import Option, OptionTable


class OptionFile(NamedTuple):
    """
    A generated table of options, in the directory of a backend.

    Args:
        package: The backend's package, ``__package__``.
        name: The file's name.
    """

    package: str
    name: str = "options.json"

    def __str__(self) -> str:
        return f"{self.package.rpartition('.')[2]}/{self.name}"

    @property
    def path(self) -> Path:
        """The file's path."""
        return Path(import_module(self.package).__path__[0], self.name)


@functools.cache
def option_table(
    file: OptionFile | None, join: str = ",", abbreviates: bool = False
) -> OptionTable:
    """Return the options in a generated table, without importing the server."""
    options = from_json(file.path.read_text()) if file else ()
    return OptionTable(options, join, abbreviates)


def from_json(text: str) -> list[Option]:
    """Return the options of a generated table."""
    return [
        Option(
            known["name"],
            known["kind"],
            known["on"],
            known.get("off", ""),
            tuple(known.get("spellings", ())),
        )
        for known in json.loads(text)["options"]
    ]


def to_json(package: str, version: str, options: Iterable[Option]) -> str:
    """Return the text of a table: one line per option, without empty fields."""
    lines = []
    for option in options:
        known: dict[str, object] = dict(
            zip(("name", "kind", "on"), option, strict=False)
        )
        if option.off:
            known["off"] = option.off
        if option.spellings:
            known["spellings"] = option.spellings
        lines.append(f"    {json.dumps(known)}")
    head = [f'  "package": {json.dumps(package)},', f'  "version": "{version}",']
    return "\n".join(("{", *head, '  "options": [', ",\n".join(lines), "  ]", "}", ""))
