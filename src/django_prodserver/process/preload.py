"""Preload the application before forking workers."""

from __future__ import annotations

import contextlib
import contextvars
from collections.abc import Callable
from importlib import import_module
from typing import Any

from django.conf import settings

from django_prodserver.process import bootstrap, logging_state
from django_prodserver.process.logging_state import LoggingState


def load_urls() -> None:
    """
    Load the URLconf, and import what the first request would import.

    Measured on the example with 4 gunicorn workers, after 40 requests: 104 MiB
    without the second part, 98 with it, and 172 for the native command.
    """
    # In a copied context, like a request: asgiref would copy the variables of this one,
    # such as one for each URLResolver, at each thread switch of each request. Measured
    # on the example: 6 % of an ASGI request.
    contextvars.copy_context().run(_load)


def _load() -> None:
    from django.urls import get_resolver

    get_resolver()._populate()
    steps: tuple[Callable[[], object], ...] = (_templates, _databases, _language)
    for step in steps:
        # Leave errors to the first request, which raises them with the native command.
        with contextlib.suppress(Exception):
            step()


def defer_logging(target: str, before: LoggingState, *, in_parent: bool = True) -> None:
    """
    Postpone the application's logging until the server imports the application.

    With the native command, Django configures it in each worker after the server has
    configured its own. With a preload, Django would do so first, and the server would
    overwrite the user's LOGGING for ``gunicorn.error`` or ``uvicorn.access``.

    Args:
        target: The application, ``module:attribute``.
        before: How logging was configured before the application was loaded.
        in_parent: Whether this process too uses the server's logging configuration,
            and not the application's.
    """
    module_name, _, attribute = target.partition(":")
    module = import_module(module_name)
    if attribute not in vars(module):
        return  # a module's __getattr__() creates it on access
    application = vars(module).pop(attribute)
    inherited = vars(module).get("__getattr__")
    postpone = logging_state.suspend if in_parent else logging_state.hide_in_forks
    restore_logging = postpone(before)

    def __getattr__(name: str) -> Any:  # noqa: N807  # of the module, PEP 562
        if name != attribute:
            if inherited:
                return inherited(name)
            message = f"module {module_name!r} has no attribute {name!r}"
            raise AttributeError(message)
        setattr(module, attribute, application)
        restore_logging()
        bootstrap.prepare()
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
