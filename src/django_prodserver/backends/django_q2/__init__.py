"""Django-Q2."""

from django_prodserver.backends.django_q2.backend import (
    DjangoQ2Worker,
)

__all__ = [
    "DjangoQ2Worker",
]
