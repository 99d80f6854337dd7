"""The termination log: where Kubernetes reads why a container exited."""

from __future__ import annotations

import contextlib
import os

PATH = "/dev/termination-log"


def write(message: str) -> None:
    """Write the reason to ``/dev/termination-log``, if the file exists."""
    # Never created: outside Kubernetes, /dev is no place for a file.
    with contextlib.suppress(OSError):
        file = os.open(PATH, os.O_WRONLY | os.O_TRUNC)
        try:
            os.write(file, f"{message}\n".encode(errors="backslashreplace"))
        finally:
            os.close(file)
