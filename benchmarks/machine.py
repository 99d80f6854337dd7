"""What was measured on, and what is measured everywhere."""

from __future__ import annotations

import importlib.metadata
import os
import platform
from typing import Any

BACKENDS = "django_prodserver.backends"
#: Runs a command, and prints its exit code and what it used. In a process as small as
#: can be: what it is made of counts in its child's memory.
MEASURE = """
import os, sys, time
began = time.monotonic()
if not (child := os.fork()):
    os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
    os.execvp(sys.argv[1], sys.argv[1:])
_, status, used = os.wait4(child, 0)
wall = time.monotonic() - began
cpu = used.ru_utime + used.ru_stime
print(os.waitstatus_to_exitcode(status), cpu, wall, used.ru_maxrss)
"""


def machine() -> dict[str, Any]:
    """Return the versions and the size of the machine, for the results."""
    packages = ("django", "gunicorn", "granian", "uvicorn", "waitress")
    return {
        "python": platform.python_version(),
        "system": platform.platform(),
        "cores": os.cpu_count(),
        "packages": {name: importlib.metadata.version(name) for name in packages},
    }
