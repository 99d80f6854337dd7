"""Retry with backoff until a deadline."""

from __future__ import annotations

import math
import os
import time

from django.conf import settings

from django_prodserver.config.wait_for import DEFAULT_TIMEOUT
from django_prodserver.exceptions import ConfigurationError, Fault, UnavailableError
from django_prodserver.logs.config import log
from django_prodserver.text import MASK, redact

VARIABLE = "PRODSERVER_WAIT_TIMEOUT"
_LOG_INTERVAL = 5.0
_MAX_REASON = 300  # characters
_FIRST_DELAY, _MAX_DELAY = 0.1, 2.0


def timeout() -> float:
    """
    Return the maximum number of seconds to wait; 0 means a single try.

    Raises:
        ConfigurationError: ``PRODSERVER_WAIT_TIMEOUT`` is not a number of seconds.
    """
    text = os.environ.get(VARIABLE, "")
    try:
        seconds = float(text) if text else DEFAULT_TIMEOUT
    except ValueError:
        seconds = math.nan
    if 0 <= seconds < math.inf:
        return seconds
    message = f"{VARIABLE} is {text!r} in the environment, not a number of seconds."
    hint = f"Set {VARIABLE} to a number such as {DEFAULT_TIMEOUT:g}, or unset it."
    raise ConfigurationError(Fault.BAD_VARIABLE, message, hint)


def describe_error(error: Exception) -> str:
    """Return an error as one line without secrets."""
    text = f"{type(error).__name__}: {' '.join(str(error).split())}".rstrip(": ")
    for database in settings.DATABASES.values():
        password = str(database.get("PASSWORD") or "")
        # A shorter one may be part of a word by chance, and the mask would reveal it.
        if len(password) > 5:
            text = text.replace(password, MASK)
    text = redact(text)
    return text if len(text) <= _MAX_REASON else f"{text[: _MAX_REASON - 3]}..."


class Backoff:
    """
    Waits for something to become available, and logs what it waits for.

    Args:
        what: The name of the dependency, for the log.
        started: The start of the wait, from ``time.monotonic()``; now by default.
    """

    def __init__(self, what: str, started: float | None = None) -> None:
        self.what = what
        self._started = time.monotonic() if started is None else started
        self._total = timeout()
        self.deadline = self._started + self._total
        self._last_report: float | None = None
        self._reason = ""
        self._delay = _FIRST_DELAY

    def wait(self, reason: str) -> None:
        """
        Sleep before the next try, longer each time; log the first reason at once, and
        then the last one every few seconds.

        Raises:
            UnavailableError: The deadline has passed.
        """
        now = time.monotonic()
        if now >= self.deadline:
            waited = f"{self._total:g} s"
            message = f"Timed out after {waited} waiting for {self.what}: {reason}."
            hint = f"To wait longer, increase {VARIABLE} (seconds)."
            raise UnavailableError(message, hint)
        is_first = not self._reason
        self._reason = reason
        self.report(at_once=is_first)
        time.sleep(min(self._delay, max(self.deadline - now, 0)))
        self._delay = min(self._delay * 1.5, _MAX_DELAY)

    def report(self, *, at_once: bool = False) -> None:
        """Log the last reason why it is not available, at most every 5 seconds."""
        now = time.monotonic()
        last = self._last_report
        if at_once or last is None or now - last >= _LOG_INTERVAL:
            self._last_report = now
            waited = f"{now - self._started:.0f} s of {self._total:g}"
            reason = self._reason or "no answer yet"
            log(f"waiting for {self.what} ({waited}): {reason}")

    def succeeded(self) -> None:
        """Log that it is available, if the wait was logged."""
        if self._last_report is not None:
            took = time.monotonic() - self._started
            log(f"{self.what} ready after {took:.1f} s")
