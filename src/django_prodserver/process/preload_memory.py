"""
Remember the preload decision of a start until the code changes.

An abandoned preload loads the application twice: once here, and again in the server.
``NAME.preload`` in the runtime directory saves the next start the first of them, and
lets ``--explain`` and ``check --deploy`` report the reason.
"""

from __future__ import annotations

import contextlib
import json
import os
import sys
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from importlib.machinery import all_suffixes
from pathlib import Path
from stat import S_ISDIR

from django.conf import settings

from django_prodserver.health import state

# Room for tens of thousands of files.
_MAX_SIZE = 4 * 2**20
_STANDARD_LIBRARY = str(Path(os.__file__).parent)
_INSTALLED = ("site-packages", "dist-packages")
_MODULES = tuple(all_suffixes())
# Variables that differ at each start and do not affect the application.
_VOLATILE = {
    "INVOCATION_ID",
    "JOURNAL_STREAM",
    "LISTEN_PID",
    "MAINPID",
    "OLDPWD",
    "SHLVL",
    "SYSTEMD_EXEC_PID",
    "WATCHDOG_PID",
}


@dataclass(frozen=True)
class Decision:
    """
    What a start decided about preloading.

    Attributes:
        preloaded: Whether the application was preloaded.
        reason: What was found that a fork would break; "" for nothing.
        versions: That of Python, and the settings module.
        start: A hash of the command, the environment and where modules come from.
        files: What the code consists of: each module with its date and its size,
            and each package with the names of its modules.
    """

    preloaded: bool
    reason: str
    versions: list[str]
    start: str
    files: dict[str, list[int | str]]

    def is_about_this_code(self) -> bool:
        """Tell whether nothing was deployed or installed since."""
        return self.versions == _versions() and self.files == _stamps(self.files)


class Memory:
    """
    The stored decision about one process.

    Create it before the application is loaded, which may change the environment.

    Args:
        name: The process.
        command: The native command.
    """

    def __init__(self, name: str, command: Sequence[str]) -> None:
        self._name = name
        self._start = _start(command)

    def reason_given_up(self) -> str:
        """Return why the same start gave up the preload; "" if it did not."""
        decision = last_decision(self._name)
        if decision is None or decision.preloaded or decision.start != self._start:
            return ""
        return decision.reason

    def remember(self, preloaded: bool, reason: str) -> None:
        """Store a decision; if that fails, the next start decides again."""
        files = _stamps(_files_of_the_code())
        decision = Decision(preloaded, reason, _versions(), self._start, files)
        state.write_file(_file_name(self._name), json.dumps(asdict(decision)).encode())


def last_decision(name: str) -> Decision | None:
    """Return the last decision about a process; None if the code has changed."""
    content = state.read_file(_file_name(name), _MAX_SIZE)
    try:
        decision = Decision(**json.loads(content))
    except (TypeError, ValueError):
        return None  # there is none, or it is from another release
    return decision if decision.is_about_this_code() else None


def _file_name(process: str) -> str:
    return f"{process}.preload"


def _versions() -> list[str]:
    # Without our own release: it shows in the installed files, and would take as long
    # to read as all the rest.
    return [sys.version, str(settings.SETTINGS_MODULE)]


def _start(command: Sequence[str]) -> str:
    # A hash, because both may contain secrets.
    variables = {
        name: value
        for name, value in os.environ.items()
        # Those with "_" are the shell's, and our own.
        if name not in _VOLATILE and not name.startswith("_")
    }
    start = [list(command), variables, str(Path.cwd()), sys.path]
    # Imported here, because it is slow, and not every start needs it.
    import hashlib

    return hashlib.sha256(json.dumps(start, sort_keys=True).encode()).hexdigest()


def _files_of_the_code() -> set[str]:
    """
    Return the project's modules and packages, and where packages are installed.

    An installed, upgraded or removed package changes the date of ``site-packages``.
    """
    files = {path for path in sys.path if path.endswith(_INSTALLED)}
    for module in list(sys.modules.values()):
        # Not getattr(), because some modules import others on access.
        attributes = getattr(module, "__dict__", {})
        file = attributes.get("__file__")
        if isinstance(file, str) and _is_project(file):
            files.add(file)
            if "__path__" in attributes:
                files.add(os.path.dirname(file))  # noqa: PTH120  # thousands of them
    return files


def _is_project(file: str) -> bool:
    is_installed = any(f"/{directory}/" in file for directory in _INSTALLED)
    return not is_installed and not file.startswith(f"{_STANDARD_LIBRARY}/")


def _stamps(files: Iterable[str]) -> dict[str, list[int | str]]:
    """Return what tells whether each file has changed; nothing for a missing one."""
    stamps: dict[str, list[int | str]] = {}
    for file in files:
        stamps[file] = []
        with contextlib.suppress(OSError):
            status = os.stat(file)  # noqa: PTH116
            if S_ISDIR(status.st_mode) and not file.endswith(_INSTALLED):
                # Not its date, which Python changes when it writes __pycache__.
                stamps[file] = [*_modules_in(file)]
            else:
                stamps[file] = [status.st_mtime_ns, status.st_size]
    return stamps


def _modules_in(directory: str) -> list[str]:
    """Return the names of the modules and packages in a directory."""
    return sorted(
        name
        for name in os.listdir(directory)  # noqa: PTH208
        if name.endswith(_MODULES) or ("." not in name and name != "__pycache__")
    )
