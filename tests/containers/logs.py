"""What in a log is a problem, in the forms of the servers and workers under test."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

_LEVEL = r"(WARNING|WARN|ERROR|CRITICAL|FATAL)"
_PROBLEM = re.compile(
    # "[2026-11-25 22:06:16 +0000] [7] [WARNING] ...", "[... WARNING/MainProcess]",
    # "WARNING:  ...", "22:06:16 [Q] ERROR ...", '"level": "error"', and our own. Not
    # the loggers "gunicorn.error" and "uvicorn.error", which say everything.
    rf"((?<!\.)\b{_LEVEL}\b|\"level\": ?\"(warning|error|critical)\""
    r"|^Traceback|\w+Warning: )",
    re.IGNORECASE,
)
ALLOWED = (
    # The project under test says so, to be seen: at this level without LOGGING.
    r"slow (began|ended)",
    # What db_worker says of a stop, natively too.
    r"Received \w+ - shutting down gracefully",
    # granian's own default is as many threads as it has waiting connections.
    r"Configuration allows spawning up to \d+ Python threads",
)


def problems(log: str, allowed: Sequence[str] = ()) -> list[str]:
    """
    Return the lines that are a warning, an error or a traceback's begin.

    Args:
        log: All of the log.
        allowed: Regular expressions for lines that are none.
    """
    return list(_problems(log, [*ALLOWED, *allowed]))


def _problems(log: str, allowed: Sequence[str]) -> Iterator[str]:
    for line in log.splitlines():
        if not _PROBLEM.search(line):
            continue
        if not any(re.search(pattern, line) for pattern in allowed):
            yield line
