"""An app that makes something, while it is set up, that a fork would break."""

import atexit
import ctypes
import multiprocessing
import os
import subprocess
import sys
import threading
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import Any

from django.apps import AppConfig
from django.conf import settings

made: list[Any] = []


class UnforkableConfig(AppConfig):
    name = "proj.unforkable"
    label = "unforkable"
    path = str(Path(__file__).parent)

    def ready(self) -> None:
        make = {
            "native thread": _native_thread,
            "process": _process,
            "pool": _pool,
            "lock": lambda: multiprocessing.get_context("fork").Lock(),
            "leader": _leader,
        }[settings.MADE]
        made.append(make())


def _native_thread() -> object:
    """Start a thread as a library in C or Rust does: Python does not know it."""
    libc = ctypes.CDLL(None)
    thread = ctypes.c_ulong()
    libc.pthread_create(ctypes.byref(thread), None, libc.pause, None)
    return thread


def _process() -> object:
    """Start a helper that ends when its standard input does."""
    return subprocess.Popen(
        [sys.executable, "-c", "import sys; sys.stdin.read()"], stdin=subprocess.PIPE
    )


def _pool() -> object:
    pool = ProcessPoolExecutor(1, multiprocessing.get_context("fork"))
    assert pool.submit(abs, -1).result() == 1
    return pool


def _leader() -> object:
    """Elect the process that makes a file, and end the election as it exits."""
    lock = settings.DATA / "leader.lock"
    try:
        lock.touch(exist_ok=False)
    except FileExistsError:
        return None
    (settings.DATA / "leaders").open("a").write(f"{os.getpid()}\n")
    atexit.register(lock.unlink)
    threading.Thread(target=threading.Event().wait, name="leader", daemon=True).start()
    return lock
