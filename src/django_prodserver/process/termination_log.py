"""Why a container ended, where Kubernetes looks for it."""

from __future__ import annotations

import contextlib
import os

PATH = "/dev/termination-log"


def write(message: str) -> None:
    """Write the reason to ``/dev/termination-log``, where there is one."""
    # It is never made: anywhere else, that is a folder of devices.
    with contextlib.suppress(OSError):
        file = os.open(PATH, os.O_WRONLY | os.O_TRUNC)
        try:
            os.write(file, f"{message}\n".encode(errors="backslashreplace"))
        finally:
            os.close(file)
