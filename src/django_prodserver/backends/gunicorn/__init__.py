"""Gunicorn."""

from django_prodserver.backends.gunicorn.backend import (
    GunicornServer,
)

__all__ = [
    "GunicornServer",
]
