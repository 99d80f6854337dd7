"""Options that a server reads from its environment or configuration file."""

from __future__ import annotations

import functools
import os
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

from django.apps import apps

#: The most seconds that reading a configuration file may take.
TIMEOUT = 10.0
_SCRIPT = Path(__file__).with_name("run_reader.py")
#: The end of a sentence about a change that comes too late.
SEEN = "which the applications should see while they load"


class Elsewhere(NamedTuple):
    """
    An option that is set in the server's environment or configuration file.

    Args:
        name: The option, ``--keep-alive``, or the variable, ``UVICORN_LOOP``.
        values: Its values, as a command line would have them: "" for a flag, several
            for a list, and none if it is set to nothing or turned off.
        origin: Where it is set, for example "gunicorn.conf.py".
        why: An explanation.
    """

    name: str
    values: tuple[str, ...]
    origin: str
    why: str = ""


@dataclass(frozen=True)
class Configuration:
    """
    A configuration file, as the server's own parser reads it.

    Attributes:
        source: The file, as the user names it.
        settings: What is set there, by the server's name of the setting.
        hooks: The functions that the file defines for the server to call.
        environment: The variables that it changes; None for those that it removes.
        path: The directories that it adds to ``sys.path``.
        umask: The umask that it sets; "" if it sets none.
        patched_by: "gevent" or "eventlet" if it has patched the standard library;
            "" if not.
    """

    source: str = ""
    settings: Mapping[str, Elsewhere] = field(default_factory=dict)
    hooks: tuple[str, ...] = ()
    environment: Mapping[str, str | None] = field(default_factory=dict)
    path: tuple[str, ...] = ()
    umask: str = ""
    patched_by: str = ""

    def obstacles(self, environment: Mapping[str, str]) -> Iterator[str]:
        """
        Yield the reasons why we cannot load the application before the server does.

        Args:
            environment: The variables with which the settings are imported.
        """
        if self.patched_by:
            yield patches_first(self.patched_by)
        for name, value in self.environment.items():
            if environment.get(name) != value:
                yield f"{self.source} sets {name}, {SEEN}"
        if self.umask:
            yield from late(f"{self.source} sets the umask")
        for path in self.path:
            if path not in sys.path:
                yield from late(f"{self.source} adds {path} to sys.path")


def patches_first(library: str) -> str:
    """Return why nothing may be imported before gevent, eventlet or the like."""
    return f"{library} patches the standard library before anything is imported"


def late(change: str) -> Iterator[str]:
    """
    Yield a change that the server makes, if it is too late for the applications.

    It is too late if Django is already set up, as by ``manage.py``. Otherwise the
    server makes it before it loads them, as with the native command.
    """
    if apps.ready:
        yield f"{change}, {SEEN}"


def read_configuration(
    reader: Path, words: Sequence[str], environment: Mapping[str, str]
) -> Configuration:
    """
    Return what a server reads from its configuration file.

    The server's own parser reads it in a separate process, because the file may be
    code that changes the process, prints or exits.

    Args:
        reader: Our file whose ``read()`` calls that parser (see ``run_reader.py``).
        words: The words of the command line that name the file.
        environment: The environment in which the server will run.

    Returns:
        The configuration. It is empty if the server is not installed, or if the file
        is broken or takes too long: the server reports that when it starts.
    """
    variables = frozenset(environment.items())
    directory = os.getcwd()  # noqa: PTH109
    report = _run_reader(str(reader), tuple(words), variables, directory)
    if not report:
        return Configuration()
    settings = {
        name: Elsewhere(name, tuple(values), origin)
        for name, values, origin in report["settings"]
    }
    return Configuration(
        source=report["source"],
        settings=settings,
        hooks=tuple(report["hooks"]),
        environment=report["environment"],
        path=tuple(report["path"]),
        umask=report["umask"],
        patched_by=report["patched_by"],
    )


# The same for each backend object of this process: "check" makes several.
@functools.lru_cache(maxsize=32)
def _run_reader(
    reader: str,
    words: tuple[str, ...],
    environment: frozenset[tuple[str, str]],
    directory: str,
) -> dict[str, Any]:
    # Imported here, because a start without such a file does not need them.
    import json
    import subprocess

    try:
        done = subprocess.run(
            # -P keeps the directory of the script off the path.
            [sys.executable, "-P", str(_SCRIPT), reader, *words],
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
