"""A record as a line: the fields that ``schema.json`` describes, or that as text."""

from __future__ import annotations

import json
import logging
import math
import re
import time
import traceback
from typing import Any

from django_prodserver.logs import context

#: Bytes of a line: Docker and containerd cut what is longer than 16 KiB.
LONGEST = 16_000
#: Characters of what a client, or the application, can make as long as it likes.
_LONGEST_TEXT = 2_048

ACCESS = ("method", "path", "status", "duration", "bytes", "client")
# What a record has by itself, and what Django and Celery put into "extra" that is
# an object, a secret (a task's arguments), or said by another field.
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
# Everything that ends a line or moves a terminal's cursor, but for "\n" and tab.
_CONTROL = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff]")


class JSONFormatter(logging.Formatter):
    """
    One JSON object a line, of ``schema.json``; always ASCII, never over 16 KB.

    Args:
        process: The name of the process, as in ``PRODUCTION_PROCESSES``.
    """

    def __init__(self, process: str = "") -> None:
        super().__init__()
        self._process = process

    def format(self, record: logging.LogRecord) -> str:
        found = fields(record, self._process)
        try:
            line = _encode(found)
        except (TypeError, ValueError, RecursionError):  # somebody's "extra"
            del found["extra"]
            line = _encode(found)
        return line if len(line) <= LONGEST else _encode(_cut(found))


class TextFormatter(logging.Formatter):
    """
    The same for people: time, level, process and pid, logger, message, and the rest.

    A message of several lines has the others indented, so that none of them can
    pass for a record of its own.

    Args:
        process: The name of the process, as in ``PRODUCTION_PROCESSES``.
    """

    def __init__(self, process: str = "") -> None:
        super().__init__()
        self._process = process

    def format(self, record: logging.LogRecord) -> str:
        found = fields(record, self._process)
        stack = found.pop("traceback", "")
        if "path" in found:  # of a request, which is one line whatever is asked for
            found["message"] = found["message"].replace("\n", "\\n")
        head = "{time} {level:<8} {process}[{pid}] {logger}: {message}".format(**found)
        for name in ("time", "level", "logger", "message", "process", "pid"):
            del found[name]
        # The message of an access line has them already.
        for name in ("method", "path", "status", "exception", "exception_message"):
            found.pop(name, None)
        found.update(found.pop("extra", {}))
        rest = "".join(f" {name}={value}" for name, value in found.items())
        # The rest behind the first line of the message.
        first, newline, others = head.partition("\n")
        text = f"{first}{rest}{newline}{others}" + (f"\n{stack}" if stack else "")
        text = _CONTROL.sub(_escape, text.rstrip("\n").replace("\n", "\n    "))
        if len(text) > LONGEST // 4:  # which may be all that its bytes have room for
            text = "\n".join(_bounded(line) for line in text.split("\n"))
        return text


def fields(record: logging.LogRecord, process: str) -> dict[str, Any]:
    """Return the fields of a record, in the order in which they are written."""
    found: dict[str, Any] = {
        "time": _time(record.created),
        "level": _level(record.levelno),
        "logger": record.name,
        "message": _message(record),
        "process": process,
        "pid": record.process or 0,
    }
    own = record.__dict__
    if request := own.get("request_id") or context.request_id.get():
        found["request_id"] = request
    if "duration" in own and "client" in own:
        for name in ACCESS:
            found[name] = own[name]
        return found
    if task := context.task.get():
        found.update(task.fields)
    elif isinstance(data := own.get("data"), dict) and record.name[:7] == "celery.":
        # The line about a task that has come, in a process that only hands it on.
        named = {"task_id": data.get("id"), "task": data.get("name")}
        found.update({k: str(v) for k, v in named.items() if v})
    if record.exc_info and record.exc_info[0]:
        found["exception"] = record.exc_info[0].__qualname__
        found["exception_message"] = _text(record.exc_info[1])
        found["traceback"] = "".join(traceback.format_exception(*record.exc_info))
    elif record.stack_info:
        found["traceback"] = record.stack_info
    extra = {
        name: value if _is_plain(value) else _text(value)
        for name, value in own.items()
        if name not in _KNOWN
    }
    if extra:
        found["extra"] = extra
    return found


def shortened(text: str, length: int) -> str:
    """Return a text with its middle cut out, if it is longer."""
    if len(text) <= length:
        return text
    half = (length - 7) // 2
    return f"{text[:half]} [...] {text[-half:]}"


def _bounded(line: str) -> str:
    return shortened(line, LONGEST if line.isascii() else LONGEST // 4)


def _message(record: logging.LogRecord) -> str:
    try:
        return record.getMessage()
    except Exception:
        # Not the arguments: nobody has said that they are to be read.
        return f"{record.msg} (its arguments do not fit)"


def _text(value: object) -> str:
    try:
        return shortened(str(value), _LONGEST_TEXT)
    except Exception as error:
        return f"<{type(value).__name__}: {type(error).__name__}>"


def _is_plain(value: object) -> bool:
    # JSON knows no infinity, and a text may be any length.
    if isinstance(value, float):
        return math.isfinite(value)
    return value is None or isinstance(value, bool | int)


def _cut(found: dict[str, Any]) -> dict[str, Any]:
    # Six bytes is the most that a character comes to ("\\u0000").
    found = {
        name: shortened(value, _LONGEST_TEXT // 6) if isinstance(value, str) else value
        for name, value in found.items()
        if name != "extra"
    } | {name: found[name] for name in ("message", "traceback") if name in found}
    for length in (6_000, 3_000, 1_000):
        for name in ("message", "traceback"):
            if name in found:
                found[name] = shortened(found[name], length)
        if len(_encode(found)) <= LONGEST:
            break
    return found


def _level(number: int) -> str:
    return next((name for least, name in _LEVELS if number >= least), "debug")


_second = (0, "")


def _time(created: float) -> str:
    """Return RFC 3339, in UTC: a worker has Django's time zone, and its parent not."""
    global _second
    seconds = int(created)
    known, text = _second
    if known != seconds:
        text = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(seconds))
        _second = seconds, text
    return f"{text}.{int((created - seconds) * 1000):03d}Z"


def _escape(found: re.Match[str]) -> str:
    return found[0].encode("unicode_escape").decode("ascii")
