"""Where lines go: standard output, each whole, whichever processes write to it."""

from __future__ import annotations

import contextlib
import fcntl
import io
import logging
import os
import select
import stat
import sys
import threading
from typing import Any, TextIO

from django_prodserver.config.context import Context
from django_prodserver.logs import context
from django_prodserver.logs.formatters import JSONFormatter, TextFormatter

STDOUT = 1


class StdoutHandler(logging.Handler):
    """
    Writes each record to standard output as one line that no other comes between.

    Not to ``sys.stdout``, which an application may replace, and whose buffer is
    lost with a process that is killed.
    """

    def __init__(self) -> None:
        super().__init__()
        found = Context.from_environment() or Context()
        self.as_json = found.log_format == "json"
        formatter = JSONFormatter if self.as_json else TextFormatter
        self.formatter = formatter(found.process)
        self.addFilter(_is_not_told_already)

    def emit(self, record: logging.LogRecord) -> None:
        try:
            line = self.format(record)
        except Exception as error:  # nothing of logging may end what is logged
            line = f"cannot log a line of {record.name}: {type(error).__name__}"
        with contextlib.suppress(OSError):  # nobody reads any more
            write(f"{line}\n".encode("utf-8", "backslashreplace"))
        task = context.task.get()
        if task is not None and task.for_one_line:
            context.task.set(None)


def write(data: bytes) -> None:
    """
    Write to standard output, all of it before another process does.

    Raises:
        OSError: It is closed.
    """
    # A pipe takes 4 KiB at once, and more in parts when it is full. Not what is
    # no pipe: others, of whom we know nothing, lock a terminal or /dev/null.
    is_pipe = stat.S_ISFIFO(os.fstat(STDOUT).st_mode)
    if is_pipe:
        fcntl.lockf(STDOUT, fcntl.LOCK_EX)
    try:
        while data:
            try:
                data = data[os.write(STDOUT, data) :]
            except BlockingIOError:  # whoever handed it down does not want to wait
                select.select((), (STDOUT,), ())
    finally:
        if is_pipe:
            fcntl.lockf(STDOUT, fcntl.LOCK_UN)


def writes_to_console(handler: logging.Handler) -> bool:
    """Tell whether a handler writes to the process's standard output or error."""
    if isinstance(handler, StdoutHandler):
        return True
    if type(handler).emit is not logging.StreamHandler.emit:
        return False
    with contextlib.suppress(Exception):
        return handler.stream.fileno() in (1, 2)  # type: ignore[attr-defined]
    return False


def _is_not_told_already(record: logging.LogRecord) -> bool:
    """Leave out what a handler of the user's LOGGING, below, has just written."""
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
    ``sys.stdout`` and ``sys.stderr``, where everything is to be JSON.

    What is printed becomes a record of its own, a line each.
    """

    def __init__(
        self, name: str, level: int, stream: TextIO, to: StdoutHandler
    ) -> None:
        self._name = name
        self._level = level
        self.stream = stream
        self._to = to
        self._rest = threading.local()

    def write(self, text: str) -> int:
        # A handler of the user's LOGGING has a form of its own, which stands.
        if sys._getframe(1).f_globals.get("__name__") == "logging":
            return self.stream.write(text)
        *lines, rest = (getattr(self._rest, "text", "") + text).split("\n")
        self._rest.text = rest
        for line in lines:
            self._tell(line)
        return len(text)

    def finish(self) -> None:
        """Write what has no end of a line yet."""
        rest, self._rest.text = getattr(self._rest, "text", ""), ""
        self._tell(rest)

    def _tell(self, line: str) -> None:
        if line.strip():
            # Straight to our handler: what writes here may be a handler that fails.
            args: Any = (self._name, self._level, "", 0, "%s", (line,), None)
            self._to.handle(logging.LogRecord(*args))

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
