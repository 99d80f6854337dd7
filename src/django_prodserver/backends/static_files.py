"""The application with static files, as in ``runserver``: only while DEBUG is on."""

from __future__ import annotations

from typing import Any

from django.apps import apps
from django.conf import settings
from django.utils.module_loading import import_string


def __getattr__(name: str) -> Any:  # called by Python, PEP 562
    """Create ``wsgi``, ``asgi`` or ``wsgi_as_asgi`` when it is first used."""
    if name == "wsgi_as_asgi":
        from a2wsgi import WSGIMiddleware

        return WSGIMiddleware(application("wsgi"))
    if name not in ("wsgi", "asgi"):
        message = f"module {__name__!r} has no attribute {name!r}"
        raise AttributeError(message)
    return application(name)


def application(interface: str) -> Any:
    """Return the application of that interface, with its static files."""
    served = import_string(getattr(settings, f"{interface.upper()}_APPLICATION"))
    if not settings.DEBUG or not apps.is_installed("django.contrib.staticfiles"):
        return served
    from django.contrib.staticfiles import handlers

    handler = {
        "wsgi": handlers.StaticFilesHandler,
        "asgi": handlers.ASGIStaticFilesHandler,
    }[interface]
    return handler(served)
