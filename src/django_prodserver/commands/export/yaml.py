"""Write YAML: dictionaries, lists, scalars and comments, always in the same way."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence

#: What needs no quotes in any version of YAML, in a block or between brackets.
_PLAIN = re.compile(r"[A-Za-z_/.][\w./-]*|\d+([smh]|Mi)", re.ASCII)
_NOT_TEXT = re.compile(
    r"y|n|yes|no|on|off|true|false|null|\.nan|\.inf|\.[\d_.]*", re.IGNORECASE
)
# Longer lists have an item on each line.
_WIDTH = 80


class Comment(str):
    """A comment: a key of a dictionary, or an item of a list."""

    __slots__ = ()


def dump(value: object) -> str:
    """Return a dictionary or a list as YAML."""
    return "".join(f"{line}\n" for line in _lines(value))


def comment(text: str) -> str:
    """Return a text as the lines of a comment."""
    return "".join(f"# {line}".rstrip() + "\n" for line in text.splitlines())


def _lines(value: object) -> Iterator[str]:
    if isinstance(value, Mapping):
        for key, item in value.items():
            if isinstance(key, Comment):
                yield from comment(key).splitlines()
            elif (short := _short(item)) is not None:
                yield f"{_scalar(key)}: {short}"
            else:
                yield f"{_scalar(key)}:"
                yield from (f"  {line}" for line in _lines(item))
        return
    assert isinstance(value, Sequence)  # noqa: S101
    for item in value:
        if isinstance(item, Comment):
            yield from comment(item).splitlines()
            continue
        short = _short(item)
        first, *rest = _lines(item) if short is None else [short]
        yield f"- {first}"
        yield from (f"  {line}" for line in rest)


def _short(value: object) -> str | None:
    """Return a value for the rest of a line; None if it needs lines of its own."""
    if isinstance(value, Mapping):
        return None if value else "{}"
    if not isinstance(value, list | tuple):
        return _scalar(value)
    if any(isinstance(item, Mapping | list | tuple | Comment) for item in value):
        return None
    line = f"[{', '.join(map(_scalar, value))}]"
    return line if len(line) <= _WIDTH else None


def _scalar(value: object) -> str:
    if value is None or isinstance(value, bool):
        return {None: "null", True: "true", False: "false"}[value]
    if isinstance(value, int | float):
        return repr(value)
    text = str(value)
    if _PLAIN.fullmatch(text) and not _NOT_TEXT.fullmatch(text):
        return text
    return f'"{"".join(map(_escaped, text))}"'


def _escaped(character: str) -> str:
    if character in '"\\':
        return f"\\{character}"
    if character.isprintable():
        return character
    code = ord(character)
    return f"\\x{code:02x}" if code < 256 else f"\\U{code:08x}"
