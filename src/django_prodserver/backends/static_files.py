"""Serve static files, as ``runserver`` does; only if DEBUG is True."""

from __future__ import annotations

from typing import Any

from django.apps import apps
from django.conf import settings
from django.urls import clear_script_prefix, set_script_prefix

from django_prodserver.backends.served import project_application
from django_prodserver.config.context import Context
from django_prodserver.middleware.proxy_headers import ProxyHeaders


def __getattr__(name: str) -> Any:  # called by Python, PEP 562
    """Create ``wsgi``, ``asgi`` or ``wsgi_as_asgi`` when it is first used."""
    headers = ProxyHeaders.of_this_process()
    if name == "wsgi_as_asgi":
        from django_prodserver.backends.served.wsgi_as_asgi import WSGIAsASGI

        return headers.wrap_asgi(WSGIAsASGI(application("wsgi")))
    if name == "wsgi":
        return headers.wrap_wsgi(application(name))
    if name == "asgi":
        return headers.wrap_asgi(application(name))
    message = f"module {__name__!r} has no attribute {name!r}"
    raise AttributeError(message)


def application(interface: str) -> Any:
    """Return the application of that interface, with its static files."""
    served = project_application(interface)
    if not settings.DEBUG or not apps.is_installed("django.contrib.staticfiles"):
        return served
    context = Context.from_environment()
    return _handler(interface, served, context.root_path if context else "")


def _handler(interface: str, served: Any, root: str) -> Any:
    """
    Return Django's handler of static files around an application.

    Args:
        interface: "wsgi" or "asgi".
        served: The application.
        root: ``ROOT_PATH``; a request has it in its path, or a proxy has removed it.
    """
    from django.contrib.staticfiles import handlers

    base: Any = {
        "wsgi": handlers.StaticFilesHandler,
        "asgi": handlers.ASGIStaticFilesHandler,
    }[interface]
    if not root:
        return base(served)

    def without_root(path: str) -> str:
        return path.removeprefix(root) if path.startswith(f"{root}/") else path

    class Handler(base):  # type: ignore[misc]
        def _should_handle(self, path: str) -> bool:
            return bool(super()._should_handle(without_root(path)))

        def file_path(self, url: str) -> str:
            return str(super().file_path(without_root(url)))

    # A relative STATIC_URL is read once, and is below ROOT_PATH as in a request.
    set_script_prefix(root)
    handler = Handler(served)
    clear_script_prefix()
    url = handler.base_url
    handler.base_url = url._replace(path=without_root(url.path))
    return handler
