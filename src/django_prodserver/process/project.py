"""What another Python needs to find the project of this one."""

from __future__ import annotations

import os
import sys

from django.conf import settings


def environment() -> dict[str, str]:
    """Return the variables with which another Python finds the project."""
    # Everything before the standard library on sys.path was put there: the
    # directory of manage.py, the working directory, PYTHONPATH, --pythonpath.
    standard = os.path.dirname(os.__file__)  # noqa: PTH120  # as sys.path has it
    ahead = sys.path[: sys.path.index(standard)] if standard in sys.path else []
    scripts = os.path.dirname(sys.executable)  # noqa: PTH120
    directories = dict.fromkeys(
        os.path.abspath(directory)  # noqa: PTH100
        for directory in ahead
        if not directory.endswith(".zip") and directory != scripts
    )
    found = {}
    if directories:
        found["PYTHONPATH"] = os.pathsep.join(directories)
    if settings.SETTINGS_MODULE:
        found["DJANGO_SETTINGS_MODULE"] = settings.SETTINGS_MODULE
    return found
