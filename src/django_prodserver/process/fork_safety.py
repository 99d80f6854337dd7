"""Fork safety: what a fork would break in a process that has loaded the application."""

from __future__ import annotations

import contextlib
import fcntl
import gc
import os
import signal
import stat
import threading
import time
from collections.abc import Collection, Iterable, Iterator
from pathlib import Path

from django_prodserver.health.state import stat_fields
from django_prodserver.process.signals import STOP_SIGNALS

# What the kernel knows of this process; empty elsewhere than on Linux.
_SELF = Path("/proc/self")
# Seconds for a thread that has just ended to leave the kernel's list, too.
_THREAD_EXIT = 0.02
_POLL = 0.005
# SIGINT raises KeyboardInterrupt; the others are faulthandler's.
_PYTHONS_SIGNALS = {
    signal.SIGINT,
    signal.SIGSEGV,
    signal.SIGFPE,
    signal.SIGABRT,
    signal.SIGBUS,
    signal.SIGILL,
}


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


def find_obstacle(inherited: Collection[int] = ()) -> str:
    """
    Return what forked workers could not share, in words; "" if there is nothing.

    Args:
        inherited: The child processes that were there before the application, such
            as those of a shell that has become this process.
    """
    if _obstacle(inherited):
        # It may be garbage that the paused collector has not closed.
        gc.collect()
    return _obstacle(inherited)


def _obstacle(inherited: Collection[int]) -> str:
    for thread in threading.enumerate():
        if thread is not threading.main_thread():
            return f"the application has started the thread {thread.name!r}"
    if name := _native_thread():
        return f"the application has started a thread outside Python ({name!r})"
    if child := _child_process(inherited):
        return f"the application has started a process ({child})"
    if name := _handled_signal():
        return f"the application handles the signal {name}"
    if _has_timer():
        return "the application has set an interval timer"
    if _has_semaphore():
        return "the application has made a multiprocessing lock, queue or pool"
    for entry in _listed(_SELF / "fd"):
        if unsafe := _describe_unsafe(int(entry.name), entry):
            return f"the application has left open {unsafe}"
    return ""


def _native_thread() -> str:
    """
    Return the name of a thread that Python did not start, else "".

    A fork copies only the thread that calls it. Code that counts on the others, such
    as the thread pool of polars, then waits for them without end in every worker.
    """
    deadline = time.monotonic() + _THREAD_EXIT
    while True:
        known = {thread.native_id for thread in threading.enumerate()}
        unknown = [
            task for task in _listed(_SELF / "task") if int(task.name) not in known
        ]
        if not unknown:
            return ""
        if time.monotonic() >= deadline:
            return _read(unknown[0] / "comm") or "unnamed"
        time.sleep(_POLL)


def _child_process(inherited: Collection[int]) -> str:
    """Return the name and pid of a child process that runs, else ""."""
    for pid in _running(inherited):
        return f"{_read(Path('/proc', str(pid), 'comm'))}, pid {pid}"
    return ""


def children() -> set[int]:
    """Return the pids of the child processes, those that have ended included."""
    return {
        int(pid)
        for task in _listed(_SELF / "task")
        for pid in _read(task / "children").split()
    }


def _running(inherited: Collection[int]) -> list[int]:
    """Return the pids of the child processes that run, but for the inherited ones."""
    running = []
    for pid in sorted(children().difference(inherited)):
        with contextlib.suppress(OSError):
            if stat_fields(pid)[0] not in "ZX":  # a zombie has ended
                running.append(pid)
    return running


def end_children(inherited: Collection[int] = (), seconds: float = 1.0) -> None:
    """
    Terminate the child processes of the application, and wait for them.

    They would stay children of the program that replaces this process, which knows
    nothing of them.

    Args:
        inherited: Children that are not the application's, and are left alone.
        seconds: After this time the others are killed.
    """
    _send(signal.SIGTERM, _running(inherited))
    deadline = time.monotonic() + seconds
    while _running(inherited) and time.monotonic() < deadline:
        time.sleep(_POLL)
    _send(signal.SIGKILL, _running(inherited))
    while _running(inherited):
        time.sleep(_POLL)
    for pid in children().difference(inherited):  # zombies by now
        with contextlib.suppress(ChildProcessError):
            os.waitpid(pid, os.WNOHANG)


def _send(signum: int, pids: Iterable[int]) -> None:
    for pid in pids:
        with contextlib.suppress(OSError):
            os.kill(pid, signum)


def _handled_signal() -> str:
    """
    Return the name of a signal for which a handler is installed, else "".

    The server installs its own handlers in each worker before it loads the
    application there, and would replace one that was installed before.
    """
    for line in _read(_SELF / "status").splitlines():
        name, _, value = line.partition(":")
        if name == "SigCgt":
            caught = int(value, 16)
            for signum in signal.Signals:
                if signum not in _PYTHONS_SIGNALS and caught >> (signum - 1) & 1:
                    return signum.name
    return ""


def _has_timer() -> bool:
    """Tell whether a timer runs; a fork does not copy it."""
    timers = (signal.ITIMER_REAL, signal.ITIMER_VIRTUAL, signal.ITIMER_PROF)
    return any(signal.getitimer(timer)[0] for timer in timers)


def _has_semaphore() -> bool:
    """
    Tell whether a semaphore in shared memory is open, which workers would share.

    A worker that is killed while it holds one stops all others. It has no
    descriptor: the kernel lists it among the memory that is mapped.
    """
    return "/dev/shm/sem." in _read(_SELF / "maps")  # noqa: S108


def _listed(directory: Path) -> list[Path]:
    return sorted(directory.iterdir()) if directory.is_dir() else []


def _read(file: Path) -> str:
    try:
        return file.read_text(errors="replace").strip()
    except OSError:
        return ""  # ended by now


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
