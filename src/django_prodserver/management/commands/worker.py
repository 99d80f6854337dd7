"""``manage.py worker``: ``prodserver`` for workers, as in django-prodserver 3."""

from __future__ import annotations

from django_prodserver.commands import by_kind
from django_prodserver.management.commands.prodserver import Command as Prodserver


class Command(Prodserver):
    """Become one of the workers that ``PRODUCTION_PROCESSES`` names."""

    help = "Become one of the workers that PRODUCTION_PROCESSES names."
    kind = by_kind.WORKER
