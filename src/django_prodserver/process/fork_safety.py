"""Fork safety: what a fork would break in a process that has loaded the application."""

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

from django_prodserver.process.signals import STOP_SIGNALS


@contextlib.contextmanager
def garbage_collection_paused() -> Iterator[None]:
    """
    Pause the garbage collector while the application is loaded.

    It would traverse the same lasting objects again and again. Measured: 10 % of a
    start's CPU time for the example, 18 % for Wagtail's project. Memory is the same
    either way: collected objects leave holes, and a worker that fills a hole no
    longer shares that page.
    """
    threshold = gc.get_threshold()
    # Not gc.disable(): if the application calls that, it must stay disabled.
    gc.set_threshold(0)
    try:
        yield
    finally:
        if gc.get_threshold()[0] == 0:  # else the application has set its own
            gc.set_threshold(*threshold)


def find_obstacle() -> str:
    """Return what forked workers could not share, in words; "" if there is nothing."""
    if _obstacle():
        # It may be garbage that the paused collector has not closed.
        gc.collect()
    return _obstacle()


def _obstacle() -> str:
    for thread in threading.enumerate():
        if thread is not threading.main_thread():
            return f"the application has started the thread {thread.name!r}"
    descriptors = Path("/proc/self/fd")
    for entry in sorted(descriptors.iterdir()) if descriptors.is_dir() else ():
        if unsafe := _describe_unsafe(int(entry.name), entry):
            return f"the application has left open {unsafe}"
    return ""


def _describe_unsafe(descriptor: int, entry: Path) -> str:
    """Return what a descriptor is if two processes must not share it, else ""."""
    try:
        # Python opens everything close-on-exec. A descriptor that is not was
        # inherited by this process, and the native command shares it as well.
        if not fcntl.fcntl(descriptor, fcntl.F_GETFD) & fcntl.FD_CLOEXEC:
            return ""
        mode = os.fstat(descriptor).st_mode
        flags = fcntl.fcntl(descriptor, fcntl.F_GETFL)
        target = str(entry.readlink())
    except OSError:
        return ""  # closed by now: it was the one of the listing
    if stat.S_ISSOCK(mode):
        return f"a socket (file descriptor {descriptor})"
    # Files opened for appending are logs, and files in memory (multiprocessing's
    # semaphores and arenas) are meant to be shared.
    in_memory = target.startswith(("/dev/shm/", "/memfd:"))  # noqa: S108
    if stat.S_ISREG(mode) and not flags & os.O_APPEND and not in_memory:
        return f"the file {target}"
    return ""


def restore_signals_in_children() -> None:
    """
    Let a stop signal end a forked worker that has not set its own handlers yet.

    It inherits the parent's handlers, which record the signal for the parent's loop.
    With the native command a stop at that moment is lost, and the worker stays.
    """
    saved = threading.local()

    # A signal between the fork and the reset of the handlers stays pending.
    def block() -> None:
        saved.mask = signal.pthread_sigmask(signal.SIG_BLOCK, STOP_SIGNALS)

    def unblock() -> None:
        signal.pthread_sigmask(signal.SIG_SETMASK, saved.mask)

    def reset_and_unblock() -> None:
        for signum in STOP_SIGNALS:
            signal.signal(signum, signal.SIG_DFL)
        unblock()

    os.register_at_fork(
        before=block, after_in_parent=unblock, after_in_child=reset_and_unblock
    )
