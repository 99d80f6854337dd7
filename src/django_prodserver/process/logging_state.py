"""Logging of an application that is loaded before the server, and not after it."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from typing import Any

from django.conf import settings


def suspend() -> Callable[[], None]:
    """
    Remove the application's logging configuration until the server has its own.

    With the native command, the server configures its logging first, and the
    application's comes on top: Django's LOGGING, and whatever is done in ``ready()``
    or on import. Configuring LOGGING a second time instead would lose the latter,
    and by default disable the loggers that the application's modules have created.

    Returns:
        A function that restores it on top of the server's, to call after the server
        has configured logging.
    """
    saved = {logger: _state(logger) for logger in _loggers()}
    # A server's dictConfig() closes all existing handlers, some for good, so they
    # are hidden from it.
    handlers: list[Any] = logging._handlerList  # type: ignore[attr-defined]
    hidden = handlers[:]
    handlers.clear()
    for logger in saved:
        _set(logger, **_default_state(logger))

    def restore() -> None:
        configured = settings.LOGGING if settings.LOGGING_CONFIG else None
        if isinstance(configured, Mapping):
            _reconfigure(set(_loggers()) - set(saved), configured)
        for logger, state in saved.items():
            if state != _default_state(logger):
                _set(logger, **state)
        handlers[:0] = hidden

    return restore


def _reconfigure(servers: set[logging.Logger], config: Mapping[str, Any]) -> None:
    """Do what dictConfig() does to existing loggers that are not in it."""
    below = tuple(f"{name}." for name in config.get("loggers", ()))
    for logger in servers:
        if logger.name.startswith(below):
            _set(logger, **_default_state(logger))
        elif config:
            logger.disabled = bool(config.get("disable_existing_loggers", True))


def _loggers() -> list[logging.Logger]:
    named = logging.root.manager.loggerDict.values()
    # The others are placeholders.
    return [logging.root, *(x for x in named if isinstance(x, logging.Logger))]


def _state(logger: logging.Logger) -> dict[str, Any]:
    return {
        "level": logger.level,
        "handlers": logger.handlers[:],
        "filters": logger.filters[:],
        "propagate": logger.propagate,
        "disabled": logger.disabled,
    }


def _default_state(logger: logging.Logger) -> dict[str, Any]:
    return {
        "level": logging.WARNING if logger is logging.root else logging.NOTSET,
        "handlers": [],
        "filters": [],
        "propagate": True,
        "disabled": False,
    }


def _set(logger: logging.Logger, *, level: int, **state: Any) -> None:
    for name, value in state.items():
        setattr(logger, name, value)
    logger.setLevel(level)  # not setattr(): this also clears the caches of levels
