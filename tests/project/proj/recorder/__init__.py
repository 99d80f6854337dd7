"""
Record what an application can see of its process, at each moment of a start.

The modules of this package are the settings, an app, the applications and the URLconf
of a project, and each records its own moment. ``tests/equality`` starts the project
natively and with ``prodserver``, and compares what was recorded.
"""

from __future__ import annotations

import collections
import contextlib
import fcntl
import gc
import json
import locale
import logging
import multiprocessing
import os
import random
import resource
import signal
import socket
import stat
import sys
import threading
import time
import uuid
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

#: Variables that have another value in each start: those of RQ.
RANDOM = ("RQ_JOB_ID", "RQ_WORKER_ID")
#: What was seen in this process, by moment. Forked workers inherit it.
RECORDS: dict[str, dict[str, Any]] = {}
#: The loggers whose configuration is recorded, by the beginning of their names.
LOGGERS = (
    *("django", "py.warnings", "proj", "asyncio", "concurrent"),
    *("gunicorn", "uvicorn", "_granian", "granian", "hypercorn", "waitress"),
    *("celery", "django-q", "rq"),
)


def record(moment: str) -> None:
    """Record what this process looks like, unless the moment has been recorded."""
    if moment not in RECORDS:
        # Listed before anything is opened.
        descriptors = dict(_count("descriptors", _descriptors()))
        RECORDS[moment] = {**dict(_facts()), **descriptors}


def records() -> dict[str, dict[str, Any]]:
    """Return the records of this process, including its first request or task."""
    record("request")
    return {**RECORDS, "process": {"pid": os.getpid(), "parent": os.getppid()}}


def save(name: str) -> None:
    """Write the records into a file: a task has nobody to answer."""
    folder = Path(os.environ["TEST_DATA"]) / "records"
    folder.mkdir(exist_ok=True)
    draft = folder / f".{name}"
    draft.write_text(json.dumps(records()))
    draft.rename(folder / name)  # a test never reads half of it


def _facts() -> Iterator[tuple[str, Any]]:
    """Yield each fact with its name, such as "signals.SIGTERM"."""
    for variable, value in os.environ.items():
        yield f"environment.{variable}", "any" if variable in RANDOM else value
    yield "directory", os.getcwd()  # noqa: PTH109  # as an application asks
    yield "user", os.getresuid()
    yield "group", os.getresgid()
    yield "groups", sorted(os.getgroups())
    yield "umask", _status()["Umask"]
    yield "nice", os.nice(0)
    yield "argv", [Path(sys.argv[0]).name, *sys.argv[1:]]
    yield "main", _main()
    yield "path", sys.path[:]
    yield "flags", str(sys.flags)
    yield "locale", [locale.setlocale(locale.LC_ALL), sys.getfilesystemencoding()]
    yield "timezone", time.tzname
    for name in ("stdin", "stdout", "stderr"):
        yield f"streams.{name}", _stream(getattr(sys, name))
    yield from _signals()
    yield "timers", _timers()
    yield from _count("threads", _threads())
    yield "thread", "main" if _is_main_thread() else "another"
    yield from _count("children", _children())
    yield from _limits()
    yield from _logging()
    yield from _process()
    yield "garbage.enabled", gc.isenabled()
    yield "garbage.thresholds", gc.get_threshold()
    yield "garbage.frozen", gc.get_freeze_count() > 0
    yield "garbage.callbacks", [_name(callback) for callback in gc.callbacks]
    yield "multiprocessing", multiprocessing.get_start_method(allow_none=True)
    yield "hooks.except", _name(sys.excepthook)
    yield "hooks.unraisable", _name(sys.unraisablehook)
    yield "hooks.thread", _name(threading.excepthook)
    yield "hooks.trace", _name(sys.gettrace())
    yield "hooks.profile", _name(sys.getprofile())
    yield "warnings", [str(each[:3]) for each in warnings.filters]
    for function in (os.getpid, os.fork, os.urandom, random.Random.seed, uuid.uuid4):
        yield f"functions.{function.__name__}", _name(function)
    yield "interpreter.recursion", sys.getrecursionlimit()
    yield "interpreter.switch", sys.getswitchinterval()
    yield "interpreter.sockets", socket.getdefaulttimeout()


def _count(name: str, found: list[str]) -> Iterator[tuple[str, int]]:
    """Yield how many there are of each kind; only whether, where that is chance."""
    for kind, number in collections.Counter(found).items():
        is_chance = kind in ("AF_INET socket", "tokio-rt-worker")
        yield f"{name}.{kind}", 1 if is_chance else number


def _status() -> dict[str, str]:
    lines = Path("/proc/self/status").read_text().splitlines()
    return {name: value.strip() for name, _, value in (x.partition(":") for x in lines)}


def _main() -> list[str]:
    main = sys.modules["__main__"]
    spec = getattr(main, "__spec__", None)
    return [Path(getattr(main, "__file__", "")).name, spec.name if spec else ""]


