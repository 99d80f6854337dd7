"""Text helpers: redact secrets, check dotted paths, suggest the closest name."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable, Mapping

MASK = "***"
_SECRET_NAME = re.compile(
    r"pass(word|wd|phrase)|secret|token|api[-_]?key|credential|basic[-_]?auth|dsn"
    # Only at the end: matches SIGNING_KEY and DB_PASS, but not KEYFILE or BYPASS.
    r"|(^|[-_])(key|pass|pwd)$",
    re.IGNORECASE,
)
# Up to the last "@" before the next URL: a password may contain "@" and "/".
_URL_PASSWORD = re.compile(r"(?<=://)([^/@:\s]*):((?!://)\S)+@")
# No "?" in a name, and the value is searched for separately: one regex for both
# would take hours on megabytes of "?a=".
_PARAMETER = re.compile(r"(?<=[?&])([^=&?\s]+)=(?=[^&\s])")
_END = re.compile(r"[&\s]|\Z")
_ASSIGNMENT = re.compile(r"(-e)?([A-Za-z_]\w*)=(.+)", re.DOTALL)


def redact(text: str, name: str = "") -> str:
    """
    Mask the secrets in a text.

    Args:
        text: Passwords in URLs and secret query parameters are masked in it.
        name: The name of the option or variable; the whole text is masked if the
            name is that of a secret.
    """
    if name and text and _SECRET_NAME.search(name):
        return MASK
    # NAME=value, as in the arguments of env(1) and of gunicorn's --env.
    if assignment := _ASSIGNMENT.fullmatch(text):
        option, name, value = assignment.groups("")
        return f"{option}{name}={redact(value, name)}"
    text = _URL_PASSWORD.sub(rf"\1:{MASK}@", text)
    return _redact_parameters(text)


def _redact_parameters(text: str) -> str:
    parts, end = [], 0
    for parameter in _PARAMETER.finditer(text):
        value_start = parameter.end()
        if value_start > end and _SECRET_NAME.search(parameter[1]):
            parts += [text[end:value_start], MASK]
            value_end = _END.search(text, value_start)
            end = value_end.start() if value_end else len(text)
    return "".join([*parts, text[end:]])


def safe_repr(value: object, name: str = "") -> str:
    """Return ``repr(value)`` without secrets, cut to 80 characters."""
    try:
        text = repr(value)
    except Exception:  # nested too deeply, too large a number, or a broken __repr__
        text = f"<{type(value).__name__}>"
    text = redact(text, name)
    return text if len(text) <= 80 else f"{text[:76]}..."


def redact_words(words: list[str]) -> list[str]:
    """Mask the secrets in the words of a command line."""
    redacted: list[str] = []
    previous_option = ""
    for word in words:
        name, equals, value = word.partition("=")
        if word.startswith("--") and equals:
            redacted.append(f"{name}={redact(value, name)}")
        else:
            redacted.append(redact(word, previous_option))
        previous_option = word if word.startswith("--") and not equals else ""
    return redacted


def is_dotted_path(text: str, least: int = 2) -> bool:
    """Return whether a text is ``a.b.c``: names of Python, at least so many."""
    names = text.split(".")
    return len(names) >= least and all(name.isidentifier() for name in names)


def is_missing(path: str, module: str | None) -> bool:
    """
    Return whether the module that an import did not find is the one at a path.

    If not, the module at the path exists, and one of its own imports has failed:
    that is a bug to show with its traceback, not a wrong path.

    Args:
        path: The dotted path that was imported.
        module: ``ModuleNotFoundError.name``.
    """
    # "a.b.c" is missing if "a", "a.b" or "a.b.c" was not found.
    return f"{path}.".startswith(f"{module}.")


def did_you_mean(
    word: str, candidates: Iterable[str], names: Mapping[str, str] | None = None
) -> str:
    """
    Return "Did you mean 'web'?", or "" if no candidate is close.

    Args:
        word: What was written.
        candidates: What can be written.
        names: The name to suggest for a candidate, if it is not the candidate.
    """
    # difflib would compare every character of a word of megabytes.
    close = difflib.get_close_matches(word[:200], list(candidates), 1)
    if not close:
        return ""
    return f"Did you mean {(names or {}).get(close[0], close[0])!r}?"
