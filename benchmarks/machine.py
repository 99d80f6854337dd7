"""What was measured on, and what is measured everywhere."""

from __future__ import annotations

import importlib.metadata
import os
import platform
from typing import Any

BACKENDS = "django_prodserver.backends"


def machine() -> dict[str, Any]:
    """Return the versions and the size of the machine, for the results."""
    packages = ("django", "gunicorn", "granian", "uvicorn", "waitress")
    return {
        "python": platform.python_version(),
        "system": platform.platform(),
        "cores": os.cpu_count(),
        "packages": {name: importlib.metadata.version(name) for name in packages},
    }
