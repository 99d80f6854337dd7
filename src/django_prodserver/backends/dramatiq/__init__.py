"""Dramatiq, with django-dramatiq."""

from django_prodserver.backends.dramatiq.backend import (
    DramatiqWorker,
)

__all__ = [
    "DramatiqWorker",
]
