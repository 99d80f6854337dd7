"""The secrets among the variables that the containers are given."""

from __future__ import annotations

import re
import uuid
from collections.abc import Mapping
from urllib.parse import unquote, urlsplit

from django_prodserver.text import MASK, redact

#: A secret that every container is given, so that there is one to look for.
CANARY = "CONFORMANCE_SECRET_TOKEN"
#: A shorter value may occur in a text without being the secret.
_SHORTEST = 6


class Secrets:
    """
    Find and redact secrets: variables with a secret's name, and passwords in URLs.

    Args:
        env: The variables that the user has given.
    """

    def __init__(self, env: Mapping[str, str]) -> None:
        self.canary = {CANARY: f"canary-{uuid.uuid4().hex}"}
        self._names: dict[str, str] = {}  # by value
        for name, value in {**env, **self.canary}.items():
            for secret in filter(None, _secrets_of(name, value)):
                self._names.setdefault(secret, name)

    @property
    def names(self) -> list[str]:
        """The variables whose values can be looked for."""
        return sorted({name for value, name in self._names.items() if _is_long(value)})

    def find_in(self, text: str) -> list[str]:
        """Return the variables whose secrets occur in a text."""
        names = set()
        for value, name in self._names.items():
            if _is_long(value) and value in text:
                names.add(name)
        return sorted(names)

    def redact(self, text: str) -> str:
        """Return a text with its secrets masked."""
        # The longest first: one secret may contain another one.
        for value in sorted(self._names, key=len, reverse=True):
            if _is_long(value):
                text = text.replace(value, MASK)
            else:
                text = re.sub(rf"(?<!\w){re.escape(value)}(?!\w)", MASK, text)
        return text


def _is_long(value: str) -> bool:
    return len(value) >= _SHORTEST


def _secrets_of(name: str, value: str) -> list[str]:
    """Return the secrets in a variable's value."""
    if redact(value, name) == value:
        return []
    if redact(value, name) == MASK:
        return [value, *value.splitlines()] if "\n" in value else [value]
    try:
        password = urlsplit(value).password or ""
    except ValueError:
        return [value]
    # Both as it is written in the URL and decoded. If there is no password, the whole
    # value, to be safe.
    return [password, unquote(password)] if password else [value]
