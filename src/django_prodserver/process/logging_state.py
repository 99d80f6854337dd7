"""Logging, where the application is loaded before the server and not after it."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from typing import Any

from django.conf import settings


def set_aside() -> Callable[[], None]:
    """
    Take away what the application has made of logging, until the server asks for it.

    Natively a server sets up its own logging, and the application's comes over
    it: Django's LOGGING, and what is done in ``ready()`` or as a module is
    imported. Configuring LOGGING twice instead would lose the latter, and by
    default disable the loggers that the application's modules have made since.

    Returns:
        What puts it back, over that of the server, which is set up by then.
    """
    ours = {logger: _state(logger) for logger in _loggers()}
    # A server's own dictConfig() closes every handler there is, some for good:
    # out of its sight until then.
    handlers: list[Any] = logging._handlerList  # type: ignore[attr-defined]
    held = handlers[:]
    handlers.clear()
    for logger in ours:
        _set(logger, **_untouched(logger))

    def put_back() -> None:
        configured = settings.LOGGING if settings.LOGGING_CONFIG else None
        if isinstance(configured, Mapping):
            _reconfigure(set(_loggers()) - set(ours), configured)
        for logger, state in ours.items():
            if state != _untouched(logger):
                _set(logger, **state)
        handlers[:0] = held

    return put_back


def _reconfigure(servers: set[logging.Logger], config: Mapping[str, Any]) -> None:
    """Do what dictConfig() does to loggers that are there and not in it."""
    below = tuple(f"{name}." for name in config.get("loggers", ()))
    for logger in servers:
        if logger.name.startswith(below):
            _set(logger, **_untouched(logger))
        elif config:
            logger.disabled = bool(config.get("disable_existing_loggers", True))


def _loggers() -> list[logging.Logger]:
    made = logging.root.manager.loggerDict.values()
    return [logging.root, *(x for x in made if isinstance(x, logging.Logger))]


def _state(logger: logging.Logger) -> dict[str, Any]:
    return {
        "level": logger.level,
        "handlers": logger.handlers[:],
        "filters": logger.filters[:],
        "propagate": logger.propagate,
        "disabled": logger.disabled,
    }


def _untouched(logger: logging.Logger) -> dict[str, Any]:
    level = logging.WARNING if logger is logging.root else logging.NOTSET
    nothing = {"handlers": [], "filters": [], "propagate": True, "disabled": False}
    return {"level": level, **nothing}


def _set(logger: logging.Logger, *, level: int, **state: Any) -> None:
    for name, value in state.items():
        setattr(logger, name, value)
    logger.setLevel(level)  # which forgets what all loggers' levels came to
