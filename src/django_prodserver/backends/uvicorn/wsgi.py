"""``WSGI_APPLICATION`` as an ASGI application, for servers that speak only ASGI."""

from __future__ import annotations

from a2wsgi import WSGIMiddleware
from django.conf import settings
from django.utils.module_loading import import_string

from django_prodserver.config.context import Context

_context = Context.from_environment()
# a2wsgi's own default, for a start without the launcher.
_THREADS = (_context and _context.threads) or 10

application = WSGIMiddleware(import_string(settings.WSGI_APPLICATION), _THREADS)
