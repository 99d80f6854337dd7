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
_PARAMETER = re.compile(r"(?<=[?&])([^=&\s]+)=([^&\s]+)")
_ASSIGNMENT = re.compile(r"(-e)?([A-Za-z_]\w*)=(.+)", re.DOTALL)


def mask(text: str, name: str = "") -> str:
    """Return the text without the password of a URL; nothing of it by that name."""
    if name and text and _SECRET_NAME.search(name):
        return MASK
    # NAME=value: what env(1) is given, and gunicorn's --env.
    if found := _ASSIGNMENT.fullmatch(text):
        option, name, value = found.groups("")
        return f"{option}{name}={mask(value, name)}"
    text = _URL_PASSWORD.sub(rf"\1:{MASK}@", text)
    return _PARAMETER.sub(lambda found: f"{found[1]}={mask(found[2], found[1])}", text)


def short(value: object, name: str = "") -> str:
    """Return a value as Python writes it: without secrets, and cut if it is long."""
    text = mask(repr(value), name)
    return text if len(text) <= 80 else f"{text[:76]}..."


def mask_words(words: list[str]) -> list[str]:
    """Return the words of a command line, without the secrets."""
    masked: list[str] = []
    previous = ""
    for word in words:
        name, equals, value = word.partition("=")
        if word.startswith("--") and equals:
            masked.append(f"{name}={mask(value, name)}")
        else:
            masked.append(mask(word, previous))
        previous = word if word.startswith("--") and not equals else ""
    return masked
