"""Where our handler stands, and what makes way for it."""

from __future__ import annotations

import atexit
import logging
import os
import sys
import threading
from collections.abc import Mapping
from typing import Any

from django.conf import settings

from django_prodserver.logs.handlers import (
    StdoutHandler,
    StreamToLog,
    writes_to_console,
)
from django_prodserver.logs.options import (
    FORMAT,
    FORMATS,
    NATIVE,
    OFF,
    ON,
    VARIABLE,
    Options,
    from_environment,
)

# Loggers that must be seen wherever the user's LOGGING sends the application's.
LAUNCHER = "prodserver"
_OURS = ("django_prodserver", LAUNCHER)
_SERVERS = ("gunicorn", "uvicorn", "_granian", "waitress")
# These two give themselves a handler where they find none as they are imported.
_HASTY = ("django-q", "django_tasks_db")


def configure_launcher() -> None:
    """Have the launcher's own lines in the form that is wanted."""
    found = from_environment()
    if found and found.format != NATIVE:
        attach_to_root()
        logging.getLogger(LAUNCHER).setLevel(_number(found.level))


def log(message: str, level: int = logging.INFO) -> None:
    """Write a line of the launcher's."""
    found = from_environment()
    logger = logging.getLogger(LAUNCHER)
    if found is None or found.format == NATIVE:
        print(f"{LAUNCHER}: {message}", file=sys.stderr)
    elif logger.hasHandlers():
        logger.log(level, "%s", message)
    else:  # logging is set aside, until the server asks for the application
        _tell(message, level)


def set_format(process: str, form: object) -> None:
    """Note the form that a process is to log in, before it is known how to start it."""
    form = form or os.environ.get(FORMAT)
    if form in FORMATS:
        noted = Options(format=str(form), process=process)
        os.environ[VARIABLE] = noted.encoded()


def log_fatal(message: str) -> bool:
    """Write why there is nothing to start, if that is to be JSON; else return False."""
    if VARIABLE not in os.environ:
        set_format("", None)
    found = from_environment()
    if found is None or found.format != "json":
        return False
    # Past the loggers: LOGGING may be what is wrong.
    _tell(message.replace("\n", " "), logging.ERROR)
    return True


def attach_to_root() -> None:
    """Let everything arrive at our handler that no other handler is there for."""
    if not logging.root.handlers:
        logging.root.addHandler(StdoutHandler())


def configure(options: Options | None = None) -> None:
    """
    Put our logging around the user's, in a process where Django is set up.

    What LOGGING says stands: handlers of the root logger, and levels. Where it
    says nothing, records come to our handler, at the root. It may be called again.

    Args:
        options: How it is to be; what the launcher has set, if None.
    """
    options = options or from_environment()
    if options is None or options.format == NATIVE:
        return
    said: Mapping[str, Any] = settings.LOGGING if settings.LOGGING_CONFIG else {}
    named: Mapping[str, Any] = said.get("loggers") or {}
    level = _number(options.level)
    _make_way(named)
    attach_to_root()
    root = logging.root
    ours = [handler for handler in root.handlers if isinstance(handler, StdoutHandler)]
    if ours and "level" not in (said.get("root") or {}):
        root.setLevel(level)
    handler = ours[0] if ours else StdoutHandler()
    to_console = any(map(writes_to_console, root.handlers))
    for name in _OURS if to_console else (*_OURS, *_SERVERS):
        if name in named:
            continue
        logger = logging.getLogger(name)
        if name in _OURS:
            logger.setLevel(level)
            logger.disabled = False
        if not to_console and handler not in logger.handlers:
            logger.handlers = [handler]
    if handler.as_json:
        _take_what_is_printed(handler)
    from django_prodserver.logs import tasks
    from django_prodserver.middleware import access_log

    access = options.access
    if access not in (ON, OFF):
        # The server's own, if LOGGING has something for it.
        access = OFF if logging.getLogger(access).handlers else ON
    access_log.install(access == ON)
    tasks.install()


def _tell(message: str, level: int) -> None:
    args: Any = (LAUNCHER, level, "", 0, "%s", (message,), None)
    StdoutHandler().emit(logging.LogRecord(*args))


def _number(level: str) -> int:
    return logging.getLevelNamesMapping()[level.upper()]


def _make_way(named: Mapping[str, Any]) -> None:
    """Remove what others write to the console by, where LOGGING does not name it."""
    for name in ("django", *_HASTY):
        if name not in named:
            logger = logging.getLogger(name)
            # Django's own is for DEBUG; the one that mails admins stays.
            for handler in filter(writes_to_console, logger.handlers[:]):
                logger.removeHandler(handler)
            logger.propagate = True


def _take_what_is_printed(handler: StdoutHandler) -> None:
    """Make records of what is printed, of warnings, and of what nobody catches."""
    if isinstance(sys.stdout, StreamToLog):
        return
    logging.captureWarnings(True)
    for name, level in (("stdout", logging.INFO), ("stderr", logging.WARNING)):
        lines = StreamToLog(name, level, getattr(sys, name), handler)
        setattr(sys, name, lines)
        atexit.register(lines.finish)

    def tell(message: str, *error: Any) -> None:
        args: Any = ("python", logging.CRITICAL, "", 0, message, (), error)
        handler.handle(logging.LogRecord(*args))

    def of_thread(found: threading.ExceptHookArgs) -> None:
        if not issubclass(found.exc_type, SystemExit):
            error = (found.exc_type, found.exc_value, found.exc_traceback)
            tell("uncaught exception in a thread", *error)

    sys.excepthook = lambda *error: tell("uncaught exception", *error)
    threading.excepthook = of_thread
