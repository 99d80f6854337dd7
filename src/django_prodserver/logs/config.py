"""Configure logging."""

from __future__ import annotations

import atexit
import logging
import os
import sys
import threading
from collections.abc import Mapping
from typing import Any

from django_prodserver.config.context import LOG_FORMATS, Context
from django_prodserver.config.keys import LOG_FORMAT_VARIABLE
from django_prodserver.logs import project_console
from django_prodserver.logs.handlers import (
    StdoutHandler,
    StreamToLog,
    give_back_console_handlers,
    take_over_console_handlers,
    writes_to_console,
)
from django_prodserver.text import redact

#: The launcher's own logger.
LAUNCHER = "prodserver"
# These are always logged, wherever LOGGING sends the application's lines.
_OURS = ("django_prodserver", LAUNCHER)
# Libraries that add a handler to their logger while they are imported, in any
# process, if they find none.
_SELF_CONFIGURING = ("django-q", "django_tasks_db")


def configure_launcher() -> None:
    """Write the launcher's own lines in the configured format."""
    context = Context.from_environment()
    if context is None or context.logs_natively:
        _give_back_standard_streams()
        return
    attach_to_root()
    logger = logging.getLogger(LAUNCHER)
    logger.setLevel(_number(context.log_level))
    # manage.py has applied LOGGING already.
    logger.disabled = False
    if not any(map(writes_to_console, logging.root.handlers)):
        logger.handlers = [StdoutHandler()]
    if context.log_format_written:
        _own_standard_streams()


def log(message: str, level: int = logging.INFO) -> None:
    """Log a line of the launcher, with secrets masked."""
    message = redact(message)
    context = Context.from_environment()
    logger = logging.getLogger(LAUNCHER)
    if context is None or context.logs_natively:
        print(f"{LAUNCHER}: {message}", file=sys.stderr)
    elif logger.hasHandlers():
        logger.log(level, "%s", message)
    else:
        # process.preload suspends logging until the server loads the application.
        _write_record(message, level)


def set_format(process: str, log_format: object) -> None:
    """Set the log format before the rest of the process is validated."""
    log_format = log_format or os.environ.get(LOG_FORMAT_VARIABLE)
    if log_format not in LOG_FORMATS:
        log_format = ""
    before = Context.from_environment() or Context()
    context = Context(
        process=process,
        log_format=str(log_format),
        log_format_written=bool(log_format),
        environment_set_by=before.environment_set_by,
    )
    context.put_into_environment()


def configure_before_settings(process: str) -> None:
    """
    Log what the settings print in the format of the variable, if that is set.

    Args:
        process: The process to start.
    """
    if os.environ.get(LOG_FORMAT_VARIABLE) in ("text", "json"):
        set_format(process, None)
        _own_standard_streams()


def log_fatal(message: str) -> bool:
    """
    Log why the process cannot start, if LOG_FORMAT is set.

    Returns:
        False if it is not set; then the caller prints the message.
    """
    context = Context.from_environment()
    if context is None:
        set_format("", None)
        context = Context.from_environment()
    is_ours = context and context.log_format_written and not context.logs_natively
    if not is_ours:
        return False
    # Bypass the loggers, because LOGGING may be what is wrong.
    _write_record(message.replace("\n", " "), logging.ERROR)
    return True


def attach_to_root() -> None:
    """Add our handler to the root logger if that has none."""
    if not logging.root.handlers:
        logging.root.addHandler(StdoutHandler())


def detach_from_root() -> None:
    """Remove our handler from the root logger, as the server may set up its own."""
    for handler in logging.root.handlers[:]:
        if isinstance(handler, StdoutHandler):
            logging.root.removeHandler(handler)


