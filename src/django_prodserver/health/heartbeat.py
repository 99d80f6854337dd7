"""
The heartbeat: one line in ``NAME.heartbeat``, next to the state file.

Only the process's own main loop writes it, so a hanging loop is noticed. The file is
overwritten in place, which needs no space on a full device. It contains the line
twice, so that a reader can detect an incomplete write. Its time is from the monotonic
clock, which cannot be changed, and it names the process that wrote it, so that the
heartbeat of an earlier process or of another container is ignored.
"""

# ruff: noqa: PTH108

import os
import time

CONDITIONS = (
    "starting",
    "ready",
    "standby",
    "busy",
    "waiting",
    "draining",
    "silent",
)
# Windows lacks two of them, and without the third converts line endings.
_FLAGS = (
    os.O_WRONLY
    | os.O_CREAT
    | getattr(os, "O_NOFOLLOW", 0)
    | getattr(os, "O_NONBLOCK", 0)
    | getattr(os, "O_BINARY", 0)
)
_HALF = 512
# Minimum seconds between two writes of the same line, however often a loop calls.
_INTERVAL = 0.5

TYPE_CHECKING = False
if TYPE_CHECKING:
    from django_prodserver.health.state import State


def beat(condition: str, detail: str = "") -> None:
    """
    Record the condition of this process. Never raises; takes a few microseconds.

    Does nothing in a process that our launcher did not start, and in a child of a
    process that it did start.

    Args:
        condition: ``starting``: not working yet, or not now (no broker); live as
            long as the process exists. ``ready``: working; beats again within the
            maximum age. ``busy``: working on something that blocks this loop,
            however long it takes. ``standby``: will work as soon as another replica
            exits, however long that takes. ``waiting``: not working, because it
            waits for something external; beats again within the maximum age.
            ``draining``: asked to stop; later conditions are ignored. ``silent``:
            no heartbeat will follow.
        detail: What it waits for, or why; one human-readable line. For a web
            process, "starting" is ignored without a detail.
    """
    if writer := current_writer():
        writer.beat(condition, detail)


def current_writer() -> "HeartbeatWriter | None":
    """Return this process's writer, to pass to the child that does its work."""
    return _current.writer()


class HeartbeatWriter:
    """Writes the heartbeat of one process; its child may write it too."""

    def __init__(self, state: "State") -> None:
        self.name = state.name
        self._file = f"{state.directory}/{state.stem}.heartbeat"
        self._owner = state.identity()
        self._last = ("", "", 0.0)
        self._draining = False

    def beat(self, condition: str, detail: str = "") -> None:
        """Write a line; see the function ``beat``."""
        if condition == "draining":
            self._draining = True
        now = time.monotonic()
        if (condition, detail) == self._last[:2] and now - self._last[2] < _INTERVAL:
            return
        self._last = condition, detail, now
        if self._draining and condition != "draining":
            return
        self._write(f"{now:.3f}", condition, detail)
        # SIGTERM may have arrived during the write, and its handler has returned.
        if self._draining and condition != "draining":
            self._write(f"{now:.3f}", "draining", "")

    def _write(self, now: str, condition: str, detail: str) -> None:
        text = f"{now} {condition} {self._owner} {' '.join(detail.split())}"
        half = text.encode(errors="replace")[: _HALF - 1].ljust(_HALF - 1) + b"\n"
        content = half * 2
        for _ in range(2):
            try:
                descriptor = os.open(self._file, _FLAGS, 0o600)
                try:
                    os.write(descriptor, content)
                finally:
                    os.close(descriptor)
                return
            except OSError:
                pass
            try:
                os.unlink(self._file)  # another user's, or a link
            except OSError:
                return  # the directory is gone or read-only: the probe will notice


class _Current:
    """The writer of the current process; a forked child has none."""

    def __init__(self) -> None:
        self._key = (0, "")
        self._writer: HeartbeatWriter | None = None

    def writer(self) -> HeartbeatWriter | None:
        # Not at the top: the probe runs this as a file, without the package.
        from django_prodserver.config.context import VARIABLE, Context
        from django_prodserver.health import state

        pid, text = os.getpid(), os.environ.get(VARIABLE, "")
        if self._key != (pid, text):
            context = Context.from_environment()
            found = state.read(context.state_file) if context else None
            is_own = found and found.pid == pid and found.exists()
            self._writer = HeartbeatWriter(found) if found and is_own else None
            self._key = pid, text
        return self._writer


_current = _Current()


class Heartbeat:
    """
    A heartbeat that was read.

    Attributes:
        condition: One of ``CONDITIONS``.
        detail: A human-readable line; "" for none.
        age: Seconds since it was written.
    """

    def __init__(self, condition: str, detail: str, age: float) -> None:
        self.condition = condition
        self.detail = detail
        self.age = age


def is_writable(state: "State") -> bool:
    """
    Return whether the next heartbeat can be written; a device can become read-only.

    Call it as a user who can read the heartbeat: root, or the user of the process.
    """
    return os.access(f"{state.directory}/{state.stem}.heartbeat", os.W_OK)


def read(state: "State") -> Heartbeat | None:
    """Return the heartbeat of a process; None if absent or not trustworthy."""
    for _ in range(5):
        content = state.read_sibling("heartbeat")
        if not content:
            return None
        half = content[: len(content) // 2]
        if half * 2 == content:
            text = half.decode(errors="replace").rstrip("\n")
            written, condition, owner, detail = (text.split(" ", 3) + [""] * 3)[:4]
            try:
                age = time.monotonic() - float(written)
            except ValueError:
                return None
            if owner != state.identity() or condition not in CONDITIONS:
                return None
            # The time is rounded to milliseconds, so it may be slightly ahead of now.
            if age > -1:
                return Heartbeat(condition, detail.strip(), max(age, 0.0))
            return None
        time.sleep(0.001)  # the write is not complete
    return None
