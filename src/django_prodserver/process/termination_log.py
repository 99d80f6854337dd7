"""The termination log, from which Kubernetes reads why a container exited."""

from __future__ import annotations

import contextlib
import os
import sys
from typing import NoReturn

from django_prodserver.exceptions import ProdserverError

PATH = "/dev/termination-log"


def write(message: str) -> None:
    """Write the reason to ``/dev/termination-log``, if the file exists."""
    # Never create it: outside Kubernetes, a file does not belong in /dev.
    with contextlib.suppress(OSError):
        file = os.open(PATH, os.O_WRONLY | os.O_TRUNC)
        try:
            os.write(file, f"{message}\n".encode(errors="backslashreplace"))
        finally:
            os.close(file)


def exit_with(error: ProdserverError) -> NoReturn:
    """Exit, and write the reason to the log and the termination log."""
    # Imported here, because it is slow and most starts do not fail.
    from django_prodserver.logs import config

    if not config.log_fatal(str(error)):
        print(f"prodserver: {error}", file=sys.stderr)
    write(f"prodserver: {error}")
    sys.exit(error.returncode)
