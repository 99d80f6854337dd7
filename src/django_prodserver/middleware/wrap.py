"""Wrap Django's request handlers, which every server calls."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

Handler = Callable[..., Any]


def wrap_handlers(
    name: str, wsgi: Callable[[Handler], Handler], asgi: Callable[[Handler], Handler]
) -> None:
    """
    Replace ``WSGIHandler.__call__`` and ``ASGIHandler.__call__`` with wrappers.

    A second call with the same name does nothing, because forked workers inherit the
    wrappers.

    Args:
        name: The name of the wrapper.
        wsgi: Takes the method and returns its replacement.
        asgi: The same for ASGI.
    """
    from django.core.handlers.asgi import ASGIHandler
    from django.core.handlers.wsgi import WSGIHandler

    marker = f"_prodserver_{name}"
    handlers: tuple[Any, Any] = (WSGIHandler, ASGIHandler)
    for handler, wrap in zip(handlers, (wsgi, asgi), strict=True):
        if not hasattr(handler, marker):
            handler.__call__ = wrap(handler.__call__)
            setattr(handler, marker, True)
