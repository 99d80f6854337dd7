"""The one rule that turns ``ARGS`` into a command line, and merges two of them."""

from __future__ import annotations

import os
import re
import shlex
from collections.abc import Iterable, Iterator, Mapping, Sequence
from decimal import Decimal
from typing import Literal, NamedTuple

from django.utils.functional import Promise

from django_prodserver.exceptions import ConfigurationError, Fault
from django_prodserver.text import safe_repr

_TRUE = {"true", "yes", "on", "1"}
_FALSE = {"false", "no", "off", "0"}
# As a Procfile has it. Other names may be the server's affair, but not an address.
_PORT = re.compile(r"\$(PORT\b|\{PORT\b)")
_SCALARS = (str, int, float, Decimal, os.PathLike, Promise)


class Option(NamedTuple):
    """
    One option of a server's command line.

    Args:
        name: The long name without its dashes, as the server documents it.
        kind: ``value`` takes one, ``list`` takes one and may be repeated,
            ``bool`` takes "true" or "false", ``flag`` takes none.
        on: What goes on the command line, ``--preload``; empty where only the
            negative form exists.
        off: The negative form, ``--no-ws``; empty where there is none.
        spellings: Every other name a setting or a command line may give it
            (``w``, ``loglevel``): without dashes, ``-`` for ``_``.
    """

    name: str
    kind: Literal["value", "list", "bool", "flag"]
    on: str
    off: str = ""
    spellings: tuple[str, ...] = ()


class Layer(NamedTuple):
    """
    Options that come from one place.

    Args:
        origin: A key, an environment variable, "ARGS", "command line" or "default".
        words: The options, as words of a command line.
        why: The reason for a default.
    """

    origin: str
    words: list[str]
    why: str = ""


class ArgumentError(ConfigurationError):
    """ARGS contains something that no command line can express."""

    def __init__(self, message: str, hint: str = "") -> None:
        super().__init__(Fault.BAD_ARGS, message, hint)


class OptionTable:
    """
    The options a server is known to take, to be looked up by any spelling.

    An option that is not in it is not an error (the server may be newer than
    the table): it is translated by the plain rule, and the server decides.

    Args:
        options: The server's options.
        join: What the server wants between the items of a list that is given
            to an option it does not let one repeat.
    """

    def __init__(self, options: Iterable[Option] = (), join: str = ",") -> None:
        self.join = join
        self.options = tuple(options)
        self._options: dict[str, tuple[Option, bool]] = {}
        for option in self.options:
            for spelling in (option.name, *option.spellings, _bare(option.on)):
                self._options.setdefault(spelling, (option, True))
            self._options.setdefault(_bare(option.off), (option, False))
        self._options.pop("", None)  # the form, on or off, that an option lacks

    def find(self, spelling: str) -> tuple[Option, bool]:
        """Return the option of that spelling, and False if it is the negative."""
        bare = _bare(spelling)
        if known := self._options.get(bare):
            return known
        # Of a server that has no table we do not even know how it spells.
        on = bare if self._options else spelling.lstrip("-")
        # A flag that is given a value is told so by the server itself.
        return Option(bare, "list", f"--{on}"), True

    def knows(self, spelling: str) -> bool:
        return _bare(spelling) in self._options


def render(args: object, option_table: OptionTable) -> list[str]:
    """
    Return ``ARGS`` as the words of a command line.

    A mapping follows the rule: True and None are the bare option, False leaves
    it out or is the negative form, a list repeats it, anything else is its
    value. A string is split as a shell would; a list is taken as it is.

    Raises:
        ArgumentError: A value that cannot be said on a command line.
    """
    if isinstance(args, str):
        try:
            args = shlex.split(args)
        except ValueError as error:
            message = f" is {safe_repr(args)}, which a shell cannot split: {error}."
            raise ArgumentError(message, "Close the quotation.") from error
    if isinstance(args, list | tuple):
        return [_text("", item) for item in args]
    if not isinstance(args, Mapping):
        message = f" is {safe_repr(args)}, not a dictionary."
        raise ArgumentError(message, 'Write options as {"name": value}.')
    return [
        word for key, value in args.items() for word in _words(key, value, option_table)
    ]


def merge(
    words: Sequence[str], stronger: Sequence[str], option_table: OptionTable
) -> list[str]:
    """Return both command lines as one, without what the stronger one replaces."""
    words, rest = _split(words)
    stronger, stronger_rest = _split(stronger)
    kept = drop(words, names(stronger, option_table), option_table)
    # Before "--", or they would be no options any more.
    return kept + stronger + rest + (stronger_rest[1:] if rest else stronger_rest)


def drop(
    words: Sequence[str], options: Iterable[str], option_table: OptionTable
) -> list[str]:
    """Return a command line without some options, under any spelling."""
    dropped = set(options)
    kept = [g for name, g in groups(words, option_table) if name not in dropped]
    return [word for group in kept for word in group]


