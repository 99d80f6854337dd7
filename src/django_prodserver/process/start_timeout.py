"""``START_TIMEOUT``: exit if loading the application takes too long."""

from __future__ import annotations

import contextlib
import os
import sys
import threading
import traceback
from collections.abc import Iterator

from django_prodserver.exceptions import UnavailableError
from django_prodserver.process import termination_log


@contextlib.contextmanager
def limit(seconds: float | None) -> Iterator[None]:
    """
    Exit with 69 if the block takes longer, and write its traceback to standard error.

    It needs a thread, because hanging code may never run Python's signal handlers. The
    thread has ended when the block exits, so the process can be forked.

    Args:
        seconds: The limit; None for none.
    """
    if not seconds:
        yield
        return
    is_finished = threading.Event()
    loading = threading.get_ident()

    def watch() -> None:
        if not is_finished.wait(seconds):
            _exit(seconds, loading)

    watcher = threading.Thread(target=watch, name="START_TIMEOUT", daemon=True)
    watcher.start()
    try:
        yield
    finally:
        is_finished.set()
        watcher.join()


def _exit(seconds: float, loading: int) -> None:
    # Imported here, because it is slow and most starts have no limit.
    from django_prodserver.logs import config

    frame = sys._current_frames().get(loading)
    stack = "".join(traceback.format_stack(frame)) if frame else ""
    error = UnavailableError(
        f"The application did not load within {seconds:g} s (START_TIMEOUT).",
        "The last line of the traceback below shows where it hangs.",
    )
    if not config.log_fatal(str(error)):
        print(f"prodserver: {error}", file=sys.stderr)
    print(stack, file=sys.stderr, flush=True)
    termination_log.write(f"prodserver: {error.message}")
    os._exit(error.returncode)
