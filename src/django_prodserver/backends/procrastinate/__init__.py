"""Procrastinate, whose jobs are rows in PostgreSQL."""

from django_prodserver.backends.procrastinate.backend import (
    ProcrastinateWorker,
)

__all__ = [
    "ProcrastinateWorker",
]
