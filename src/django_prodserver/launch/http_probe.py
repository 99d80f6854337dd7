"""Start the HTTP server of the probe if ``PRODSERVER_PROBE_PORT`` is set."""

from __future__ import annotations

import dataclasses
import logging
import os
import sys
from pathlib import Path

import django_prodserver
from django_prodserver.config.context import Context
from django_prodserver.config.environment import PROBE_PORT
from django_prodserver.exceptions import ConfigurationError, Fault
from django_prodserver.logs.config import log
from django_prodserver.process import fork_safety
from django_prodserver.process.fork_safety import Snapshot
from django_prodserver.text import safe_repr

_SERVER = Path(django_prodserver.__file__).parent / "health" / "probe_server.py"


def start(before: Snapshot) -> Snapshot:
    """
    Start the HTTP server of the probe if the environment has a port for it.

    Returns:
        The snapshot, with the server as one of our children.

    Raises:
        ConfigurationError: It cannot listen on that port.
    """
    text = os.environ.get(PROBE_PORT, "")
    context = Context.from_environment()
    if not text or not context or not context.state_file:
        return before
    if not (text.isascii() and text.isdecimal() and 0 < int(text) < 65536):
        message = f"{PROBE_PORT} is {safe_repr(text)} in the environment."
        hint = f"Set {PROBE_PORT} to a port, such as 8081, or unset it."
        raise ConfigurationError(Fault.BAD_VARIABLE, message, hint)
    if sys.platform == "win32":
        log(f"{PROBE_PORT} has no effect on Windows", logging.WARNING)
        return before
    _run(context.state_file, text)
    # As PID 1, this process also becomes the parent of orphaned processes.
    new = fork_safety.children() - before.children
    servers = {pid for pid in new if _is_server(pid)}
    return dataclasses.replace(before, children=before.children | servers)


def _run(state_file: str, port: str) -> None:
    # Imported here, because a start without this port does not need it.
    import subprocess

    # Without site-packages, like the probe, to save a few MiB and milliseconds.
    command = [sys.executable, "-I", "-S", str(_SERVER), state_file, port]
    done = subprocess.run(
        command, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False
    )
    if done.returncode:
        reason = done.stderr.strip().rpartition("\n")[2]
        message = (
            f"{PROBE_PORT} is {port}, but the probe cannot listen there: {reason}."
        )
        hint = f"Set {PROBE_PORT} to a free port, a different one for each process."
        raise ConfigurationError(Fault.BAD_VARIABLE, message, hint)


def _is_server(pid: int) -> bool:
    try:
        return str(_SERVER).encode() in Path(f"/proc/{pid}/cmdline").read_bytes()
    except OSError:
        return False
