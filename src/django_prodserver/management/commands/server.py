"""``manage.py server``: ``prodserver`` for web servers, as in django-prodserver 3."""

from __future__ import annotations

from django_prodserver.commands import by_kind
from django_prodserver.management.commands.prodserver import Command as Prodserver


class Command(Prodserver):
    """Start one of the web servers in ``PRODUCTION_PROCESSES``."""

    help = "Start one of the web servers in PRODUCTION_PROCESSES."
    kind = by_kind.SERVER
