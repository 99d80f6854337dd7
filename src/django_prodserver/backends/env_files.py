"""Environment files, which some servers load before the application."""

from __future__ import annotations

from collections.abc import Iterable, Mapping


def read(paths: Iterable[str], given: Mapping[str, str]) -> dict[str, str]:
    """
    Return the variables that environment files add to those that are set.

    Args:
        paths: The files.
        given: The variables that are set, which are stronger.
    """
    try:
        from dotenv import dotenv_values  # the servers require it for these files
    except ImportError:
        return {}  # the server itself reports it
    added: dict[str, str] = {}
    for path in paths:
        for name, value in dotenv_values(path).items():
            if value is not None and name not in given:
                added[name] = value
    return added
