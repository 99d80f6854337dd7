"""SIGINT and SIGTERM, for what runs other processes."""

from __future__ import annotations

import signal
import time
from types import FrameType

STOP_SIGNALS = (signal.SIGINT, signal.SIGTERM)
# Seconds within which two signals are one stop told twice: timeout(1) signals
# its child, and then the group that the child is in.
_TWICE = 0.1


class StopSignal:
    """The first signal asks for a stop; a later one, not to wait for it."""

    asked = False
    urged = False
    _since = 0.0

    def listen(self) -> None:
        for signum in STOP_SIGNALS:
            signal.signal(signum, self._on_signal)

    def _on_signal(self, signum: int, frame: FrameType | None) -> None:
        self.note()

    def note(self) -> None:
        """Take note of a signal, where somebody else has the handler."""
        now = time.monotonic()
        if not self.asked:
            self.asked, self._since = True, now
        elif now - self._since > _TWICE:
            self.urged = True
