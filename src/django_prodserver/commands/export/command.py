"""``prodserver --export FORMAT``."""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from django_prodserver.commands.export import (
    compose,
    files,
    kamal,
    kubernetes,
    procfile,
    project,
    systemd,
)
from django_prodserver.commands.export.project import Project
from django_prodserver.exceptions import UsageError
from django_prodserver.text import did_you_mean, safe_repr


class Format(NamedTuple):
    """
    A format.

    Args:
        files: Returns the files of a project, by their paths.
        in_container: Whether the processes run in containers.
    """

    files: Callable[[Project], Mapping[str, str]]
    in_container: bool = True


FORMATS = {
    "compose": Format(compose.files),
    "kubernetes": Format(kubernetes.files),
    "systemd": Format(systemd.files, in_container=False),
    "procfile": Format(procfile.files, in_container=False),
    "kamal": Format(kamal.files),
}


def run(
    form: str,
    names: Sequence[str],
    write: Callable[[str], Any],
    output: Path | None = None,
    check: Path | None = None,
) -> int:
    """
    Export processes.

    Args:
        form: The format.
        names: The processes; all of them if there are none.
        write: What prints a result.
        output: The directory to write to; None prints the files.
        check: The directory to compare with.

    Returns:
        The exit code.

    Raises:
        ProdserverError: The user can put it right.
    """
    if form not in FORMATS:
        hint = f"{did_you_mean(form, FORMATS)} It can be {', '.join(FORMATS)}."
        message = f"There is no export format {safe_repr(form)}."
        raise UsageError(message, hint.strip())
    if output is not None and check is not None:
        raise UsageError("-o writes files and --check compares them.", "Use one.")
    found = project.read(names, in_container=FORMATS[form].in_container)
    made = dict(FORMATS[form].files(found))
    if FORMATS[form].in_container:
        _warn_of_loopback(found)
    if check is not None:
        return files.check(made, check, form, write)
    if output is not None:
        files.write(made, output, form)
    else:
        write(files.as_text(made))
    return 0


def _warn_of_loopback(found: Project) -> None:
    for process in found.processes:
        if process.is_local:
            print(
                f"prodserver: nothing outside its container can reach {process.name}, "
                f"which listens on {process.address}: remove BIND, or write "
                f'"BIND": "0.0.0.0:{process.port}"',
                file=sys.stderr,
            )
