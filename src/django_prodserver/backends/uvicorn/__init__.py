"""Uvicorn."""

from django_prodserver.backends.uvicorn.backend import (
    UvicornServer,
    UvicornWSGIServer,
)

__all__ = [
    "UvicornServer",
    "UvicornWSGIServer",
]
