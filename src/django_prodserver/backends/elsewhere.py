"""Options that a server reads from elsewhere than its command line."""

from __future__ import annotations

import functools
import os
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

#: Seconds that a configuration file may take.
TIMEOUT = 10.0


class Elsewhere(NamedTuple):
    """
    An option that is set in the server's environment or configuration file.

    Args:
        name: Its name as it is written there: ``keepalive`` or ``UVICORN_LOOP``.
        values: Its values, as a command line would have them: "" for a flag, several
            for a list, and none if it is set to nothing or turned off.
        origin: Where it is written: "gunicorn.conf.py", for example.
        why: What to say about it.
    """

    name: str
    values: tuple[str, ...]
    origin: str
    why: str = ""


def read_configuration(
    script: Path, words: Sequence[str], environment: Mapping[str, str]
) -> dict[str, Any]:
    """
    Return what one of our scripts reports about a server's configuration.

    The script runs the server's own parser, and with it the user's file. In a process
    of its own, because the file may change the process, print, or exit.

    Returns:
        What the script has written to its standard output as JSON. It is empty if the
        server is not installed, or if the file is broken or takes too long: the server
        itself reports that when it starts.
    """
    variables = frozenset(environment.items())
    return _run_script(str(script), tuple(words), variables, os.getcwd())  # noqa: PTH109


# The same for each backend object of this process: "check" makes several.
@functools.lru_cache(maxsize=32)
def _run_script(
    script: str,
    words: tuple[str, ...],
    environment: frozenset[tuple[str, str]],
    directory: str,
) -> dict[str, Any]:
    # Imported here: a start without such a file does not need them.
    import json
    import subprocess

    try:
        done = subprocess.run(
            # -P: the directory of the script is nothing to import from.
            [sys.executable, "-P", script, *words],
            env=dict(environment),
            cwd=directory,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            timeout=TIMEOUT,
            check=False,
        )
        report = json.loads(done.stdout)
    except (OSError, ValueError, subprocess.TimeoutExpired):
        return {}
    return report if isinstance(report, dict) else {}
