"""Turn a stop signal into an exception, at a moment when nothing is left behind."""

from __future__ import annotations

import contextlib
import signal
from collections.abc import Iterator
from types import FrameType

from django_prodserver.exceptions import ExitCode

_SIGNALS = (signal.SIGINT, signal.SIGTERM)


class Interruption:
    """
    Raises KeyboardInterrupt on the first SIGINT or SIGTERM; later ones do nothing.

    Attributes:
        signum: The signal that was received; 0 for none.
    """

    def __init__(self) -> None:
        self.signum = 0
        self._is_deferred = False
        self._is_pending = False

    @property
    def exit_code(self) -> int:
        if not self.signum:
            return 0
        is_interrupt = self.signum == signal.SIGINT
        return ExitCode.INTERRUPTED if is_interrupt else ExitCode.TERMINATED

    @contextlib.contextmanager
    def listening(self) -> Iterator[None]:
        """Handle the signals, and restore the handlers at the end."""
        before = {signum: signal.signal(signum, self._handle) for signum in _SIGNALS}
        try:
            yield
        finally:
            for signum, handler in before.items():
                signal.signal(signum, handler)

    @contextlib.contextmanager
    def deferred(self) -> Iterator[None]:
        """Raise only at the end of a block, if a signal arrives in it."""
        self._is_deferred = True
        try:
            yield
        finally:
            self._is_deferred = False
        if self._is_pending:
            self._is_pending = False
            raise KeyboardInterrupt

    def _handle(self, signum: int, frame: FrameType | None) -> None:
        # A second one must not interrupt the end of what was started.
        if self.signum:
            return
        self.signum = signum
        if self._is_deferred:
            self._is_pending = True
        else:
            raise KeyboardInterrupt
