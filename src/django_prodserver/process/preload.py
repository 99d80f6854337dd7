"""What an application loads by its first request, loaded before its workers fork."""

from __future__ import annotations

import contextlib
import contextvars
from collections.abc import Callable
from importlib import import_module
from typing import Any

from django.conf import settings

from django_prodserver.process import logging_state


def load_urls() -> None:
    """
    Populate the URLconf, and import what the first request would.

    Measured on the example with 4 gunicorn workers, after 40 requests: 104 MiB
    without the second part, 98 with it, and 172 for the native command.
    """
    # In a context of its own, as a request has one: what is left in this one, such
    # as a variable of each URLResolver, asgiref would carry over at every change of
    # threads of every request. Measured on the example: 6 % of an ASGI request.
    contextvars.copy_context().run(_load)


def _load() -> None:
    from django.urls import get_resolver

    get_resolver()._populate()
    steps: tuple[Callable[[], object], ...] = (_templates, _databases, _language)
    for step in steps:
        # What is wrong there is for the first request to say, as natively.
        with contextlib.suppress(Exception):
            step()


def defer_logging(target: str) -> None:
    """
    Let the application's logging come at the moment the server asks for it.

    Natively that is when Django configures it: after the server has set up its
    own. Loaded beforehand, it would come first, and what the user's LOGGING says
    of ``gunicorn.error`` or ``uvicorn.access`` would be overwritten.

    Args:
        target: The application, ``module:attribute``.
    """
    module_name, _, attribute = target.partition(":")
    module = import_module(module_name)
    if attribute not in vars(module):
        return  # it is made when it is asked for
    application = vars(module).pop(attribute)
    inherited = vars(module).get("__getattr__")
    put_back_logging = logging_state.set_aside()

    def __getattr__(name: str) -> Any:  # noqa: N807  # a module's own hook, PEP 562
        if name != attribute:
            if inherited:
                return inherited(name)
            message = f"module {module_name!r} has no attribute {name!r}"
            raise AttributeError(message)
        setattr(module, attribute, application)
        put_back_logging()
        return application

    vars(module)["__getattr__"] = __getattr__


def _templates() -> None:
    from django.template import engines

    for backend in engines.all():
        if engine := getattr(backend, "engine", None):
            _ = engine.template_context_processors, engine.template_loaders


def _databases() -> None:
    from django.db import connections

    for connection in connections.all():
        connection.ops.compiler("SQLCompiler")


def _language() -> None:
    from django.utils import formats, translation

    with translation.override(settings.LANGUAGE_CODE):
        translation.gettext("")
        formats.get_format("DATE_FORMAT")
