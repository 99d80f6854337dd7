"""Django Tasks, on a database or on RQ."""

from django_prodserver.backends.django_tasks.backend import (
    DjangoTasksWorker,
)

__all__ = [
    "DjangoTasksWorker",
]
