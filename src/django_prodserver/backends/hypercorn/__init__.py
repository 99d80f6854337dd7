"""Hypercorn."""

from django_prodserver.backends.hypercorn.backend import (
    HypercornServer,
    HypercornWSGIServer,
)

__all__ = [
    "HypercornServer",
    "HypercornWSGIServer",
]
