"""Format log records as JSON, described by ``schema.json``, or as text."""

from __future__ import annotations

import functools
import json
import logging
import math
import re
import time
import traceback
from typing import Any

from django_prodserver.logs import context

#: The most bytes of a line: Docker and containerd split lines longer than 16 KiB.
MAX_LINE = 16_000
#: The most characters of a value whose length a client or the application controls.
_MAX_VALUE = 2_048

ACCESS = ("method", "path", "status", "duration", "bytes", "client")
# Not "extra": the attributes of every record, and those that Django and Celery add
# that are objects, secrets (a task's arguments) or repeated by another field.
_KNOWN = {
    *vars(logging.makeLogRecord({})),
    *("message", "asctime", "taskName", "request_id", *ACCESS),
    *("request", "status_code", "server_time", "data", "color_message"),
}
_LEVELS = [
    (logging.CRITICAL, "critical"),
    (logging.ERROR, "error"),
    (logging.WARNING, "warning"),
    (logging.INFO, "info"),
]
_encode = json.JSONEncoder(allow_nan=False, default=str).encode
# All characters that end a line or move a terminal's cursor, except "\n" and tab.
_CONTROL = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff]")


class JSONFormatter(logging.Formatter):
    """
    One JSON object per line, as in ``schema.json``; always ASCII, at most 16 KB.

    Args:
        process: The name of the process, as in ``PRODUCTION_PROCESSES``.
    """

    def __init__(self, process: str = "") -> None:
        super().__init__()
        self._process = process

    def format(self, record: logging.LogRecord) -> str:
        values = fields(record, self._process)
        try:
            line = _encode(values)
        except (TypeError, ValueError, RecursionError):  # due to an "extra"
            del values["extra"]
            line = _encode(values)
        return line if len(line) <= MAX_LINE else _encode(_cut(values))


class TextFormatter(logging.Formatter):
    """
    The same fields as text: time, level, process, pid, logger, message, the rest.

    Further lines of a message are indented, so that none can be mistaken for another
    record.

    Args:
        process: The name of the process, as in ``PRODUCTION_PROCESSES``.
    """

    def __init__(self, process: str = "") -> None:
        super().__init__()
        self._process = process

    def format(self, record: logging.LogRecord) -> str:
        values = fields(record, self._process)
        stack = values.pop("traceback", "")
        if "path" in values:  # a request is one line, whatever its path contains
            values["message"] = values["message"].replace("\n", "\\n")
        head = "{time} {level:<8} {process}[{pid}] {logger}: {message}".format(**values)
        for name in ("time", "level", "logger", "message", "process", "pid"):
            del values[name]
        # The message of a request, or the traceback, has these already.
        for name in ("method", "path", "status", "exception", "exception_message"):
            values.pop(name, None)
        values.update(values.pop("extra", {}))
        rest = "".join(f" {name}={value}" for name, value in values.items())
        # The rest goes at the end of the message's first line.
        first, newline, others = head.partition("\n")
        text = f"{first}{rest}{newline}{others}" + (f"\n{stack}" if stack else "")
        text = _CONTROL.sub(_escape, text.rstrip("\n").replace("\n", "\n    "))
        if len(text) > MAX_LINE // 4:  # a character has up to 4 bytes
            text = "\n".join(_bounded(line) for line in text.split("\n"))
        return text


def fields(record: logging.LogRecord, process: str) -> dict[str, Any]:
    """Return the fields of a record, in order."""
    values: dict[str, Any] = {
        "time": _time(record.created),
        "level": _level(record.levelno),
        "logger": record.name,
        "message": _message(record),
        "process": process,
        "pid": record.process or 0,
    }
    own = record.__dict__
    if request := own.get("request_id") or context.request_id.get():
        values["request_id"] = request
    if "duration" in own and "client" in own:
        for name in ACCESS:
            values[name] = own[name]
        return values
    if task := context.task.get():
        values.update(task.fields)
    elif isinstance(data := own.get("data"), dict) and record.name[:7] == "celery.":
        # Celery's line about a task that it received: another process executes it.
        received = {"task_id": data.get("id"), "task": data.get("name")}
        values.update({k: str(v) for k, v in received.items() if v})
    if record.exc_info and record.exc_info[0]:
        values["exception"] = record.exc_info[0].__qualname__
        values["exception_message"] = _text(record.exc_info[1])
        values["traceback"] = "".join(traceback.format_exception(*record.exc_info))
    elif record.stack_info:
        values["traceback"] = record.stack_info
    extra = {
        name: value if _is_plain(value) else _text(value)
        for name, value in own.items()
        if name not in _KNOWN
    }
    if extra:
        values["extra"] = extra
    return values


def shortened(text: str, length: int) -> str:
    """Cut out the middle of a string if it is longer."""
    if len(text) <= length:
        return text
    half = (length - 7) // 2
    return f"{text[:half]} [...] {text[-half:]}"


def _bounded(line: str) -> str:
    return shortened(line, MAX_LINE if line.isascii() else MAX_LINE // 4)


def _message(record: logging.LogRecord) -> str:
    try:
        return record.getMessage()
    except Exception:
        # Without the arguments, which may contain secrets.
        return f"{record.msg} (the arguments do not match)"


def _text(value: object) -> str:
    try:
        return shortened(str(value), _MAX_VALUE)
    except Exception as error:
        return f"<{type(value).__name__}: {type(error).__name__}>"


def _is_plain(value: object) -> bool:
    # JSON has no infinity. Strings are shortened elsewhere.
    if isinstance(value, float):
        return math.isfinite(value)
    return value is None or isinstance(value, bool | int)


def _cut(values: dict[str, Any]) -> dict[str, Any]:
    """Shorten the values so that they fit in a line."""
    texts = {name: values[name] for name in ("message", "traceback") if name in values}
    # A character takes up to six bytes ("\\u0000").
    values = {
        name: shortened(value, _MAX_VALUE // 6) if isinstance(value, str) else value
        for name, value in values.items()
        if name != "extra"
    } | texts
    for length in (6_000, 3_000, 1_000):
        for name in texts:
            values[name] = shortened(values[name], length)
        if len(_encode(values)) <= MAX_LINE:
            break
    return values


def _level(number: int) -> str:
    return next((name for minimum, name in _LEVELS if number >= minimum), "debug")


def _time(created: float) -> str:
    """Return an RFC 3339 time in UTC, because only workers use Django's time zone."""
    seconds = int(created)
    return f"{_whole_second(seconds)}.{int((created - seconds) * 1000):03d}Z"


@functools.lru_cache(maxsize=1)  # many records have the same second
def _whole_second(seconds: int) -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(seconds))


def _escape(character: re.Match[str]) -> str:
    return character[0].encode("unicode_escape").decode("ascii")
