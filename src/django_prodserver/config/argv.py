"""Render ``ARGS`` as a command line, and merge command lines."""

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
#: What turns a switch off, in lower case.
FALSE = {"false", "no", "off", "0"}
# As in a Procfile. The server may expand other variables itself, but never PORT.
_PORT = re.compile(r"\$(PORT\b|\{PORT\b)")
_SCALARS = (str, int, float, Decimal, os.PathLike, Promise)


class Option(NamedTuple):
    """
    One option of a server's command line.

    Args:
        name: The long name without its dashes, as the server documents it.
        kind: ``value`` takes one, ``list`` takes one and may be repeated,
            ``bool`` takes "true" or "false", ``flag`` takes none.
        on: The form on the command line, ``--preload``; empty if only the negative
            form exists.
        off: The negative form, ``--no-ws``; empty if there is none.
        spellings: All other names that settings and command lines may use for it
            (``w``, ``loglevel``): without dashes, and with ``-`` for ``_``.
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
    """Raised when ARGS contains something that a command line cannot express."""

    def __init__(self, message: str, hint: str = "") -> None:
        super().__init__(Fault.BAD_ARGS, message, hint)


class OptionTable:
    """
    The known options of a server, looked up by any spelling.

    An option that is not in the table is not an error, because the server may be
    newer than the table: it is rendered by the general rule, and the server decides.

    Args:
        options: The server's options.
        join: The separator for a list given to an option that cannot be repeated.
        abbreviates: Whether the server accepts abbreviated long names.
    """

    def __init__(
        self,
        options: Iterable[Option] = (),
        join: str = ",",
        abbreviates: bool = False,
    ) -> None:
        self.join = join
        self.abbreviates = abbreviates
        self.options = tuple(options)
        self._options: dict[str, tuple[Option, bool]] = {}
        for option in self.options:
            for spelling in (option.name, *option.spellings, _bare(option.on)):
                self._options.setdefault(spelling, (option, True))
            self._options.setdefault(_bare(option.off), (option, False))
        self._options.pop("", None)  # for options without an "on" or an "off" form

    def find(self, spelling: str) -> tuple[Option, bool]:
        """Return the option with that spelling, and whether it is the positive form."""
        bare = _bare(spelling)
        if known := self._options.get(bare):
            return known
        # Without a table, keep the spelling: the server may use underscores.
        on = bare if self._options else spelling.lstrip("-")
        # If it is a flag and gets a value, the server reports the error.
        return Option(bare, "list", f"--{on}"), True

    def find_written(self, flag: str) -> tuple[Option, bool]:
        """Do the same for an option of a command line, which may be abbreviated."""
        matches = self._abbreviated(flag)
        # If several match, the server reports that it is ambiguous.
        return matches[0] if len(matches) == 1 else self.find(flag)

    def abbreviates_switch(self, flag: str) -> str:
        """Return the switch that an abbreviation stands for; "" if there is none."""
        for option, positive in self._abbreviated(flag):
            if option.kind == "flag":
                return option.on if positive else option.off
        return ""

    def _abbreviated(self, flag: str) -> list[tuple[Option, bool]]:
        """Return the options whose names start with an unknown one."""
        if not self.abbreviates or flag[:2] != "--" or self.knows(flag):
            return []
        begin = _bare(flag)
        matches = [
            found
            for name, found in self._options.items()
            if name[: len(begin)] == begin
        ]
        return list(dict.fromkeys(matches))

    def knows(self, spelling: str) -> bool:
        """Return whether the table has an option with that spelling."""
        return _bare(spelling) in self._options

    @property
    def spellings(self) -> list[str]:
        """All names of the options, without dashes."""
        return list(self._options)

    def may_take(self, flag: str) -> bool:
        """
        Return whether the server may take an option of a command line.

        True for an empty table: the command may have any option.
        """
        return not self._options or self.knows(flag) or bool(self._abbreviated(flag))


def render(args: object, option_table: OptionTable) -> list[str]:
    """
    Return ``ARGS`` as the words of a command line.

    In a mapping, True and None mean the bare option, False leaves it out or is the
    negative form, a list repeats it, and anything else is its value. A string is
    split as a shell does; a list is used as it is.

    Raises:
        ArgumentError: A command line cannot express a value.
    """
    if isinstance(args, str):
        try:
            args = shlex.split(args)
        except ValueError as error:
            message = (
                f" is {safe_repr(args)}, which cannot be split into words: {error}."
            )
            raise ArgumentError(message, "Close the quotation marks.") from error
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
    """Join two command lines, without the options that the stronger one replaces."""
    words, rest = _split(words)
    stronger, stronger_rest = _split(stronger)
    kept = drop(words, names(stronger, option_table), option_table)
    # Before "--": after it they would not be read as options.
    return kept + stronger + rest + (stronger_rest[1:] if rest else stronger_rest)


def drop(
    words: Sequence[str], options: Iterable[str], option_table: OptionTable
) -> list[str]:
    """Remove options from a command line, in any spelling."""
    dropped = set(options)
    kept = [g for name, g in groups(words, option_table) if name not in dropped]
    return [word for group in kept for word in group]


def names(words: Sequence[str], option_table: OptionTable) -> list[str]:
    """Return the names of a command line's options, each once, in order."""
    return list(dict.fromkeys(name for name, _ in groups(words, option_table) if name))


