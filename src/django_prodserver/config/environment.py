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
        default: The value that is used if it is not set.
    """

    meaning: str
    default: str


#: The port of the probe over HTTP.
PROBE_PORT = "PRODSERVER_PROBE_PORT"

#: Without those that the launcher sets for its process, which start with "_".
VARIABLES = {
    "PROCESS_NAME": Variable(
        "The process to start if the command line names none.",
        '"web", or the only one',
    ),
    "PORT": Variable(
        "The port if BIND is not set. Setting it also changes the host to 0.0.0.0.",
        DEFAULT_PORT,
    ),
    "PRODSERVER_HOST": Variable(
        "The host if BIND is not set.", f"{DEFAULT_HOST}; 0.0.0.0 in the image"
    ),
    "WEB_CONCURRENCY": Variable('The default of WORKERS: a number, or "auto".', "1"),
    "DRAIN_DELAY": Variable(
        "Seconds that the image keeps serving after SIGTERM, while not ready.", "0"
    ),
    "PRODSERVER_LOG_FORMAT": Variable(
        "The default of LOG_FORMAT; also the format of the image's entrypoint.",
        str(KEYS["LOG_FORMAT"].default),
    ),
    "PRODSERVER_WAIT_TIMEOUT": Variable(
        "Seconds to wait for WAIT_FOR and for a release's lock. 0 tries once.",
        f"{DEFAULT_TIMEOUT:g}",
    ),
    "PRODSERVER_RUNTIME_DIR": Variable(
        "The directory of the files that the probe reads.",
        "/run/prodserver, or a directory of the user in /dev/shm, TMPDIR or /tmp; on "
        "Windows in TEMP",
    ),
    PROBE_PORT: Variable(
        "A port that serves the probe over HTTP, as /live and /ready.",
        "none",
    ),
    "PRODSERVER_MANAGE": Variable(
        "The command that prodserver runs instead of itself: the project's manage.py, "
        "or its replacement.",
        "manage in [tool.prodserver] of pyproject.toml",
    ),
    "DJANGO_SETTINGS_MODULE": Variable(
        "The settings module, for commands other than manage.py.", "none"
    ),
    "DJANGO_CONFIGURATION": Variable(
        "The settings class, in a project that uses django-configurations.",
        "none",
    ),
}
