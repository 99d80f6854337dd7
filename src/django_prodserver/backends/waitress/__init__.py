"""Waitress."""

from django_prodserver.backends.waitress.backend import (
    WaitressServer,
)

__all__ = [
    "WaitressServer",
]
