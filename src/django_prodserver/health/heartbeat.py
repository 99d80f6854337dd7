"""
The heartbeat: one line, ``NAME.heartbeat`` beside the state, that says how it is.

The process's own main loop writes it and nobody else, so that a loop that hangs
shows. It is overwritten where it is, which takes no room on a device that is full;
and it is there twice, so that a reader sees when it is just being written. Its time
is of the clock that nobody can set, and it names the process that wrote it: what an
earlier one left, or another container's, is not believed.
"""

# ruff: noqa: PTH108

import os
import time

CONDITIONS = ("starting", "ready", "busy", "draining", "silent")
_HALF = 512
# A loop may call as often as it likes.
_OFTEN = 0.5

TYPE_CHECKING = False
if TYPE_CHECKING:
    from django_prodserver.health.state import State


def beat(condition: str, detail: str = "") -> None:
    """
    Say how this process is; never raises, and takes some microseconds.

    Nothing happens in a process that our launcher did not start, nor in a child of
    one that it did.

    Args:
        condition: ``starting``: not at work yet, or not now (no broker), and alive
            as long as the process is. ``ready``: at work, and back here within the
            age that counts. ``busy``: at work on what this loop waits for, however
            long that takes. ``draining``: told to stop; nothing else counts after
            it. ``silent``: no heartbeat is to come.
        detail: What it waits for, or why; one line for people. Of a web process,
            "starting" counts only while it says one.
    """
    if heart := own():
        heart.beat(condition, detail)


def own() -> "Heart | None":
    """Return this process's, to hand to the child that does its work."""
    # Not at the top: the probe runs this as a file, without the package.
    from django_prodserver.config.context import VARIABLE, Context
    from django_prodserver.health import state

    global _known
    pid, text = os.getpid(), os.environ.get(VARIABLE, "")
    if _known[:2] != (pid, text):
        context = Context.from_environment()
        found = state.read(context.state_file) if context else None
        is_ours = found and found.pid == pid and found.is_there()
        _known = pid, text, Heart(found) if found and is_ours else None
    return _known[2]


class Heart:
    """The heartbeat of one process, which can be written by another."""

    def __init__(self, state: "State") -> None:
        self.name = state.name
        #: Whether the loop is one that beats.
        self.joined = False
        self._file = f"{state.folder}/{state.name}.heartbeat"
        self._owner = state.identity()
        self._last = ("", "", 0.0)
        self._draining = False

    def beat(self, condition: str, detail: str = "") -> None:
        if condition == "draining":
            self._draining = True
        now = time.monotonic()
        if (condition, detail) == self._last[:2] and now - self._last[2] < _OFTEN:
            return
        self._last = condition, detail, now
        if self._draining and condition != "draining":
            return
        self._write(f"{now:.3f}", condition, detail)
        # SIGTERM can come in the middle of it, and its handler is over by now.
        if self._draining and condition != "draining":
            self._write(f"{now:.3f}", "draining", "")

    def _write(self, now: str, condition: str, detail: str) -> None:
        text = f"{now} {condition} {self._owner} {' '.join(detail.split())}"
        half = text.encode(errors="replace")[: _HALF - 1].ljust(_HALF - 1) + b"\n"
        line = half * 2
        for _ in range(2):
            try:
                flags = os.O_WRONLY | os.O_CREAT | os.O_NOFOLLOW | os.O_NONBLOCK
                opened = os.open(self._file, flags, 0o600)
                try:
                    os.write(opened, line)
                finally:
                    os.close(opened)
                return
            except OSError:
                pass
            try:
                os.unlink(self._file)  # another user's, or a link
            except OSError:
                return  # the folder is gone, or read-only: nobody is told


class Beat:
    """
    One line as it was read.

    Attributes:
        condition: One of ``CONDITIONS``.
        detail: Words for people; "" for none.
        age: Seconds since it was written.
    """

    def __init__(self, condition: str, detail: str, age: float) -> None:
        self.condition = condition
        self.detail = detail
        self.age = age


def can_be_written(state: "State") -> bool:
    """
    Return whether the next one can be; a device may have become read-only.

    It is asked by one who may read it: root, or the user whose process it is.
    """
    return os.access(f"{state.folder}/{state.name}.heartbeat", os.W_OK)


def read(state: "State") -> Beat | None:
    """Return the heartbeat of that process; None if there is none to believe."""
    for _ in range(5):
        content = state.beside("heartbeat")
        if not content:
            return None
        half = content[: len(content) // 2]
        if half * 2 == content:
            text = half.decode(errors="replace").rstrip("\n")
            began, condition, owner, detail = (text.split(" ", 3) + [""] * 3)[:4]
            try:
                age = time.monotonic() - float(began)
            except ValueError:
                return None
            if owner != state.identity() or condition not in CONDITIONS:
                return None
            # Written with three digits, so it may be a little later than now.
            return Beat(condition, detail.strip(), max(age, 0.0)) if age > -1 else None
        time.sleep(0.001)  # it is being written
    return None


_known: tuple[int, str, Heart | None] = (0, "", None)
