"""All environment variables that django-prodserver reads, for the documentation."""

from __future__ import annotations

from typing import NamedTuple

from django_prodserver.config.bind import DEFAULT_HOST, DEFAULT_PORT
from django_prodserver.config.keys import KEYS
from django_prodserver.config.wait_for import DEFAULT_TIMEOUT


class Variable(NamedTuple):
    """
    An environment variable.

    Args:
        meaning: What it sets, in one line.
        default: What applies if it is not set.
    """

    meaning: str
    default: str


#: The port of the probe over HTTP.
PROBE_PORT = "PRODSERVER_PROBE_PORT"

#: Without those that the launcher sets for its process, which start with "_".
VARIABLES = {
    "PROCESS_NAME": Variable(
        "The process, where the command line names none.",
        '"web", or the only one',
    ),
    "PORT": Variable(
        "The port of a default address. Where it is set, the host is 0.0.0.0.",
        DEFAULT_PORT,
    ),
    "PRODSERVER_HOST": Variable(
        "The host of a default address.", f"{DEFAULT_HOST}; 0.0.0.0 in the image"
    ),
    "WEB_CONCURRENCY": Variable(
        'WORKERS, where the key is not written: a number, or "auto".', "1"
    ),
    "DRAIN_DELAY": Variable(
        "Seconds that the image's entrypoint serves on after SIGTERM, not ready.", "0"
    ),
    "PRODSERVER_LOG_FORMAT": Variable(
        "LOG_FORMAT, where the key is not written; also of the image's entrypoint.",
        str(KEYS["LOG_FORMAT"].default),
    ),
    "PRODSERVER_WAIT_TIMEOUT": Variable(
        "Seconds that WAIT_FOR, and a release for its lock, may wait. 0 looks once.",
        f"{DEFAULT_TIMEOUT:g}",
    ),
    "PRODSERVER_RUNTIME_DIR": Variable(
        "The folder of the files that the probe reads.",
        "/run/prodserver, else a folder of the user in /dev/shm, TMPDIR or /tmp; on "
        "Windows in TEMP",
    ),
    PROBE_PORT: Variable(
        "A port where /live and /ready answer for the process, as the probe does.",
        "none: nothing listens",
    ),
    "PRODSERVER_MANAGE": Variable(
        "What prodserver runs instead of itself: the project's manage.py, or another "
        "command that runs Django's.",
        "manage in [tool.prodserver] of pyproject.toml",
    ),
    "DJANGO_SETTINGS_MODULE": Variable(
        "The settings, for commands that are not manage.py.", "none"
    ),
    "DJANGO_CONFIGURATION": Variable(
        "The class of the settings, in a project that uses django-configurations.",
        "none",
    ),
}
