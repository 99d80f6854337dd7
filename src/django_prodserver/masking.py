"""Secrets, out of what is printed."""

from __future__ import annotations

import re

MASK = "***"
_URL_PASSWORD = re.compile(r"(?<=://)([^/@:\s]*):([^@\s]+)@")
_SECRET_NAME = re.compile(
    r"pass(word|wd|phrase)|secret|token|api[-_]?key|credential|basic[-_]?auth|dsn",
    re.IGNORECASE,
)


def mask(text: str, name: str = "") -> str:
    """Return the text without the password of a URL; nothing of it by that name."""
    if name and text and _SECRET_NAME.search(name):
        return MASK
    return _URL_PASSWORD.sub(rf"\1:{MASK}@", text)


def mask_words(words: list[str]) -> list[str]:
    """Return the words of a command line, without the secrets."""
    masked: list[str] = []
    previous = ""
    for word in words:
        name, equals, value = word.partition("=")
        if word.startswith("-") and equals:
            masked.append(f"{name}={mask(value, name)}")
        else:
            masked.append(mask(word, previous))
        previous = word if word.startswith("--") and not equals else ""
    return masked
