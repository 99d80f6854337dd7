"""Fork safety: find what a fork would break once the application is loaded."""

from __future__ import annotations

import contextlib
import gc
import os
import signal
import sys
import threading
import time
from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from django.conf import settings

from django_prodserver.health.state import stat_fields
from django_prodserver.process import descriptors, removals
from django_prodserver.process.descriptors import Descriptor
from django_prodserver.process.signals import STOP_SIGNALS

# The kernel's data about this process; missing if this is not Linux.
_SELF = Path("/proc/self")
# Seconds until a thread that has just ended also leaves the kernel's list.
_THREAD_EXIT = 0.02
_POLL = 0.005
# Threads that are not needed in the child, thanks to a fork handler. This one frees
# unused memory; without it, jemalloc (part of pyarrow) does so while it allocates.
_MENDED_BY_FORK = {"jemalloc_bg_thd"}
# SIGINT raises KeyboardInterrupt; the others are faulthandler's.
_PYTHONS_SIGNALS = {"SIGINT", "SIGSEGV", "SIGFPE", "SIGABRT", "SIGBUS", "SIGILL"}


@contextlib.contextmanager
def garbage_collection_paused() -> Iterator[None]:
    """
    Pause the garbage collector while the application is loaded.

    It would traverse the same long-lived objects again and again. Measured: 10 % of
    the CPU time of a start for the example, 18 % for Wagtail's project. Memory use is
    the same either way: collected objects leave holes, and a worker that fills a hole
    no longer shares that page.
    """
    threshold = gc.get_threshold()
    # Not gc.disable(): if the application calls it, the collector must stay disabled.
    gc.set_threshold(0)
    try:
        yield
    finally:
        if gc.get_threshold()[0] == 0:  # otherwise the application has set its own
            gc.set_threshold(*threshold)


#: What a user can do about an obstacle.
WAY_OUT = (
    'Set "PRELOAD": False to save the second load, or True if it is safe to share.'
)


@dataclass(frozen=True)
class Snapshot:
    """
    What existed before the application was loaded, and does not belong to it.

    Attributes:
        children: The pids of child processes, such as those of a shell that has
            become this process.
        descriptors: Open descriptors, such as sockets of systemd.
        threads: The kernel's ids of threads that a ``sitecustomize`` has started.
        signals: The names of the signals that it handles.
    """

    children: frozenset[int] = frozenset()
    descriptors: frozenset[Descriptor] = frozenset()
    threads: frozenset[int] = frozenset()
    signals: frozenset[str] = frozenset()

    def with_new(self, earlier: Snapshot, later: Snapshot) -> Snapshot:
        """Return this snapshot plus what is new between two others."""
        return Snapshot(
            children=self.children | (later.children - earlier.children),
            descriptors=self.descriptors | (later.descriptors - earlier.descriptors),
            threads=self.threads | (later.threads - earlier.threads),
            signals=self.signals | (later.signals - earlier.signals),
        )


def snapshot() -> Snapshot:
    """
    Return what exists before the application is loaded.

    If the settings (and, under ``manage.py``, all apps) are already loaded, include
    only what this process inherited: the rest may belong to them.
    """
    running = children()
    if settings.configured:
        if running:
            running -= _started_by_python()
        return Snapshot(frozenset(running), frozenset(descriptors.inherited()))
    return everything()


def everything() -> Snapshot:
    """Return everything that exists, no matter what started or opened it."""
    return Snapshot(
        children=frozenset(children()),
        descriptors=frozenset(descriptors.opened()),
        threads=frozenset(_threads()),
        signals=frozenset(_handled_signals()),
    )


def blind_spot() -> str:
    """
    Return why obstacles cannot be found on this system; "" on Linux.

    On macOS, system libraries (Objective-C, Accelerate) start hidden threads, and end
    a process that uses them after a fork.
    """
    if _SELF.is_dir():
        return ""
    return "this system does not show the threads of libraries, which a fork breaks"


