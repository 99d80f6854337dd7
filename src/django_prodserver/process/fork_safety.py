"""What a fork breaks in a process that has loaded the application."""

from __future__ import annotations

import contextlib
import fcntl
import gc
import os
import signal
import stat
import threading
from collections.abc import Iterator
from pathlib import Path

_STOPS = (signal.SIGTERM, signal.SIGINT)


@contextlib.contextmanager
def garbage_collection_paused() -> Iterator[None]:
    """
    Let the garbage collector rest while the application is loaded.

    It would walk over what stays, again and again. Measured: 10 % of a start's CPU
    time for the example, 18 % for Wagtail's project; their memory is the same, for
    what is collected leaves holes, and a worker that fills them no longer shares
    that page.
    """
    wanted = gc.get_threshold()
    # Not gc.disable(): an application that calls it means it, and it stays so.
    gc.set_threshold(0)
    try:
        yield
    finally:
        if gc.get_threshold()[0] == 0:  # else the application has set its own
            gc.set_threshold(*wanted)


def find_obstacle() -> str:
    """Return what forked workers could not share, in words; nothing if all can be."""
    if _obstacle():
        # It may be what the collector would have closed by now.
        gc.collect()
    return _obstacle()


def _obstacle() -> str:
    for thread in threading.enumerate():
        if thread is not threading.main_thread():
            return f"the application has started the thread {thread.name!r}"
    folder = Path("/proc/self/fd")
    for entry in sorted(folder.iterdir()) if folder.is_dir() else ():
        if what := _shared_position(int(entry.name), entry):
            return f"the application has left open {what}"
    return ""


def _shared_position(descriptor: int, entry: Path) -> str:
    """Return what a descriptor is, if two processes must not both use it."""
    try:
        # Python opens everything close-on-exec; what is not was handed down to
        # this process, and natively reaches the workers too.
        if not fcntl.fcntl(descriptor, fcntl.F_GETFD) & fcntl.FD_CLOEXEC:
            return ""
        mode = os.fstat(descriptor).st_mode
        flags = fcntl.fcntl(descriptor, fcntl.F_GETFL)
        target = str(entry.readlink())
    except OSError:
        return ""  # gone: it was the listing's own
    if stat.S_ISSOCK(mode):
        return f"a socket (file descriptor {descriptor})"
    # Files opened for appending are logs, and those in memory (multiprocessing's
    # semaphores and arenas) are there to be shared.
    in_memory = target.startswith(("/dev/shm/", "/memfd:"))  # noqa: S108
    if stat.S_ISREG(mode) and not flags & os.O_APPEND and not in_memory:
        return f"the file {target}"
    return ""


def restore_signals_in_children() -> None:
    """
    Let a forked worker be ended by a signal before it has its own handlers.

    It inherits the parent's, which note a signal for the parent's loop: natively
    a stop at that moment is noted where nobody looks, and the worker stays.
    """
    forking = threading.local()

    # A signal of the moment between the fork and the handlers has to wait.
    def hold() -> None:
        forking.mask = signal.pthread_sigmask(signal.SIG_BLOCK, _STOPS)

    def release() -> None:
        signal.pthread_sigmask(signal.SIG_SETMASK, forking.mask)

    def default_and_release() -> None:
        for signum in _STOPS:
            signal.signal(signum, signal.SIG_DFL)
        release()

    os.register_at_fork(
        before=hold, after_in_parent=release, after_in_child=default_and_release
    )
