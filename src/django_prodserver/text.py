"""Secrets, out of what is printed."""

from __future__ import annotations

import re

MASK = "***"
_SECRET_NAME = re.compile(
    r"pass(word|wd|phrase)|secret|token|api[-_]?key|credential|basic[-_]?auth|dsn"
    # At the end only: SIGNING_KEY and DB_PASS, and not KEYFILE or BYPASS.
    r"|(^|[-_])(key|pass|pwd)$",
    re.IGNORECASE,
)
# To the last "@" before the next URL: a password may hold "@" and "/".
_URL_PASSWORD = re.compile(r"(?<=://)([^/@:\s]*):((?!://)\S)+@")
# No "?" in a name, and each looked at by itself: megabytes of "?a=" would take hours.
_PARAMETER = re.compile(r"(?<=[?&])([^=&?\s]+)=(?=[^&\s])")
_END = re.compile(r"[&\s]|\Z")
_ASSIGNMENT = re.compile(r"(-e)?([A-Za-z_]\w*)=(.+)", re.DOTALL)


def redact(text: str, name: str = "") -> str:
    """Return the text without the password of a URL; nothing of it by that name."""
    if name and text and _SECRET_NAME.search(name):
        return MASK
    # NAME=value: what env(1) is given, and gunicorn's --env.
    if found := _ASSIGNMENT.fullmatch(text):
        option, name, value = found.groups("")
        return f"{option}{name}={redact(value, name)}"
    text = _URL_PASSWORD.sub(rf"\1:{MASK}@", text)
    return _mask_parameters(text)


def _mask_parameters(text: str) -> str:
    parts, end = [], 0
    for found in _PARAMETER.finditer(text):
        value = found.end()
        if value > end and _SECRET_NAME.search(found[1]):
            parts += [text[end:value], MASK]
            last = _END.search(text, value)
            end = last.start() if last else len(text)
    return "".join([*parts, text[end:]])


def safe_repr(value: object, name: str = "") -> str:
    """Return a value as Python writes it: without secrets, and cut if it is long."""
    try:
        text = repr(value)
    except Exception:  # nested too deep, a number too long, or it cannot be told
        text = f"<{type(value).__name__}>"
    text = redact(text, name)
    return text if len(text) <= 80 else f"{text[:76]}..."


def redact_words(words: list[str]) -> list[str]:
    """Return the words of a command line, without the secrets."""
    masked: list[str] = []
    previous = ""
    for word in words:
        name, equals, value = word.partition("=")
        if word.startswith("--") and equals:
            masked.append(f"{name}={redact(value, name)}")
        else:
            masked.append(redact(word, previous))
        previous = word if word.startswith("--") and not equals else ""
    return masked