def names(words: Sequence[str], option_table: OptionTable) -> list[str]:
    """Return the names of the options in a command line, each once, in order."""
    return list(dict.fromkeys(name for name, _ in groups(words, option_table) if name))


def value_of(name: str, words: Sequence[str], option_table: OptionTable) -> str | None:
    """
    Return the last value a command line gives an option.

    It is "" for a bare flag, and None where the option is not given or is off.
    """
    found = values_of(name, words, option_table)
    return found[-1] if found else None


def values_of(
    name: str, words: Sequence[str], option_table: OptionTable
) -> list[str | None]:
    """Return every value a command line gives an option; None where it is off."""
    found: list[str | None] = []
    for option, group in groups(words, option_table):
        if option == name:
            flag, equals, inline = group[0].partition("=")
            if flag[:2] != "--" and len(flag) > 2:
                found.append(group[0][2:])
            elif option_table.find(flag)[1]:
                found.append(inline if equals else " ".join(group[1:]))
            else:
                found.append(None)
    return found


def _words(key: object, value: object, option_table: OptionTable) -> Iterator[str]:
    if not isinstance(key, str) or not _bare(key) or not fits(key):
        raise ArgumentError(
            f" has the key {safe_repr(key)}.", "Keys are the options' names."
        )
    option, positive = option_table.find(key)
    known = option_table.knows(key)
    if option.kind == "flag":
        if _switch(key, value) is positive:
            if option.on:
                yield option.on
        elif option.off:
            yield option.off
    elif option.kind == "bool" and isinstance(value, bool):
        yield f"{option.on}={str(value).lower()}"
    elif value is None or value is True:
        if known:
            message = f"[{safe_repr(key)}] is {value!r}, and {option.on} needs a value."
            raise ArgumentError(message, f'Write "{key}": value, or leave it out.')
        yield option.on
    elif value is False:
        return
    elif isinstance(value, list | tuple | set | frozenset):
        items = [_text(key, item) for item in value]
        if option.kind == "value":
            items = [option_table.join.join(items)] if items else []
        # "=" at every item, so that a value may start with a dash.
        for item in items:
            yield f"{option.on}={item}"
    else:
        yield f"{option.on}={_text(key, value)}"


def _switch(key: str, value: object) -> bool:
    plain = isinstance(value, _SCALARS) and fits(value)
    said = str(value).lower() if plain else ""
    if value is None or said in _TRUE:
        return True
    if said in _FALSE:
        return False
    message = (
        f"[{safe_repr(key)}] is {safe_repr(value, key)}, and that option is a switch."
    )
    raise ArgumentError(message, f'Write "{key}": True or False.')


def _text(key: str, value: object) -> str:
    if isinstance(value, bool) or not isinstance(value, _SCALARS):
        where = f"[{safe_repr(key)}]" if key else ""
        message = f"{where} holds {safe_repr(value, key)}, a {type(value).__name__}."
        raise ArgumentError(message, "Options take text and numbers, or lists of them.")
    if not fits(value):
        where = f"[{safe_repr(key)}]" if key else ""
        message = f"{where} is {safe_repr(value, key)}, which no command line can hold."
        raise ArgumentError(message, "No NUL, half surrogate or number of 4300 digits.")
    text = _as_text(value)
    if _PORT.search(text):
        where = f"[{safe_repr(key)}]" if key else ""
        message = f"{where} is {safe_repr(text, key)}, and no shell puts PORT in."
        raise ArgumentError(message, "Write os.environ['PORT'] in the settings.")
    return text


def fits(value: object) -> bool:
    """Return whether a command line, or an environment, can hold it as text."""
    try:
        return b"\0" not in os.fsencode(_as_text(value))
    except ValueError:  # half a surrogate, or more digits than Python writes
        return False


def _as_text(value: object) -> str:
    return os.fsdecode(value) if isinstance(value, os.PathLike) else str(value)


def groups(
    words: Sequence[str], option_table: OptionTable
) -> Iterator[tuple[str | None, list[str]]]:
    """Yield each option's name with its words; None for what belongs to none."""
    name: str | None = None
    group: list[str] = []
    for index, word in enumerate(words):
        if word == "--":
            yield name, group
            yield None, list(words[index:])
            return
        if word[:1] != "-" or len(word) == 1 or word[1:2].isdigit():
            takes = name is not None and option_table.find(name)[0].kind != "flag"
            if takes and len(group) == 1 and not _has_value(group[0]):
                group.append(word)
                continue
            yield name, group
            name, group = None, [word]
            continue
        if group:
            yield name, group
        flag = word.partition("=")[0] if word[:2] == "--" else word[:2]
        name, group = option_table.find(flag)[0].name, [word]
    if group:
        yield name, group


def _has_value(word: str) -> bool:
    return "=" in word if word[:2] == "--" else len(word) > 2


def _split(words: Sequence[str]) -> tuple[list[str], list[str]]:
    end = words.index("--") if "--" in words else len(words)
    return list(words[:end]), list(words[end:])


def _bare(spelling: str) -> str:
    return spelling.lstrip("-").replace("_", "-")
