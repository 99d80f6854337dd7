"""Granian."""

from django_prodserver.backends.granian.backend import (
    GranianASGIServer,
    GranianWSGIServer,
)

__all__ = [
    "GranianASGIServer",
    "GranianWSGIServer",
]