def find_obstacle(before: Snapshot) -> str:
    """
    Describe what forked workers could not share; return "" if there is nothing.

    Args:
        before: What existed before the application was loaded.
    """
    if _obstacle(before):
        # It may be garbage that the paused collector has not closed yet.
        gc.collect()
        stop_idle_resource_tracker(before.children)
        if _unknown_threads(before.threads):
            _end_threads_that_expect_forks()
    return _obstacle(before)


def _obstacle(before: Snapshot) -> str:
    for thread in threading.enumerate():
        is_old = thread.native_id in before.threads
        if thread is not threading.main_thread() and not is_old:
            return f"the application has started {_describe_thread(thread)}"
    if names := _native_threads(before.threads):
        threads = "a thread" if len(names) == 1 else "threads"
        shown = ", ".join(map(repr, names))
        return f"the application has started {threads} outside Python ({shown})"
    # Before processes, because since Python 3.14 a lock starts the resource tracker.
    if _has_semaphore():
        return "the application has created a multiprocessing lock, queue or pool"
    if child := _child_process(before.children):
        return f"the application has started a process ({child})"
    for name in _handled_signals():
        if name not in before.signals:
            return f"the application handles the signal {name}"
    if _has_timer():
        return "the application has set an interval timer"
    if removed := removals.removed_by_finalizers():
        return f"the application removes {removed} at exit"
    for descriptor in descriptors.opened():
        if descriptor not in before.descriptors:
            unsafe = descriptors.describe_unsafe(descriptor)
            if unsafe:
                return f"the application has left open {unsafe}"
    return ""


def _describe_thread(thread: threading.Thread) -> str:
    """Return a thread's name, and the module of what it runs where that is known."""
    runs = getattr(thread, "_target", None) or type(thread)
    module = getattr(runs, "__module__", None) or ""
    # A timer and a pool's worker run code of the standard library.
    known = module.partition(".")[0] not in sys.stdlib_module_names
    return f"the thread {thread.name!r}" + (f" of {module}" if module and known else "")


def _started_by_python() -> set[int | None]:
    """Return the pids of the children that Python code in this process started."""
    found: set[int | None] = set()
    if process := sys.modules.get("multiprocessing.process"):
        found.update(child.pid for child in process.active_children())
    found.add(_resource_tracker())
    if module := sys.modules.get("subprocess"):
        everything = gc.get_objects()
        found.update(each.pid for each in everything if type(each) is module.Popen)
    return found


def stop_idle_resource_tracker(inherited: Collection[int]) -> None:
    """
    Stop multiprocessing's resource tracker if its locks are gone.

    It cleans up after killed processes. Since Python 3.14, the first lock starts it,
    and importing Django-Q2 creates one for a moment. A worker that needs a tracker
    starts its own, as with the native command.
    """
    tracker = sys.modules.get("multiprocessing.resource_tracker")
    # If stopped, it would remove what it still tracks for the application.
    if (
        not tracker
        or _has_semaphore()
        or "multiprocessing.shared_memory" in sys.modules
    ):
        return
    # Other children may prevent it from exiting.
    if children().difference(inherited) == {tracker._resource_tracker._pid}:
        tracker._resource_tracker._stop()


def _resource_tracker() -> int | None:
    """Return the pid of multiprocessing's resource tracker; None if there is none."""
    module = sys.modules.get("multiprocessing.resource_tracker")
    return module._resource_tracker._pid if module else None


def _release_resource_tracker() -> None:
    """Let the tracker clean up and exit; it ignores SIGTERM."""
    if module := sys.modules.get("multiprocessing.resource_tracker"):
        tracker = module._resource_tracker
        if tracker._fd is not None:
            os.close(tracker._fd)
            tracker._fd = None


def _threads() -> set[int]:
    """Return the kernel's ids of the threads of this process."""
    return {int(task.name) for task in _listed(_SELF / "task")}


def _native_threads(inherited: Collection[int]) -> list[str]:
    """
    Return the names of the threads that Python did not start.

    A fork copies only the thread that calls it. Code that needs the others, such as
    the thread pool of polars, then waits for them forever in every worker.
    """
    unknown = _unknown_threads(inherited)
    deadline = time.monotonic() + _THREAD_EXIT
    while unknown and time.monotonic() < deadline:
        time.sleep(_POLL)
        unknown = _unknown_threads(inherited)
    return sorted({_thread_name(each) or "unnamed" for each in unknown})


