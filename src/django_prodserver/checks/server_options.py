"""Check ``ARGS`` against the options of the installed server."""

from __future__ import annotations

import functools
from collections.abc import Iterator, Mapping

from django.core.checks import Warning

from django_prodserver.backends.base import CommandBackend
from django_prodserver.backends.introspection.installed import InstalledOptions
from django_prodserver.checks.ids import WarningId
from django_prodserver.config.argv import ArgumentError, OptionTable, groups, render
from django_prodserver.text import did_you_mean, safe_repr


def warnings(backend: CommandBackend) -> Iterator[Warning]:
    """Yield a warning for each option of ``ARGS`` that the server does not accept."""
    installed = backend.installed_options()
    if installed is None:
        return
    try:
        options, release = read(installed)
    except Exception:  # a new release may store its options in another way
        return
    known = backend.option_table
    unknown = set()
    for key, words in _given(backend.native_args(), known):
        spelling = key.partition("=")[0]
        if known.knows(spelling) or options.knows(spelling):
            yield from _wrong_values(installed, spelling, words, known, release)
        elif spelling not in unknown:
            unknown.add(spelling)
            name = spelling.lstrip("-")
            message = f"['ARGS']: {safe_repr(name)} is not an option of {release}."
            hint = _suggestion(name, options) or "See its --help."
            yield Warning(message, hint=hint, id=WarningId.UNKNOWN_OPTION)


def _given(args: object, known: OptionTable) -> Iterator[tuple[str, list[str]]]:
    """Yield each option of ``ARGS`` as written, with its command-line words."""
    if isinstance(args, Mapping):
        for key, value in args.items():
            for word in _words(key, value, known):
                yield str(key), [word]
        return
    for name, group in groups(render(args, known), known):
        if name:
            yield group[0], group


def _words(key: object, value: object, known: OptionTable) -> list[str]:
    try:
        return render({key: value}, known)
    except ArgumentError:
        return []  # another check reports it


def _wrong_values(
    installed: InstalledOptions,
    key: str,
    words: list[str],
    known: OptionTable,
    release: str,
) -> Iterator[Warning]:
    option, _ = known.find(key)
    if option.kind not in ("value", "list"):
        return
    _, _, inline = words[0].partition("=")
    text = inline or " ".join(words[1:])
    if not text:
        return
    try:
        hint = installed.refusal(option.on, text)
    except Exception:  # a new release, as above
        return
    if hint:
        name = key.lstrip("-")
        shown = safe_repr(text, name)
        message = f"['ARGS'][{name!r}] is {shown}, which {release} does not accept."
        yield Warning(message, hint=hint, id=WarningId.WRONG_VALUE)


@functools.cache
def read(installed: InstalledOptions) -> tuple[OptionTable, str]:
    """Return a server's options and its release; cached for other processes."""
    release = f"{installed.distribution} {installed.version}"
    return OptionTable(installed.read_options()), release


def _suggestion(name: str, options: OptionTable) -> str:
    """Return a hint with the option closest to an unknown name, or ""."""
    spellings = {
        spelling.replace("_", "-"): option.name
        for option in options.options
        for spelling in (option.name, *option.spellings)
        if len(spelling) > 1
    }
    return did_you_mean(name.replace("_", "-"), spellings, spellings)
