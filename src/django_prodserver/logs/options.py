"""How a process logs, handed on to the native command in one variable."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

#: ``FORMAT,LEVEL,ACCESS,COMMAND,NAME``: set by the launcher, printed by --dry-run.
VARIABLE = "_PRODSERVER_LOGS"
#: The variable that says the form where LOG_FORMAT does not.
FORMAT = "PRODSERVER_LOG_FORMAT"
#: The last one leaves the server's own logging as it is.
NATIVE = "native"
FORMATS = ("text", "json", NATIVE)
LEVELS = ("debug", "info", "warning", "error", "critical")
ON, OFF = "on", "off"


class Options(NamedTuple):
    """
    How a process logs.

    Args:
        format: One of ``FORMATS``.
        level: One of ``LEVELS``: the least of what is logged.
        access: Whether each request is a line: "on", "off", or the logger that the
            server has for it, which is enough where LOGGING has handlers for that.
        command: The native command that it is for, its sub-command behind it.
        process: The name in ``PRODUCTION_PROCESSES``.
    """

    format: str = "text"
    level: str = "info"
    access: str = ON
    command: str = ""
    process: str = ""

    def encoded(self) -> str:
        return ",".join(self)

    def is_for(self, argv: Sequence[str]) -> bool:
        """
        Tell whether a command line is that of the process itself.

        What a task or a hook runs inherits the variable, and its standard output
        may be somebody's data.
        """
        script, *words = self.command.split()
        return bool(argv) and (
            Path(argv[0]).name == script and all(word in argv for word in words)
        )


def from_environment() -> Options | None:
    """Return what the launcher has set, or None where it was not this launcher."""
    found = os.environ.get(VARIABLE, "").split(",", 4)
    if len(found) != 5 or found[0] not in FORMATS or found[1] not in LEVELS:
        return None
    return Options(*found)


def for_this_process() -> Options | None:
    """Return how this process is to log, or None where it is another command."""
    found = from_environment()
    return found if found and found.command and found.is_for(sys.argv) else None
