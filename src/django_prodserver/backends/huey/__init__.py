"""Huey."""

from django_prodserver.backends.huey.backend import HueyConsumer

__all__ = [
    "HueyConsumer",
]
