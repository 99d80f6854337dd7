"""The command line's options."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Mapping, Sequence
from pathlib import Path

from django_prodserver.exceptions import UsageError


@dataclasses.dataclass
class Options:
    """
    The options of one run.

    Args:
        image: The image's name.
        env: Variables for its containers.
        processes: The names of the processes to check.
        configured: The names of all processes of the image.
        only: The checks to run; all if empty.
        before: Processes to run to completion first, such as the release.
        volumes: ``/path`` for a new volume, or ``source:/path[:ro]``.
        network: The engine's network to join.
        timeout: Seconds for a process to be healthy, and for a command to end.
        grace: Seconds for a process to stop.
        host: The Host header of requests.
        slow_path: A page that takes seconds to answer; none if empty.
        max_size: The image's largest allowed size in MiB; any if 0.
        strict: Whether a skipped check counts as failed.
    """

    image: str
    env: Mapping[str, str] = dataclasses.field(default_factory=dict)
    processes: Sequence[str] = ()
    configured: Sequence[str] = ()
    only: Sequence[str] = ()
    before: Sequence[str] = ()
    volumes: Sequence[str] = ()
    network: str = ""
    timeout: float = 60
    grace: float = 30
    host: str = "localhost"
    slow_path: str = ""
    max_size: float = 0
    strict: bool = False


def read_env(pairs: Sequence[str], file: str) -> dict[str, str]:
    """
    Return the variables of ``--env`` and ``--env-file``; ``--env`` wins.

    Raises:
        UsageError: One is not ``NAME=value``, or the file cannot be read.
    """
    variables: dict[str, str] = {}
    lines: list[tuple[str, str]] = []
    if file:
        try:
            text = Path(file).read_text()
        except (OSError, UnicodeDecodeError) as error:
            raise UsageError(f"--env-file {file} cannot be read: {error}") from None
        numbered = enumerate(text.splitlines(), 1)
        lines = [
            (line.strip(), f"line {number} of {file}")
            for number, line in numbered
            if line.strip() and not line.lstrip().startswith("#")
        ]
    for pair, where in [*lines, *((pair, "--env") for pair in pairs)]:
        name, equals, value = pair.partition("=")
        # The message must not show the line, which may contain a secret.
        if not name or not name.isprintable() or " " in name:
            raise UsageError(f"{where} is not NAME=value.")
        if not equals and name not in os.environ:
            message = f"{where} {name}: it is not set here."
            raise UsageError(message, "NAME=value, or NAME for its value here.")
        variables[name] = value if equals else os.environ[name]
    return variables
