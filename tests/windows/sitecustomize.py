"""
Hide from our package what Python lacks on Windows, in a real process on Linux.

Python imports this module as it starts, where its directory is on ``PYTHONPATH``. Our
modules then find another ``sys.platform`` and neither the modules, functions, constants
and signals in ``HIDDEN`` nor the files in ``FILES``. Django and the servers find Linux:
their own code for Windows is theirs to test.

``UNHIDE`` names what stays, such as "os.fork", so that a test can tell that hiding it
makes a difference.
"""

# ruff: noqa: SIM905  # lists of many words

import builtins
import errno
import io
import os
import signal
import socket
import sys
import types
from typing import Any

HIDDEN = {
    "modules": "fcntl grp posix pwd readline resource syslog termios tty pty".split(),
    "os": """
        fork forkpty register_at_fork wait wait3 wait4 waitid WNOHANG
        geteuid getuid getegid getgid getgroups setuid setgid setsid getsid
        killpg getpgid setpgid setpgrp getpgrp nice uname getloadavg ttyname
        sched_getaffinity sched_setaffinity mkfifo
        chown fchown lchown fchmod pread pwrite writev readv sendfile openpty
        statvfs sysconf confstr posix_spawn spawnlp spawnvp initgroups ctermid
        O_NOFOLLOW O_NONBLOCK O_CLOEXEC O_DIRECTORY O_SYNC
    """.split(),
    "signal": """
        SIGALRM SIGBUS SIGCHLD SIGCONT SIGHUP SIGIO SIGKILL SIGPIPE SIGPROF SIGQUIT
        SIGSTOP SIGTRAP SIGTSTP SIGTTIN SIGTTOU SIGURG SIGUSR1 SIGUSR2 SIGVTALRM
        SIGWINCH SIG_BLOCK SIG_UNBLOCK SIG_SETMASK ITIMER_REAL ITIMER_VIRTUAL
        ITIMER_PROF alarm getitimer setitimer pause pthread_kill pthread_sigmask
        sigpending sigwait sigwaitinfo sigtimedwait siginterrupt
    """.split(),
    "socket": "AF_UNIX SO_REUSEPORT send_fds recv_fds".split(),
    "files": "/proc /dev/shm /run /sys".split(),
}
#: What is there, with another value.
REPLACED = {
    ("sys", "platform"): "win32",
    ("os", "name"): "nt",
    # A terminal's Ctrl-Break; a test sends this signal.
    ("signal", "SIGBREAK"): signal.SIGUSR2,
}
_OURS = ("django_prodserver.", "prodserver_conformance.")


def _is_ours(frame: types.FrameType) -> bool:
    name = f"{frame.f_globals.get('__name__')}."
    # The probe runs as a file.
    file = str(frame.f_globals.get("__file__"))
    return name.startswith(_OURS) or file.endswith(
        ("health/probe.py", "health/state.py")
    )


def _hide_attributes(module: types.ModuleType, hidden: set[str]) -> None:
    name = module.__name__

    class WindowsModule(types.ModuleType):
        def __getattribute__(self, attribute: str) -> Any:
            if (attribute in hidden or (name, attribute) in REPLACED) and _is_ours(
                sys._getframe(1)
            ):
                if (name, attribute) in REPLACED:
                    return REPLACED[name, attribute]
                message = f"module {name!r} has no attribute {attribute!r} on Windows"
                raise AttributeError(message)
            return super().__getattribute__(attribute)

    module.__class__ = WindowsModule


def _hide_modules(hidden: set[str]) -> None:
    original = builtins.__import__

    def import_module(name: str, *args: Any, **kwargs: Any) -> Any:
        if name in hidden and _is_ours(sys._getframe(1)):
            raise ModuleNotFoundError(f"No module named {name!r} on Windows", name=name)
        return original(name, *args, **kwargs)

    builtins.__import__ = import_module


def _hide_files(hidden: tuple[str, ...]) -> None:
    """From everybody: our code reads them with pathlib, too."""

    def hide(function: Any) -> Any:
        def call(path: Any = ".", *args: Any, **kwargs: Any) -> Any:
            text = "" if isinstance(path, int) else os.fsdecode(path)
            if text.startswith(hidden):
                raise FileNotFoundError(errno.ENOENT, "not on Windows", text)
            return function(path, *args, **kwargs)

        return call

    for name in ("open", "stat", "lstat", "listdir", "scandir", "mkdir", "readlink"):
        setattr(os, name, hide(getattr(os, name)))
    io.open = builtins.open = hide(io.open)


def _add_windows_api() -> None:
    """Add the calls of Windows that we use, made of what is here."""
    module: Any = types.ModuleType("_winapi")
    module.SYNCHRONIZE = 0x100000
    kill, open_file = os.kill, io.open

    def open_process(access: int, inherit: bool, pid: int) -> int:
        try:
            kill(pid, 0)
        except ProcessLookupError:
            raise OSError(errno.EINVAL, "The parameter is incorrect") from None
        return pid

    def wait_for_single_object(process: int, milliseconds: int) -> int:
        with open_file(f"/proc/{process}/stat") as file:
            return 0 if file.read().rpartition(")")[2].split()[0] in "ZX" else 258

    module.OpenProcess = open_process
    module.WaitForSingleObject = wait_for_single_object
    module.CloseHandle = lambda process: None
    sys.modules["_winapi"] = module

    import fcntl

    def locking(file: int, mode: int, size: int) -> None:
        fcntl.lockf(file, fcntl.LOCK_EX | fcntl.LOCK_NB, size)

    locks: Any = types.ModuleType("msvcrt")
    locks.LK_NBLCK = 2
    locks.locking = locking
    sys.modules["msvcrt"] = locks


def _refuse_signals() -> None:
    """Windows knows few signals, and ends a process that gets another one's."""
    allowed = {"SIGABRT", "SIGFPE", "SIGILL", "SIGINT", "SIGSEGV", "SIGTERM"}
    original = signal.signal

    def install(signum: int, handler: Any) -> Any:
        named = signal.Signals(signum).name
        is_known = named in allowed or signum == REPLACED["signal", "SIGBREAK"]
        if not is_known and _is_ours(sys._getframe(1)):
            raise ValueError("invalid signal value")
        return original(signum, handler)

    signal.signal = install  # type: ignore[assignment]


def _hide() -> None:
    unhide = set(os.environ.get("UNHIDE", "").split())
    # What these import of the operating system, they need on Linux.
    import asyncio
    import multiprocessing.util
    import selectors
    import subprocess
    import tempfile
    import threading

    del asyncio, multiprocessing, selectors, subprocess, tempfile, threading
    _add_windows_api()
    _refuse_signals()
    for module in (os, signal, socket):
        named = {
            name
            for name in HIDDEN[module.__name__]
            if f"{module.__name__}.{name}" not in unhide
        }
        _hide_attributes(module, named)
    _hide_attributes(sys, set())
    _hide_modules(set(HIDDEN["modules"]) - unhide)
    if "files" not in unhide:
        _hide_files(tuple(HIDDEN["files"]))


_hide()
