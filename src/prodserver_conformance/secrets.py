"""The secrets among the variables that a container is given."""

from __future__ import annotations

import re
import uuid
from collections.abc import Mapping
from urllib.parse import unquote, urlsplit

from django_prodserver.text import MASK, redact

#: Given to every container, so that there is a secret to look for.
CANARY = "CONFORMANCE_SECRET_TOKEN"
#: What is shorter may stand anywhere without being the secret.
_SHORTEST = 6


class Secrets:
    """
    Those of the variables that are secret by their names, and passwords of URLs.

    Args:
        env: The variables that the user has given.
    """

    def __init__(self, env: Mapping[str, str]) -> None:
        self.canary = {CANARY: f"canary-{uuid.uuid4().hex}"}
        self._values: dict[str, str] = {}
        for name, value in {**env, **self.canary}.items():
            for secret in filter(None, _of(name, value)):
                self._values.setdefault(secret, name)

    @property
    def names(self) -> list[str]:
        """The variables whose values are looked for."""
        return sorted({name for value, name in self._values.items() if _is_long(value)})

    def found(self, text: str) -> list[str]:
        """Return the variables whose secrets stand in a text."""
        return sorted(
            {
                n
                for value, n in self._values.items()
                if _is_long(value) and value in text
            }
        )

    def hide(self, text: str) -> str:
        """Return a text without them."""
        for value in sorted(self._values, key=len, reverse=True):
            if _is_long(value):
                text = text.replace(value, MASK)
            else:
                text = re.sub(rf"(?<!\w){re.escape(value)}(?!\w)", MASK, text)
        return text


def _is_long(value: str) -> bool:
    return len(value) >= _SHORTEST


def _of(name: str, value: str) -> list[str]:
    if redact(value, name) == value:
        return []
    if redact(value, name) == MASK:
        return [value, *value.splitlines()] if "\n" in value else [value]
    try:
        password = urlsplit(value).password or ""
    except ValueError:
        return [value]
    # As it is written, and as it is meant; else all of it, to be on the safe side.
    return [password, unquote(password)] if password else [value]