def configure(context: Context | None = None) -> None:
    """
    Configure logging around the user's LOGGING, in a process where Django is set up.

    The handlers and levels of LOGGING stay. Where it configures nothing, records reach
    our handler at the root. If LOG_FORMAT is set, every line on the standard streams
    has that format. Safe to call again, for example after an application has called
    ``django.setup()``.

    Args:
        context: How to log; by default, as the launcher has set it.
    """
    context = context or Context.from_environment()
    if context is None or context.logs_natively:
        return
    named = project_console.logging_settings().get("loggers") or {}
    root_level = project_console.has_root_level()
    level = _number(context.log_level)
    _remove_console_handlers(named)
    attach_to_root()
    root = logging.root
    ours = [handler for handler in root.handlers if isinstance(handler, StdoutHandler)]
    if ours and not root_level:
        root.setLevel(level)
    handler = ours[0] if ours else StdoutHandler()
    to_console = any(map(writes_to_console, root.handlers))
    for name in _OURS if to_console else (*_OURS, *context.server_loggers):
        if name in named:
            continue
        logger = logging.getLogger(name)
        if name in _OURS:
            # The level of the project's root logger also applies to requests.
            is_inherited = root_level and name != LAUNCHER
            logger.setLevel(logging.NOTSET if is_inherited else level)
        if not to_console and handler not in logger.handlers:
            logger.handlers = [handler]
    _enable((*_OURS, *context.server_loggers), named)
    if context.log_format_written:
        _own_standard_streams()


def _write_record(message: str, level: int) -> None:
    args: Any = (LAUNCHER, level, "", 0, "%s", (message,), None)
    StdoutHandler().emit(logging.LogRecord(*args))


def _number(level: str) -> int:
    return logging.getLevelNamesMapping()[level.upper()]


def _remove_console_handlers(named: Mapping[str, Any]) -> None:
    """Remove the console handlers of loggers that LOGGING does not name."""
    for name in ("django", *_SELF_CONFIGURING):
        if name not in named:
            logger = logging.getLogger(name)
            # Django's own console handler is for DEBUG; keep the one that mails admins.
            for handler in filter(writes_to_console, logger.handlers[:]):
                logger.removeHandler(handler)
            logger.propagate = True


def _enable(names: tuple[str, ...], named: Mapping[str, Any]) -> None:
    """Enable those of these loggers that "disable_existing_loggers" has disabled."""
    for name, logger in list(logging.root.manager.loggerDict.items()):
        is_known = name.startswith(names) and name.partition(".")[0] in names
        if is_known and name not in named and isinstance(logger, logging.Logger):
            logger.disabled = False


def _own_standard_streams() -> None:
    """Log everything that is written to standard output and error in our format."""
    if isinstance(sys.stdout, StreamToLog):
        # They may be ours already, since before the settings were loaded.
        sys.stdout.handler.read_context()
        return
    handler = StdoutHandler()
    take_over_console_handlers(handler)
    logging.captureWarnings(True)
    for name, level in (("stdout", logging.INFO), ("stderr", logging.WARNING)):
        lines = StreamToLog(name, level, getattr(sys, name), handler)
        setattr(sys, name, lines)
        atexit.register(lines.finish)

    def log_uncaught(message: str, *error: Any) -> None:
        record: Any = ("python", logging.CRITICAL, "", 0, message, (), error)
        handler.handle(logging.LogRecord(*record))

    def log_thread_exception(args: threading.ExceptHookArgs) -> None:
        if not issubclass(args.exc_type, SystemExit):
            error = (args.exc_type, args.exc_value, args.exc_traceback)
            log_uncaught("uncaught exception in a thread", *error)

    sys.excepthook = lambda *error: log_uncaught("uncaught exception", *error)
    threading.excepthook = log_thread_exception


def _give_back_standard_streams() -> None:
    """Undo it, if the key LOG_FORMAT is "native" but the variable is not."""
    for name in ("stdout", "stderr"):
        stream = getattr(sys, name)
        if isinstance(stream, StreamToLog):
            stream.finish()
            stream.passes_on = True
            setattr(sys, name, stream.stream)
            logging.captureWarnings(False)
            sys.excepthook = sys.__excepthook__
            threading.excepthook = threading.__excepthook__
    give_back_console_handlers()
