"""Waiting for what others bring: how long, and what is said of it meanwhile."""

from __future__ import annotations

import math
import os
import time

from django.conf import settings

from django_prodserver.exceptions import ConfigurationError, Fault, UnavailableError
from django_prodserver.logs.config import log
from django_prodserver.text import MASK, redact

VARIABLE = "PRODSERVER_WAIT_TIMEOUT"
#: Longer than a database takes to start or to fail over, and half of the 600 s
#: after which Kubernetes calls a rollout failed: the reason is in the log by then.
DEFAULT = 300.0
# Seconds between two lines that say so.
_SAY = 5.0
_LONGEST = 300  # characters of a reason
_FIRST_PAUSE, _LONGEST_PAUSE = 0.1, 2.0


def timeout() -> float:
    """
    Return the seconds that may be waited; 0 is for a single try.

    Raises:
        ConfigurationError: ``PRODSERVER_WAIT_TIMEOUT`` is no number of seconds.
    """
    text = os.environ.get(VARIABLE, "")
    try:
        seconds = float(text) if text else DEFAULT
    except ValueError:
        seconds = math.nan
    if 0 <= seconds < math.inf:
        return seconds
    message = f"{VARIABLE} is {text!r} in the environment, and no number of seconds."
    hint = f"Set {VARIABLE} to a number such as {DEFAULT:g}, or unset it."
    raise ConfigurationError(Fault.BAD_VALUE, message, hint)


def describe_error(error: Exception) -> str:
    """Return what an error says, as one line without secrets."""
    text = f"{type(error).__name__}: {' '.join(str(error).split())}".rstrip(": ")
    for database in settings.DATABASES.values():
        password = str(database.get("PASSWORD") or "")
        # A shorter one is in words by chance, and would be told by its mask.
        if len(password) > 5:
            text = text.replace(password, MASK)
    text = redact(text)
    return text if len(text) <= _LONGEST else f"{text[: _LONGEST - 3]}..."


class Backoff:
    """
    The time that may pass until something is there, and the lines about it.

    Args:
        what: What is waited for, as the log calls it.
        began: Since when, of ``time.monotonic()``; now by default.
    """

    def __init__(self, what: str, began: float | None = None) -> None:
        self.what = what
        self._began = time.monotonic() if began is None else began
        self._total = timeout()
        self.deadline = self._began + self._total
        self._said = -math.inf
        self._pause = _FIRST_PAUSE

    def pause(self, reason: str) -> None:
        """
        Say why it is not there yet, where it is time to, and sleep a little longer.

        Raises:
            UnavailableError: Time is up.
        """
        now = time.monotonic()
        if now >= self.deadline:
            message = f"{self.what} was not there within {self._total:g} s: {reason}."
            hint = f"{VARIABLE} is how many seconds it may take."
            raise UnavailableError(message, hint)
        self.say(reason)
        time.sleep(min(self._pause, max(self.deadline - now, 0)))
        self._pause = min(self._pause * 1.5, _LONGEST_PAUSE)

    def say(self, reason: str) -> None:
        """Say why it is not there yet, where it is time to."""
        now = time.monotonic()
        if now - self._said >= _SAY:
            self._said = now
            waited = f"{now - self._began:.0f} s of {self._total:g}"
            log(f"waiting for {self.what} ({waited}): {reason}")

    def over(self) -> None:
        """Say that it is there, if it has been waited for."""
        if self._said > 0:
            took = time.monotonic() - self._began
            log(f"{self.what} is there after {took:.1f} s")
