"""Celery: worker, beat and Flower."""

from django_prodserver.backends.celery.backend import (
    CeleryBeat,
    CeleryFlower,
    CeleryWorker,
)

__all__ = [
    "CeleryBeat",
    "CeleryFlower",
    "CeleryWorker",
]
