"""
The applications that a server loads in place of the project's own.

They are the project's application with ``ROOT_PATH`` and ``TRUSTED_PROXIES`` around it
(``wsgi``, ``asgi``), or a WSGI application for a server that speaks ASGI
(``wsgi_as_asgi``). Each is a module, because a server loads ``module:attribute``.
"""

from __future__ import annotations

from importlib import import_module
from typing import Any

from django_prodserver.config.context import Context
from django_prodserver.middleware.proxy_headers import ProxyHeaders


def project_application(interface: str) -> Any:
    """
    Return the project's own application.

    Args:
        interface: "wsgi" or "asgi".
    """
    context = Context.from_environment()
    target = context.application if context else ""
    if not target:  # a command that was copied without the launcher's variable
        from django.conf import settings

        dotted = getattr(settings, f"{interface.upper()}_APPLICATION")
        target = ":".join(dotted.rsplit(".", 1))
    module, _, attribute = target.partition(":")
    return getattr(import_module(module), attribute)


def wrapped_application(interface: str) -> Any:
    """Return the project's application, wrapped as this process requires."""
    headers = ProxyHeaders.of_this_process()
    wrap: Any = {"wsgi": headers.wrap_wsgi, "asgi": headers.wrap_asgi}[interface]
    return wrap(project_application(interface))
