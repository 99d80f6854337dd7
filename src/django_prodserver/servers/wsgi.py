"""``WSGI_APPLICATION`` as an ASGI application, for servers that speak only ASGI."""

from __future__ import annotations

from a2wsgi import WSGIMiddleware
from django.conf import settings
from django.utils.module_loading import import_string

#: Each request runs in one of 10 threads, a2wsgi's default.
application = WSGIMiddleware(import_string(settings.WSGI_APPLICATION))
