"""Tables of the options of installed servers, with their own help and defaults."""

from __future__ import annotations

import enum
import re
from collections.abc import Callable

from django_prodserver.backends.base import CommandBackend
from django_prodserver.backends.introspection import OptionFile
from django_prodserver.backends.introspection.installed import (
    InstalledOptions,
    OptionHelp,
    all_tables,
)
from django_prodserver.config.argv import Option, OptionTable, value_of
from docs._ext import facts
from docs._ext.tables import Table, code


def options(table: str, names: list[str]) -> Table:
    """
    Return some options of an installed server, described.

    Args:
        table: The server's table of options, such as "celery/beat_options.json".
        names: The options.

    Raises:
        LookupError: There is no such table, or the installed server has no option
            of that name.
    """
    file, installed = _table(table)
    release = f"{installed.distribution} {installed.version}"
    found = OptionTable(installed.read_options())
    described: dict[str, OptionHelp] = {}
    for name, help in installed.describe():
        described.setdefault(name, help)  # "--x" is before "--no-x"
    ours = _our_defaults(file)
    rows = []
    for name in names:
        option, _ = found.find(name)
        if option.name != name or not found.knows(name):
            message = f"{release} has no option --{name}"
            raise LookupError(message)
        theirs = described.get(name, OptionHelp(None, ""))
        default = installed.defaults.get(name) or _text(theirs.default, option)
        meaning = installed.help.get(name) or _sentence(theirs.text)
        if not meaning:
            message = f"{release} does not describe --{name}: give {table} its help"
            raise LookupError(message)
        rows.append((code(name), option.kind, default, ours(name), meaning))
    head = ("Option", "Value", f"Default in {release}", "Default here", "Meaning")
    return Table(head, rows)


def native_default(table: str, name: str) -> str:
    """Return the default of an option of an installed server, as the tables have it."""
    _, installed = _table(table)
    option, _ = OptionTable(installed.read_options()).find(name)
    described = dict(reversed(list(installed.describe())))
    theirs = described.get(name, OptionHelp(None, ""))
    return installed.defaults.get(name) or _text(theirs.default, option)


def _table(name: str) -> tuple[OptionFile, InstalledOptions]:
    for file, installed in all_tables().items():
        if str(file) == name:
            return file, installed
    message = f"no backend has the table {name}"
    raise LookupError(message)


def _our_defaults(file: OptionFile) -> Callable[[str], str]:
    made = [
        (path, found)
        for path, found in facts.known().items()
        if isinstance(found, CommandBackend) and found.option_file == file
    ]

    def ours(name: str) -> str:
        found = {
            path.partition(".")[2]: _our_default(backend, name)
            for path, backend in made
        }
        if len(set(found.values())) < 2:
            return next(iter(found.values()), "")
        return ", ".join(f"{text} ({cls})" for cls, text in found.items() if text)

    return ours


def _our_default(backend: CommandBackend, name: str) -> str:
    given = value_of(name, backend.args, backend.option_table)
    if given is None:
        return ""
    return code(given.rpartition("/site-packages/")[2]) if given else "on"


def _text(default: object, option: Option) -> str:
    if isinstance(default, enum.Enum):
        default = default.value
    if isinstance(default, list | tuple):
        default = ", ".join(map(str, default))
    if option.kind in ("flag", "bool") and isinstance(default, bool | None):
        return "on" if default else "off"
    return code(default) if default not in (None, "") else ""


def _sentence(text: str) -> str:
    """Return the first sentence of a help text, on one line."""
    line = " ".join(text.replace("``", "`").replace("%%", "%").split())
    if not line:
        return ""
    found = re.match(r"(.*?[^.]\.)(?= [A-Z(]|$)", line)
    first = found[1] if found else line
    return first[:1].upper() + first[1:] if first.endswith(".") else f"{first}."
