"""``WSGI_APPLICATION`` with ``ROOT_PATH`` and ``TRUSTED_PROXIES`` around it."""

from __future__ import annotations

from django_prodserver.backends.served import wrapped_application

application = wrapped_application("wsgi")
