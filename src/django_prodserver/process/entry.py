"""The project's own entry: its ``manage.py``, or the command that takes its place."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from typing import Any

from django_prodserver.process.executable import Program


def find_entry(argv: Sequence[str]) -> Program | None:
    """
    Return what has started this process, without the management command.

    The project's other processes are started through it as well: it may read a
    ``.env`` file, change ``sys.path`` or set up django-configurations.

    Args:
        argv: What Django took the management command from: a name of the program,
            the management command and its arguments.

    Returns:
        None if Python was not started with that management command, but something in
        this process has called it.
    """
    arguments = list(argv[1:])
    words = restart_command()
    if not arguments or words[-len(arguments) :] != arguments:
        return None
    command = words[: -len(arguments)]
    script = command[-1] if _is_main_script(command[-1]) else ""
    return Program(tuple(command), script)


def restart_command() -> list[str]:
    """Return the words that start this process again."""
    words = [sys.executable, *sys.orig_argv[1:]]
    # A relative path is wrong once manage.py has changed the working directory.
    if sys.argv[0] in words[1:] and not _is_main_script(sys.argv[0]):
        words[words.index(sys.argv[0], 1)] = _main_script() or sys.argv[0]
    return words


def prodserver_command(entry: Program | None) -> list[str]:
    """Return the words that run ``prodserver`` in another process."""
    if entry:
        return [*entry.command, "prodserver"]
    return [sys.executable, "-m", "django_prodserver"]


def _is_main_script(path: str) -> bool:
    main = _main_script()
    return (
        bool(main) and os.path.isfile(path) and os.path.samefile(path, main)  # noqa: PTH113, PTH121
    )


def _main_script() -> str:
    """Return the absolute path of the script that Python runs, or ""."""
    main: Any = sys.modules["__main__"]
    is_module = getattr(main, "__spec__", None) is not None  # "python -m"
    return "" if is_module else str(getattr(main, "__file__", None) or "")
