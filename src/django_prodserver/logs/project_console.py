"""Find the console handler of the project's LOGGING, and its format."""

from __future__ import annotations

import json
import logging
from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

from django.conf import settings

from django_prodserver.logs.handlers import StdoutHandler, writes_to_console

_STREAMS = ("ext://sys.stdout", "ext://sys.stderr")
_ONLY_DEBUG = "django.utils.log.RequireDebugTrue"


class Console(NamedTuple):
    """
    A handler of the project that writes to standard output or error.

    Attributes:
        logger: Its logger; "root" for the root logger.
        handler: Its name in LOGGING, or its class.
        formatter: Its formatter in LOGGING; None if unknown.
    """

    logger: str
    handler: str
    formatter: Mapping[str, Any] | None = None

    def __str__(self) -> str:
        return f"the console handler {self.handler!r} of the logger {self.logger!r}"

    @property
    def formatter_as_json(self) -> str:
        """The formatter, for a process that does not load the settings; "" if none."""
        values = dict(self.formatter or {})
        for name in ("()", "class"):
            if isinstance(values.get(name), type):
                found = values[name]
                values[name] = f"{found.__module__}.{found.__qualname__}"
        try:
            return json.dumps(values) if values else ""
        except TypeError:
            return ""  # an object of the project


def find() -> Console | None:
    """
    Return the project's console handler, that of the root logger if it has one.

    It is looked up in LOGGING, which may not be applied yet, and then on the root
    logger, which the settings may have configured directly.
    """
    return next(_written(), None) or next(_installed(), None)


def logging_settings() -> Mapping[str, Any]:
    """Return LOGGING; empty if Django does not apply it."""
    return settings.LOGGING or {} if settings.LOGGING_CONFIG else {}


def has_root_level() -> bool:
    """Tell whether LOGGING has a level for the root logger."""
    return "level" in _root(logging_settings())


def _root(config: Mapping[str, Any]) -> Mapping[str, Any]:
    return config.get("root") or (config.get("loggers") or {}).get("") or {}


def _written() -> Iterator[Console]:
    config = logging_settings()
    handlers = config.get("handlers") or {}
    loggers = {"root": _root(config), **(config.get("loggers") or {})}
    for logger, options in loggers.items():
        for name in options.get("handlers") or ():
            handler = handlers.get(name) or {}
            if _is_console(handler, config.get("filters") or {}):
                formatters = config.get("formatters") or {}
                yield Console(logger, name, formatters.get(handler.get("formatter")))


def _is_console(handler: Mapping[str, Any], filters: Mapping[str, Any]) -> bool:
    path = handler.get("class", "")
    name = path.rpartition(".")[2] if isinstance(path, str) else path.__name__
    if name != "StreamHandler" or handler.get("stream", _STREAMS[0]) not in _STREAMS:
        return False
    factories = [filters.get(each, {}).get("()") for each in handler.get("filters", ())]
    return settings.DEBUG or _ONLY_DEBUG not in factories


def _installed() -> Iterator[Console]:
    for handler in logging.root.handlers:
        if writes_to_console(handler) and not isinstance(handler, StdoutHandler):
            yield Console("root", handler.name or type(handler).__name__)