def _stream(stream: Any) -> list[str]:
    attributes = ("encoding", "errors", "line_buffering")
    return [_name(type(stream)), *(str(getattr(stream, a, "")) for a in attributes)]


def _signals() -> Iterator[tuple[str, str]]:
    for found in signal.Signals:
        yield f"signals.{found.name}", _name(signal.getsignal(found))
    # What a library in C has set is only known to the kernel.
    masks = _status()
    for mask in ("SigBlk", "SigIgn", "SigCgt"):
        names = [
            found.name
            for found in signal.Signals
            if int(masks[mask], 16) >> (found - 1) & 1
        ]
        yield f"signals.{mask}", " ".join(names)


def _timers() -> list[bool]:
    timers = (signal.ITIMER_REAL, signal.ITIMER_VIRTUAL, signal.ITIMER_PROF)
    return [signal.getitimer(timer)[0] > 0 for timer in timers]


def _is_main_thread() -> bool:
    return threading.current_thread() is threading.main_thread()


def _threads() -> list[str]:
    """Return the names of the threads; a thread without one has the process's."""
    own = Path("/proc/self/comm").read_text().strip()
    found = []
    for task in Path("/proc/self/task").iterdir():
        with contextlib.suppress(OSError):  # ended by now
            name = (task / "comm").read_text().strip()
            found.append("unnamed" if name == own else name)
    return found


def _children() -> list[str]:
    found = []
    for task in Path("/proc/self/task").iterdir():
        with contextlib.suppress(OSError):
            for pid in (task / "children").read_text().split():
                found.append(Path("/proc", pid, "comm").read_text().strip())
    return found


def _descriptors() -> list[str]:
    found = []
    for entry in sorted(Path("/proc/self/fd").iterdir()):
        with contextlib.suppress(OSError):  # the one of this listing
            found.append(_describe_descriptor(int(entry.name), str(entry.readlink())))
    return found


def _describe_descriptor(number: int, target: str) -> str:
    mode = os.fstat(number).st_mode
    is_closed = fcntl.fcntl(number, fcntl.F_GETFD) & fcntl.FD_CLOEXEC
    if stat.S_ISSOCK(mode):
        target = _socket(number)
    elif stat.S_ISFIFO(mode):
        target = "pipe"
    elif target.endswith(" (deleted)"):
        folder = "a temporary folder" if "/pymp-" in target else Path(target).parent
        target = f"deleted file in {folder}"
    elif number in (1, 2) and stat.S_ISREG(mode):
        target = "log"
    standard = f"{number} " if number < 3 else ""
    return f"{standard}{target}{'' if is_closed else ', inheritable'}"


def _socket(number: int) -> str:
    with socket.socket(fileno=os.dup(number)) as found:
        listens = found.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN)
        return f"{found.family.name} {'listener' if listens else 'socket'}"


def _limits() -> Iterator[tuple[str, Any]]:
    for name in dir(resource):
        if name.startswith("RLIMIT_"):
            yield f"limits.{name}", resource.getrlimit(getattr(resource, name))


def _logging() -> Iterator[tuple[str, Any]]:
    """Yield how each logger is configured; one that is not is left out."""
    named = logging.root.manager.loggerDict
    loggers = [
        found
        for name, found in sorted(named.items())
        if isinstance(found, logging.Logger) and name.startswith(LOGGERS)
    ]
    for logger in (logging.root, *loggers):
        if logger.handlers or logger.level or logger.disabled or not logger.propagate:
            yield (
                f"logging.{logger.name}",
                [
                    logging.getLevelName(logger.level),
                    *(_handler(handler) for handler in logger.handlers),
                    *(_name(type(each)) for each in logger.filters),
                    *(() if logger.propagate else ("does not propagate",)),
                    *(("disabled",) if logger.disabled else ()),
                ],
            )
    yield "logging.class", _name(logging.getLoggerClass())
    yield "logging.disable", logging.root.manager.disable


def _handler(handler: logging.Handler) -> str:
    level = logging.getLevelName(handler.level)
    formatter = _name(type(handler.formatter)) if handler.formatter else "none"
    return f"{_name(type(handler))} {level} {formatter}"


def _process() -> Iterator[tuple[str, Any]]:
    command = Path("/proc/self/cmdline").read_bytes().decode().split("\0")
    yield "process.title", command[:-1]
    yield "process.name", Path("/proc/self/comm").read_text().strip()
    yield "process.executable", sys.executable
    yield "process.original argv", sys.orig_argv
    yield "process.leads session", os.getsid(0) == os.getpid()
    yield "process.leads group", os.getpgrp() == os.getpid()


def _name(found: Any) -> str:
    """Return the name of a function, a class, or what happens on a signal."""
    if found is None or isinstance(found, int):
        return str(getattr(found, "name", found))
    found = getattr(found, "func", found)  # of a functools.partial
    module = getattr(found, "__module__", "")
    return f"{module}.{getattr(found, '__qualname__', type(found).__qualname__)}"
