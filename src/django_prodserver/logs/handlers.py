"""Write whole log lines to standard output, even if several processes write."""

from __future__ import annotations

import contextlib
import io
import json
import logging
import threading
from typing import Any, TextIO

from django_prodserver.config.context import Context
from django_prodserver.logs import context
from django_prodserver.logs.formatters import JSONFormatter, TextFormatter
from django_prodserver.logs.output import Output

# All handlers of a process share the standard output.
_output = Output()


class StdoutHandler(logging.Handler):
    """
    Writes each record to standard output, never mixed with those of other processes.

    It does not use ``sys.stdout``, because an application may replace it and its
    buffer is lost if the process is killed.
    """

    def __init__(self) -> None:
        super().__init__()
        self.addFilter(_is_not_written_already)
        self.read_context()

    def read_context(self) -> None:
        """Take the process's name and format from its context."""
        settings = Context.from_environment() or Context()
        is_json = settings.log_format == "json"
        ours = (JSONFormatter if is_json else TextFormatter)(settings.process)
        self.formatter = _formatter(settings.console_formatter) or ours
        self._fixed = ours if settings.log_format_written else None

    def format(self, record: logging.LogRecord) -> str:
        # An application may set another formatter on each handler that it finds.
        return self._fixed.format(record) if self._fixed else super().format(record)

    def emit(self, record: logging.LogRecord) -> None:
        try:
            line = self.format(record)
        except Exception as error:  # logging must not break what it logs
            line = f"cannot log a record of {record.name}: {type(error).__name__}"
        with contextlib.suppress(OSError):  # its reader has gone
            _output.write(_encoded(line), self._report_dropped)
        task = context.task.get()
        if task is not None and task.for_one_line:
            context.task.set(None)

    def _report_dropped(self, lines: int, seconds: float) -> bytes:
        message = (
            "%d log lines dropped, because standard output was not read for %.0f s"
        )
        args: Any = (
            "prodserver",
            logging.WARNING,
            "",
            0,
            message,
            (lines, seconds),
            None,
        )
        return _encoded(self.format(logging.LogRecord(*args)))


def _encoded(line: str) -> bytes:
    return f"{line}\n".encode("utf-8", "backslashreplace")


def _formatter(config: str) -> logging.Formatter | None:
    """Return the project's formatter; None if it cannot be created here."""
    if not config:
        return None
    try:
        # Imported here, because few projects have such a formatter.
        from logging.config import DictConfigurator

        return DictConfigurator({}).configure_formatter(json.loads(config))
    except Exception:  # its class may need the settings, for example
        return None


def writes_to_console(handler: logging.Handler) -> bool:
    """Return whether a handler writes to the process's standard output or error."""
    if isinstance(handler, StdoutHandler):
        return True
    if type(handler).emit is not logging.StreamHandler.emit:
        return False
    return _is_standard_stream(getattr(handler, "stream", None))


def _is_standard_stream(stream: Any) -> bool:
    with contextlib.suppress(Exception):
        return stream.fileno() in (1, 2)
    return False


def take_over_console_handlers(ours: StdoutHandler) -> None:
    """
    Make every console handler write our lines, including the project's.

    Its level and its filters still apply.
    """
    native: Any = logging.StreamHandler.emit
    if getattr(native, "is_ours", False):
        return

    def emit(self: logging.StreamHandler[Any], record: logging.LogRecord) -> None:
        if _is_standard_stream(self.stream):
            ours.emit(record)
        else:
            native(self, record)

    stream_handler: Any = logging.StreamHandler
    stream_handler.emit = emit
    stream_handler.emit.is_ours = True
    stream_handler.emit.native = native


def give_back_console_handlers() -> None:
    """Let console handlers write their own lines again."""
    stream_handler: Any = logging.StreamHandler
    if getattr(stream_handler.emit, "is_ours", False):
        stream_handler.emit = stream_handler.emit.native


def _is_not_written_already(record: logging.LogRecord) -> bool:
    """Return False if a handler in the user's LOGGING has already written it."""
    logger: logging.Logger | None = logging.getLogger(record.name)
    while logger is not None and logger.parent is not None:
        for handler in logger.handlers:
            if (
                record.levelno >= handler.level
                and not isinstance(handler, StdoutHandler)
                and writes_to_console(handler)
                and handler.filter(record)
            ):
                return False
        logger = logger.parent if logger.propagate else None
    return True


class StreamToLog(io.TextIOBase):
    """
    Replaces ``sys.stdout`` and ``sys.stderr`` if ``LOG_FORMAT`` is set.

    Each printed line is logged as a record.

    Attributes:
        passes_on: Whether lines are only passed on, since a handler may keep this
            stream.
    """

    passes_on = False

    def __init__(
        self, name: str, level: int, stream: TextIO, handler: StdoutHandler
    ) -> None:
        self._name = name
        self._level = level
        self.stream = stream
        self.handler = handler
        self._unfinished = threading.local()

    def write(self, text: str) -> int:
        if self.passes_on:
            return self.stream.write(text)
        *lines, rest = (getattr(self._unfinished, "text", "") + text).split("\n")
        self._unfinished.text = rest
        for line in lines:
            self._log(line)
        return len(text)

    def finish(self) -> None:
        """Log the last line, which has no newline yet."""
        rest, self._unfinished.text = getattr(self._unfinished, "text", ""), ""
        self._log(rest)

    def _log(self, line: str) -> None:
        if line.strip():
            # Directly to our handler, as the line may come from a handler that fails.
            args: Any = (self._name, self._level, "", 0, "%s", (line,), None)
            self.handler.handle(logging.LogRecord(*args))

    @property
    def encoding(self) -> str:  # type: ignore[override]
        return "utf-8"

    @property
    def errors(self) -> str:  # type: ignore[override]
        return "backslashreplace"

    def flush(self) -> None:
        self.stream.flush()

    def fileno(self) -> int:
        return self.stream.fileno()

    def isatty(self) -> bool:
        return False

    def writable(self) -> bool:
        return True

    def __getattr__(self, name: str) -> Any:
        return getattr(self.stream, name)
