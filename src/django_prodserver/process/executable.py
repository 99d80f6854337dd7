"""Where the console scripts are that belong to this interpreter."""

from __future__ import annotations

import os
import sys
from importlib import metadata
from pathlib import Path

from django_prodserver.exceptions import ConfigurationError, Fault


def find(name: str) -> str:
    """
    Return the path of a console script of this interpreter's environment.

    The script and not ``python -m``: ``python -m gunicorn`` breaks its SIGUSR2
    upgrade and ``python -m celery`` its SIGHUP restart, both of which start
    ``sys.argv`` again.

    Raises:
        ConfigurationError: There is no such script.
    """
    beside = Path(sys.executable).parent / name
    if os.access(beside, os.X_OK):
        return str(beside)
    # Elsewhere for packages of the system or the user: ask who installed it.
    for entry in metadata.entry_points(group="console_scripts", name=name):
        for file in (entry.dist.files if entry.dist else None) or ():
            path = Path(str(file.locate())).resolve()
            if file.name == name and os.access(path, os.X_OK):
                return str(path)
    message = f"The command {name} is missing beside {sys.executable}."
    hint = f"Install the package that brings {name} for that Python."
    raise ConfigurationError(Fault.NOT_INSTALLED, message, hint)
