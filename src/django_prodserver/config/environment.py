"""The environment's variables that are ours, or that we read: all of them."""

from __future__ import annotations

from typing import NamedTuple


class Variable(NamedTuple):
    """
    A variable of the environment.

    Args:
        meaning: What it says, in a line.
        default: What holds where it is not set.
    """

    meaning: str
    default: str


#: Those that are set for a process by its launcher begin with "_", and are not here.
VARIABLES = {
    "PROCESS_NAME": Variable(
        "The process, where the command line names none.",
        '"web", or the only one',
    ),
    "PORT": Variable(
        "The port of a default address. Where it is set, the host is 0.0.0.0.", "8000"
    ),
    "PRODSERVER_HOST": Variable(
        "The host of a default address.", "127.0.0.1; 0.0.0.0 in the image"
    ),
    "WEB_CONCURRENCY": Variable(
        'WORKERS, where the key is not written: a number, or "auto".', "1"
    ),
    "DRAIN_DELAY": Variable(
        "Seconds that the image's entrypoint serves on after SIGTERM, not ready.", "0"
    ),
    "PRODSERVER_LOG_FORMAT": Variable(
        "LOG_FORMAT, where the key is not written; also of the image's entrypoint.",
        "text",
    ),
    "PRODSERVER_WAIT_TIMEOUT": Variable(
        "Seconds that WAIT_FOR, and a release for its lock, may wait. 0 looks once.",
        "300",
    ),
    "PRODSERVER_RUNTIME_DIR": Variable(
        "The folder of the files that the probe reads.",
        "/run/prodserver, else a folder of the user in /dev/shm, TMPDIR or /tmp",
    ),
    "DJANGO_SETTINGS_MODULE": Variable(
        "The settings, for commands that are not manage.py.", "none"
    ),
}
