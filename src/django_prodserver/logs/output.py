"""Standard output: shared with other processes, and read by another program."""

from __future__ import annotations

import os
import select
import stat
import sys
import time
from collections.abc import Callable

if sys.platform != "win32":
    import fcntl

STDOUT = 1
#: Seconds that a line waits for a reader.
PATIENCE = 2.0
# Seconds that a line waits if others were dropped in the last half minute.
_SHORT_PATIENCE = 0.1
_MEMORY = 30.0
# Bytes that a pipe writes at once or not at all (PIPE_BUF on Linux).
_AT_ONCE = 4096
# Seconds between two attempts to get the lock.
_PAUSE = 0.001


class Output:
    """
    Writes whole lines, and drops them if they are not read.

    A pipe holds 64 KiB. If its reader stops, each write would block: first the request
    that is logged, and then the stop. So a line is dropped after a while, and the next
    ones at once, until the pipe has room again.

    Attributes:
        dropped: Dropped lines that have not been reported yet.
    """

    def __init__(self) -> None:
        self.dropped = 0
        self._first_dropped = 0.0
        self._last_dropped = 0.0
        self._is_line_cut = False

    def write(self, line: bytes, report: Callable[[int, float], bytes]) -> None:
        """
        Write a line before any other process can write.

        Args:
            line: The line, with its newline.
            report: Returns a line with the number of dropped lines and the seconds;
                it is written before the first line that is not dropped.

        Raises:
            OSError: Standard output is closed.
        """
        mode = os.fstat(STDOUT).st_mode
        if stat.S_ISREG(mode) or sys.platform == "win32":
            _write_all(line)
            return
        deadline = time.monotonic() + self._patience()
        # Only pipes are locked: unrelated programs may hold a lock on a terminal or
        # on /dev/null. Without the lock, which a frozen process may hold, lines longer
        # than a page may be mixed.
        is_locked = stat.S_ISFIFO(mode) and _lock(deadline)
        try:
            self._write_pages(line, report, deadline)
        finally:
            if is_locked:
                fcntl.lockf(STDOUT, fcntl.LOCK_UN)

    def _write_pages(
        self, line: bytes, report: Callable[[int, float], bytes], deadline: float
    ) -> None:
        is_begun = False
        while line:
            if not _is_writable(deadline):
                self._drop(is_line_cut=is_begun)
                return
            if not is_begun and self.dropped:
                seconds = time.monotonic() - self._first_dropped
                line = report(self.dropped, seconds) + line
                if self._is_line_cut:
                    line = b"\n" + line
            try:
                line = line[os.write(STDOUT, line[:_AT_ONCE]) :]
            except BlockingIOError:  # non-blocking, and another process was faster
                continue
            is_begun = True
            deadline = time.monotonic() + PATIENCE
        self.dropped = 0
        self._is_line_cut = False

    def _patience(self) -> float:
        """Return how many seconds a line waits for room."""
        if self.dropped:
            return 0
        is_reader_slow = time.monotonic() < self._last_dropped + _MEMORY
        return _SHORT_PATIENCE if self._last_dropped and is_reader_slow else PATIENCE

    def _drop(self, *, is_line_cut: bool) -> None:
        self._is_line_cut = self._is_line_cut or is_line_cut
        self._last_dropped = time.monotonic()
        if not self.dropped:
            self._first_dropped = self._last_dropped
        self.dropped += 1


def _write_all(data: bytes) -> None:
    while data:
        data = data[os.write(STDOUT, data) :]


def _is_writable(deadline: float) -> bool:
    """Return whether there is room for a page, now or until the deadline."""
    poll = select.poll()
    poll.register(STDOUT, select.POLLOUT)
    # A closed reader counts as well: the write reports it.
    if poll.poll(0):
        return True
    left = deadline - time.monotonic()
    return left > 0 and bool(poll.poll(left * 1000))


def _lock(deadline: float) -> bool:
    """Lock standard output; return False if another process holds the lock too long."""
    while True:
        try:
            fcntl.lockf(STDOUT, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            if time.monotonic() >= deadline:
                return False
            time.sleep(_PAUSE)
        else:
            return True
