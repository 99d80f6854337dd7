"""``WSGI_APPLICATION`` as an ASGI application, for servers that speak only ASGI."""

from __future__ import annotations

import os

from a2wsgi import WSGIMiddleware
from django.conf import settings
from django.utils.module_loading import import_string

# THREADS, where the launcher says it; else a2wsgi's default.
_THREADS = int(os.environ.get("_PRODSERVER_THREADS", "10"))

application = WSGIMiddleware(import_string(settings.WSGI_APPLICATION), _THREADS)
