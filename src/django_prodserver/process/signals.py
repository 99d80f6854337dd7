"""Handle SIGINT and SIGTERM in a process that runs other processes."""

from __future__ import annotations

import signal
import sys
import time
from types import FrameType

STOP_SIGNALS: tuple[signal.Signals, ...] = (signal.SIGINT, signal.SIGTERM)
if sys.platform == "win32":
    # Ctrl-Break, which also stops a process that was started in a new process group.
    STOP_SIGNALS += (signal.SIGBREAK,)
#: Seconds within which two signals count as one: timeout(1) signals its child, and
# then the group that the child is in.
DEBOUNCE = 0.1


class StopSignal:
    """
    Graceful on the first signal, forced on the second.

    Attributes:
        received: A signal has been received.
        force: A second one has.
    """

    def __init__(self) -> None:
        self.received = False
        self.force = False
        self._received_at = 0.0

    def listen(self) -> None:
        """Handle SIGINT and SIGTERM, and Ctrl-Break on Windows, in this process."""
        for signum in STOP_SIGNALS:
            signal.signal(signum, self._on_signal)

    def note(self) -> None:
        """Record a signal that another handler has received."""
        now = time.monotonic()
        if not self.received:
            self.received, self._received_at = True, now
        elif now - self._received_at > DEBOUNCE:
            self.force = True

    def _on_signal(self, signum: int, frame: FrameType | None) -> None:
        self.note()
