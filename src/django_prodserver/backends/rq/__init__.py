"""RQ, by django-rq."""

from django_prodserver.backends.rq.backend import RQWorker

__all__ = [
    "RQWorker",
]
