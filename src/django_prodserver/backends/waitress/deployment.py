"""Deployment warnings for Waitress."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from django.conf import settings
from django.core.checks import Warning

from django_prodserver.checks.ids import WarningId
from django_prodserver.config.argv import values_of

if TYPE_CHECKING:
    from django_prodserver.backends.web import WebBackend


def deleted_header(backend: WebBackend) -> Iterator[Warning]:
    """Yield a warning if Waitress deletes the header of ``SECURE_PROXY_SSL_HEADER``."""
    if not settings.SECURE_PROXY_SSL_HEADER or backend.trusted_proxies():
        return
    clears = "clear-untrusted-proxy-headers"
    if values_of(clears, backend.args, backend.option_table) != [None]:
        message = (
            ": waitress deletes the header of SECURE_PROXY_SSL_HEADER, so no request "
            "counts as secure, and SECURE_SSL_REDIRECT redirects forever."
        )
        hint = 'Name your proxies, for example: "TRUSTED_PROXIES": ["10.0.0.0/8"]'
        yield Warning(message, hint=hint, id=WarningId.HEADER_DELETED)
