"""Forge lines and fields of a log, and find them and the access log's lines in it."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence

_LOGGER = "django_prodserver.access"
#: What ends a line for some reader of a log.
BREAKS = ("\n", "\r", "\r\n", "\x0b", "\x0c", "\x85", "\u2028")
#: A line's fields in order; a name may occur twice.
Fields = Sequence[tuple[str, str]]


def forged_path(mark: str) -> str:
    """Return a path that, unescaped, is several lines with more fields."""
    lines = "".join(f"{each}{mark} info web[1]: forged" for each in BREAKS)
    text = f" 299 {mark}=1 client=203.0.113.66"
    return f'/{mark}{lines}{text}", "{mark}": "1", "client": "203.0.113.66'


def forgeries(log: str, mark: str) -> Iterator[str]:
    """
    Yield the lines, and the fields in lines of JSON, that begin with a mark.

    Args:
        log: The log. All that ends a line for some reader does, not only "\\n".
        mark: A word that a client has sent within something else.
    """
    for line in log.splitlines():
        if line.startswith(mark):
            yield f"a line that a client made: {line[:80]!r}"
        elif any(name == mark for name, _ in _json_fields(line)):
            yield f"a field that a client made: {line[:80]!r}"


def access_lines(log: str, mark: str) -> list[Fields]:
    """Return the fields of each line of the access log that contains a mark."""
    lines = [line for line in log.splitlines() if mark in line]
    return list(filter(None, map(_access_fields, lines)))


def difference(usual: Fields, forged: Fields, status: int) -> str:
    """
    Describe what a request has forged in its line of the access log, or return "".

    Args:
        usual: The fields of another request of the same client.
        forged: The fields of the request.
        status: The status that it got.
    """
    names, expected = ([name for name, _ in fields] for fields in (forged, usual))
    if names != expected:
        return f"the fields {', '.join(names)}, not {', '.join(expected)}"
    right = {"status": str(status), "client": dict(usual).get("client", "")}
    wrong = [
        f"{name}={value}, not {right[name]}"
        for name, value in forged
        if name in right and value != right[name]
    ]
    return ", ".join(wrong)


def _access_fields(line: str) -> Fields:
    """Return the fields of a line of the access log; none of another line."""
    fields = _json_fields(line)
    if fields:
        return fields if ("logger", _LOGGER) in fields else ()
    _, found, rest = line.partition(f" {_LOGGER}: ")
    if not found:
        return ()
    words = rest.split(" ")
    message = zip(("method", "path", "status"), words, strict=False)
    more = (word.partition("=") for word in words[3:])
    return [*message, *((name, value) for name, _, value in more)]


def _json_fields(line: str) -> Fields:
    """Return the fields of a JSON object; none of another line."""
    if not line.startswith("{"):
        return ()
    try:
        pairs = json.loads(line, object_pairs_hook=list)
    except ValueError:
        return ()
    return [(name, str(value)) for name, value in pairs]