def _unknown_threads(inherited: Collection[int]) -> set[int]:
    known = {thread.native_id for thread in threading.enumerate()}
    unknown = _threads().difference(known, inherited)
    return {each for each in unknown if _thread_name(each) not in _MENDED_BY_FORK}


def _end_threads_that_expect_forks() -> None:
    """
    Fork once, so that libraries end the threads that they can start again.

    OpenBLAS, which NumPy uses, does that in its ``pthread_atfork()`` handler, so its
    threads are not an obstacle. Python's own handlers do not run.
    """
    import ctypes  # only few applications have such threads

    # PyDLL keeps the GIL, so that the child has it and can exit.
    libc = ctypes.PyDLL(None)
    pid = libc.fork()
    if pid == 0:
        libc._exit(0)
    if pid > 0:
        with contextlib.suppress(ChildProcessError):  # a SIGCHLD handler was faster
            os.waitpid(pid, 0)


def _thread_name(number: int) -> str:
    return _read(_SELF / "task" / str(number) / "comm")


def _child_process(inherited: Collection[int]) -> str:
    """
    Return the name and pid of a running child process; "" if there is none.

    Since Python 3.14, multiprocessing's resource tracker may run beside the process
    that matters, so it is named only if there is no other.
    """
    running = _running(inherited)
    if not running:
        return ""
    tracker = _resource_tracker()
    others = [pid for pid in running if pid != tracker]
    pid = (others or running)[0]
    return f"{_read(Path('/proc', str(pid), 'comm'))}, pid {pid}"


def children() -> set[int]:
    """Return the pids of the child processes, including those that have ended."""
    return {
        int(pid)
        for task in _listed(_SELF / "task")
        for pid in _read(task / "children").split()
    }


def _running(inherited: Collection[int]) -> list[int]:
    """Return the pids of the running child processes that were not inherited."""
    running = []
    for pid in sorted(children().difference(inherited)):
        with contextlib.suppress(OSError):
            if stat_fields(pid)[0] not in "ZX":  # a zombie has ended
                running.append(pid)
    return running


def end_children(inherited: Collection[int] = (), seconds: float = 1.0) -> None:
    """
    Terminate the child processes of the application and wait for them.

    They would stay children of the program that replaces this process, which does not
    know about them.

    Args:
        inherited: Children that do not belong to the application, and are left alone.
        seconds: The time after which the others are killed.
    """
    _release_resource_tracker()
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


def _handled_signals() -> list[str]:
    """
    Return the names of the signals for which a handler is installed.

    The server installs its own handlers in each worker before it loads the
    application there, and would replace one that was installed before.
    """
    for line in _read(_SELF / "status").splitlines():
        name, _, value = line.partition(":")
        if name == "SigCgt":
            caught = int(value, 16)
            return [
                signum.name
                for signum in signal.Signals
                if signum.name not in _PYTHONS_SIGNALS and caught >> (signum - 1) & 1
            ]
    return []


def _has_timer() -> bool:
    """Tell whether a timer is running; a fork does not copy it."""
    timers = (signal.ITIMER_REAL, signal.ITIMER_VIRTUAL, signal.ITIMER_PROF)
    return any(signal.getitimer(timer)[0] for timer in timers)


def _has_semaphore() -> bool:
    """
    Tell whether a semaphore in shared memory is open, which workers would share.

    A worker that is killed while it holds one blocks all others. It has no descriptor;
    the kernel lists it among the mapped memory.
    """
    return "/dev/shm/sem." in _read(_SELF / "maps")  # noqa: S108


def _listed(directory: Path) -> list[Path]:
    return sorted(directory.iterdir()) if directory.is_dir() else []


def _read(file: Path) -> str:
    try:
        return file.read_text(errors="replace").strip()
    except OSError:
        return ""  # ended by now


def restore_signals_in_children() -> None:
    """
    Let a stop signal end a forked worker that has not set its own handlers yet.

    It inherits the parent's handlers, which record the signal for the parent's loop.
    With the native command, a stop at that moment is lost and the worker stays.
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
