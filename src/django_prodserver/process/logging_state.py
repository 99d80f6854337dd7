"""Save and restore the logging configuration of a preloaded application."""

from __future__ import annotations

import logging
import os
from collections.abc import Callable, Mapping
from typing import Any

from django.conf import settings

# Level, handlers, filters, propagate, disabled.
_LoggerState = dict[str, Any]


class LoggingState:
    """
    A logging configuration: the state of each logger, and the known handlers.

    A logger that is not in it has Python's default state.
    """

    def __init__(self) -> None:
        self.loggers: dict[logging.Logger, _LoggerState] = {}
        self.handlers: list[Any] = []

    @classmethod
    def now(cls) -> LoggingState:
        """Return the current logging configuration."""
        state = cls()
        state.loggers = {logger: _state(logger) for logger in _loggers()}
        state.handlers = _all_handlers()[:]
        return state

    def of(self, logger: logging.Logger) -> _LoggerState:
        """Return the state of one logger."""
        return self.loggers.get(logger, _default_state(logger))


def hide_handlers() -> None:
    """
    Hide the existing handlers from the next ``dictConfig()``, which closes them.

    Some handlers cannot be used after that.
    """
    _all_handlers().clear()


def suspend(before: LoggingState | None = None) -> Callable[[], None]:
    """
    Undo the application's logging configuration until the server has its own.

    With the native command, the server configures its logging first and the
    application's is applied on top: Django's LOGGING, and any changes in ``ready()`` or
    on import. Configuring LOGGING a second time would lose those changes, and by
    default disable the loggers that the application's modules have created.

    Args:
        before: The configuration before the application was loaded; Python's default
            if None.

    Returns:
        A function that restores it on top of the server's, to call after the server
        has configured logging.
    """
    before = before or LoggingState()
    application = LoggingState.now()
    for logger in application.loggers:
        _set(logger, **before.of(logger))
    _all_handlers()[:] = before.handlers
    return _restorer(before, application)


def hide_in_forks(before: LoggingState) -> Callable[[], None]:
    """
    Let the server in each forked worker configure logging below the application's.

    This process keeps the application's configuration, and so does a worker until its
    server configures logging.

    Args:
        before: The configuration before the application was loaded.

    Returns:
        A function that restores the application's, to call in the worker after the
        server has configured logging.
    """
    restore = _restorer(before, LoggingState.now())
    is_restored = False

    def hide() -> None:
        if not is_restored:  # else it is a process that a worker has forked
            hide_handlers()

    def restore_once() -> None:
        nonlocal is_restored
        is_restored = True
        restore()

    os.register_at_fork(after_in_child=hide)
    return restore_once


def _restorer(before: LoggingState, application: LoggingState) -> Callable[[], None]:
    """Return a function that puts the application's configuration on top."""

    def restore() -> None:
        configured = settings.LOGGING if settings.LOGGING_CONFIG else None
        if isinstance(configured, Mapping):
            _reconfigure(set(_loggers()) - set(application.loggers), configured)
        for logger, state in application.loggers.items():
            if state != before.of(logger):
                _set(logger, **state)
        _all_handlers()[:0] = application.handlers

    return restore


def _reconfigure(servers: set[logging.Logger], config: Mapping[str, Any]) -> None:
    """Disable existing loggers that are not in LOGGING, as dictConfig() does."""
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


def _all_handlers() -> list[Any]:
    """Return logging's list of weak references to all handlers."""
    handlers: list[Any] = logging._handlerList  # type: ignore[attr-defined]
    return handlers


def _state(logger: logging.Logger) -> _LoggerState:
    return {
        "level": logger.level,
        "handlers": logger.handlers[:],
        "filters": logger.filters[:],
        "propagate": logger.propagate,
        "disabled": logger.disabled,
    }


def _default_state(logger: logging.Logger) -> _LoggerState:
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
