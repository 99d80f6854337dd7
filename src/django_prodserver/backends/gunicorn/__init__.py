"""Gunicorn."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from django_prodserver.backends.gunicorn.backend import GunicornServer

__all__ = [
    "GunicornServer",
]


def __getattr__(name: str) -> type[GunicornServer]:
    """Import the backend when it is used: Gunicorn itself imports only ``logger``."""
    if name != "GunicornServer":
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from django_prodserver.backends.gunicorn.backend import GunicornServer

    return GunicornServer
