"""``ARGS`` against what the installed server says of its own options."""

from __future__ import annotations

import functools
from collections.abc import Iterator, Mapping
from importlib.metadata import version

from django_prodserver.backends.introspection import option_table, readers, values
from django_prodserver.checks.ids import Finding, WarningId
from django_prodserver.config.argv import ArgumentError, OptionTable, groups, render
from django_prodserver.text import did_you_mean, safe_repr


def findings(server: str, args: object, join: str = ",") -> Iterator[Finding]:
    """Yield the options of ``ARGS`` that the installed server does not know or take."""
    known = option_table(server, join)
    try:
        installed, release = _installed(server)
    except Exception:  # a new release, whose options are kept in another way
        return
    if isinstance(args, Mapping):
        given = [
            (str(key), words)
            for key, value in args.items()
            for words in _words(key, value, known)
        ]
    else:
        words = render(args, known)
        given = [(group[0], group) for name, group in groups(words, known) if name]
    told = set()
    for key, words in given:
        spelled = key.partition("=")[0]
        if known.knows(spelled) or installed.knows(spelled):
            yield from _values(server, spelled, words, known, release)
        elif spelled not in told:
            told.add(spelled)
            name = spelled.lstrip("-")
            message = f"['ARGS']: {safe_repr(name)} is not an option of {release}."
            hint = _near(name, installed) or "Look at its --help."
            yield Finding(WarningId.UNKNOWN_OPTION, message, hint)


def _values(
    server: str, key: str, words: list[str], known: OptionTable, release: str
) -> Iterator[Finding]:
    option, _ = known.find(key)
    if option.kind not in ("value", "list"):
        return
    _, _, inline = words[0].partition("=")
    text = inline or " ".join(words[1:])
    try:
        hint = values.refusal(server, option.on, text) if text else ""
    except Exception:  # as above
        return
    if hint:
        name = key.lstrip("-")
        what = f"['ARGS'][{name!r}] is {safe_repr(text, name)}"
        message = f"{what}, which {release} does not take."
        yield Finding(WarningId.WRONG_VALUE, message, hint)


def _words(key: object, value: object, known: OptionTable) -> Iterator[list[str]]:
    try:
        for word in render({key: value}, known):
            yield [word]
    except ArgumentError:
        return  # a fault, of which the user is told


@functools.cache
def _installed(server: str) -> tuple[OptionTable, str]:
    package = readers.PACKAGES.get(server, server)
    return OptionTable(readers.READERS[server]()), f"{package} {version(package)}"


def _near(name: str, installed: OptionTable) -> str:
    spellings = {
        spelling.replace("_", "-"): option.name
        for option in installed.options
        for spelling in (option.name, *option.spellings)
        if len(spelling) > 1
    }
    return did_you_mean(name.replace("_", "-"), spellings, spellings)
