"""Management commands that run once per deployment."""

from django_prodserver.backends.release.backend import (
    ManagementCommands,
)

__all__ = [
    "ManagementCommands",
]
