"""Secrets, out of the environment or out of files."""

from __future__ import annotations

import os
from pathlib import Path

from django.core.exceptions import ImproperlyConfigured


def secret(name: str) -> str:
    """
    Return what the variable holds, or the file that ``NAME_FILE`` names.

    A file is how Docker and Kubernetes hand a secret over: no other process sees
    it, and ``docker inspect`` does not show it. The line's end is left out.

    Raises:
        ImproperlyConfigured: Both are set, or the file cannot be read.
    """
    value = os.environ.get(name, "")
    path = os.environ.get(f"{name}_FILE", "")
    if not path:
        return value
    if value:
        raise ImproperlyConfigured(f"Set {name} or {name}_FILE, not both.")
    try:
        return Path(path).read_text(encoding="utf-8").removesuffix("\n")
    except (OSError, UnicodeDecodeError) as error:
        raise ImproperlyConfigured(
            f"{name}_FILE is {path!r}, which cannot be read: {error}."
        ) from None