def value_of(name: str, words: Sequence[str], option_table: OptionTable) -> str | None:
    """
    Return the last value of an option in a command line.

    It is "" for a bare flag, and None if the option is absent or off.
    """
    values = values_of(name, words, option_table)
    return values[-1] if values else None


def values_of(
    name: str, words: Sequence[str], option_table: OptionTable
) -> list[str | None]:
    """Return all values of an option in a command line; None where it is off."""
    values: list[str | None] = []
    for option, group in groups(words, option_table):
        if option == name:
            flag, equals, inline = group[0].partition("=")
            if flag[:2] != "--" and len(flag) > 2:
                values.append(group[0][2:])
            elif option_table.find_written(flag)[1]:
                values.append(inline if equals else " ".join(group[1:]))
            else:
                values.append(None)
    return values


def _words(key: object, value: object, option_table: OptionTable) -> Iterator[str]:
    if not isinstance(key, str) or not _bare(key) or not fits(key):
        raise ArgumentError(
            f" has the key {safe_repr(key)}.", "Use the name of an option."
        )
    option, positive = option_table.find(key)
    known = option_table.knows(key)
    if option.kind == "flag":
        if _boolean(key, value) is positive:
            if option.on:
                yield option.on
        elif option.off:
            yield option.off
    elif option.kind == "bool" and isinstance(value, bool):
        yield f"{option.on}={str(value).lower()}"
    elif value is None or value is True:
        if known:
            message = f"[{safe_repr(key)}] is {value!r}, but {option.on} needs a value."
            raise ArgumentError(message, f'Write "{key}": value, or remove it.')
        yield option.on
    elif value is False:
        return
    elif isinstance(value, list | tuple | set | frozenset):
        items = [_text(key, item) for item in value]
        if option.kind == "value":
            items = [option_table.join.join(items)] if items else []
        # With "=" for each item, so that a value may start with a dash.
        for item in items:
            yield f"{option.on}={item}"
    else:
        yield f"{option.on}={_text(key, value)}"


def _boolean(key: str, value: object) -> bool:
    is_plain = isinstance(value, _SCALARS) and fits(value)
    text = str(value).lower() if is_plain else ""
    if value is None or text in _TRUE:
        return True
    if text in FALSE:
        return False
    message = (
        f"[{safe_repr(key)}] is {safe_repr(value, key)}, but that option is a switch."
    )
    raise ArgumentError(message, f'Write "{key}": True or False.')


def _text(key: str, value: object) -> str:
    if isinstance(value, bool) or not isinstance(value, _SCALARS):
        where = f"[{safe_repr(key)}]" if key else ""
        message = f"{where} has {safe_repr(value, key)}, a {type(value).__name__}."
        raise ArgumentError(message, "Use a string, a number, or a list of them.")
    if not fits(value):
        where = f"[{safe_repr(key)}]" if key else ""
        message = f"{where} is {safe_repr(value, key)}, which no command line can hold."
        hint = "Remove the NUL, the lone surrogate, or the number of 4300 digits."
        raise ArgumentError(message, hint)
    text = _as_text(value)
    if _PORT.search(text):
        where = f"[{safe_repr(key)}]" if key else ""
        message = f"{where} is {safe_repr(text, key)}, but no shell expands PORT here."
        raise ArgumentError(message, "Write os.environ['PORT'] in the settings.")
    return text


def fits(value: object) -> bool:
    """Return whether a command line or an environment can hold a value."""
    try:
        return b"\0" not in os.fsencode(_as_text(value))
    except ValueError:  # a lone surrogate, or more digits than Python converts
        return False


def _as_text(value: object) -> str:
    return os.fsdecode(value) if isinstance(value, os.PathLike) else str(value)


def groups(
    words: Sequence[str], option_table: OptionTable
) -> Iterator[tuple[str | None, list[str]]]:
    """Yield each option's name with its words; None for words of no option."""
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
        name, group = option_table.find_written(flag)[0].name, [word]
    if group:
        yield name, group


def _has_value(word: str) -> bool:
    return "=" in word if word[:2] == "--" else len(word) > 2


def _split(words: Sequence[str]) -> tuple[list[str], list[str]]:
    end = words.index("--") if "--" in words else len(words)
    return list(words[:end]), list(words[end:])


def _bare(spelling: str) -> str:
    return spelling.lstrip("-").replace("_", "-")
