"""Fork Uvicorn's workers, and give each the state of a new interpreter."""

from __future__ import annotations

import multiprocessing
import os
import signal
import sys
from typing import Any

import uvicorn._subprocess
from uvicorn.supervisors.multiprocess import SIGNALS

from django_prodserver.process.fork_safety import restore_signals_in_children


def fork_workers() -> bool:
    """
    Fork the workers from this process; return False if this Uvicorn cannot.

    On its own, uvicorn starts each worker as a new interpreter, which imports
    everything again.
    """
    subprocess: Any = uvicorn._subprocess
    if not hasattr(subprocess, "spawn"):
        return False
    # Patches uvicorn, checked with 0.54: https://github.com/Kludex/uvicorn/pull/3031
    subprocess.spawn = multiprocessing.get_context("fork")
    restore_signals_in_children()
    native = subprocess.subprocess_started

    def start_worker(*args: Any, **kwargs: Any) -> None:
        _forget_the_supervisor()
        native(*args, **kwargs)

    subprocess.subprocess_started = start_worker
    return True


def make_path_absolute() -> None:
    """Replace the "" that uvicorn puts on sys.path, as multiprocessing does it."""
    sys.path[:] = [each or os.getcwd() for each in sys.path]  # noqa: PTH109


def _forget_the_supervisor() -> None:
    """Undo in a worker what it inherited through the fork."""
    for signum in SIGNALS:
        signal.signal(signum, signal.SIG_DFL)
    # An application that starts processes must not fork a worker with threads.
    multiprocessing.set_start_method("spawn", force=True)
