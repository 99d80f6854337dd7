"""Find the console scripts of this interpreter, and replace this process."""

from __future__ import annotations

import atexit
import errno
import os
import runpy
import signal
import subprocess
import sys
import threading
from dataclasses import dataclass
from pathlib import Path
from types import FrameType
from typing import NoReturn

from django_prodserver.exceptions import ConfigurationError, Fault
from django_prodserver.process.signals import STOP_SIGNALS


@dataclass(frozen=True)
class Program:
    """
    A program, without its arguments.

    Attributes:
        command: The words that run it in a process of its own, such as a Python and
            ``manage.py``.
        script: The file of Python that runs it in this process; "" if there is none,
            as with ``python -m``.
    """

    command: tuple[str, ...]
    script: str


def find(name: str) -> str:
    """
    Return the path of a console script of this interpreter's environment.

    A script rather than ``python -m``: ``python -m gunicorn`` breaks gunicorn's
    SIGUSR2 upgrade, and ``python -m celery`` celery's SIGHUP restart, because both
    execute ``sys.argv`` again.

    Raises:
        ConfigurationError: There is no such script.
    """
    file_name = f"{name}.exe" if sys.platform == "win32" else name
    beside = Path(sys.executable).parent / file_name
    if os.access(beside, os.X_OK):
        return str(beside)
    # Imported here: it takes 30 ms, which every start would pay.
    from importlib import metadata

    # System and user packages have it elsewhere: ask the metadata of the package.
    for entry in metadata.entry_points(group="console_scripts", name=name):
        for file in (entry.dist.files if entry.dist else None) or ():
            path = Path(str(file.locate())).resolve()
            if file.name == file_name and os.access(path, os.X_OK):
                return str(path)
    message = f"The command {name} is missing beside {sys.executable}."
    hint = f"Install the package that brings {name} for that Python."
    raise ConfigurationError(Fault.NOT_INSTALLED, message, hint)


def replace_process(argv: list[str]) -> NoReturn:
    """
    Replace this process with another program.

    On Windows, where that is impossible, run it as a child, and exit with its code.

    Raises:
        ConfigurationError: There is no such program, or the command is too long.
    """
    sys.stdout.flush()
    sys.stderr.flush()
    if sys.platform == "win32":
        _run_as_child(argv)
    # A timer that the application has set would go on, and its handler would not.
    for timer in (signal.ITIMER_REAL, signal.ITIMER_VIRTUAL, signal.ITIMER_PROF):
        signal.setitimer(timer, 0)
    try:
        os.execvp(argv[0], argv)  # noqa: S606  # no shell, on purpose
    except OSError as error:
        raise _cannot_start(argv[0], error) from None


def _run_as_child(argv: list[str]) -> NoReturn:
    # A console sends Ctrl-C and Ctrl-Break to the child as well, which ends by itself.
    for signum in STOP_SIGNALS:
        signal.signal(signum, signal.SIG_IGN)
    try:
        sys.exit(subprocess.run(argv, check=False).returncode)
    except OSError as error:
        raise _cannot_start(argv[0], error) from None


def _cannot_start(program: str, error: OSError) -> ConfigurationError:
    message = f"{program} cannot be started: {error.strerror}."
    hint = "PREFIX begins with a command; is it installed?"
    if error.errno == errno.E2BIG:
        hint = "ENV or ARGS is too long; Linux takes 128 KiB a value, some MiB all."
    return ConfigurationError(Fault.BAD_VALUE, message, hint)


def run_script(path: str) -> None:
    """Run a console script, or ``manage.py``, in this process."""
    if not path.endswith(".exe"):
        runpy.run_path(path, run_name="__main__")
        return
    from importlib import metadata

    # Windows' executable calls the entry point of its name.
    (entry, *_) = metadata.entry_points(group="console_scripts", name=Path(path).stem)
    # As it does: "from granian import cli", which may be a module of its own.
    __import__(entry.module, fromlist=[entry.attr.partition(".")[0]])
    sys.exit(entry.load()())


def run_exit_functions(seconds: float = 5.0) -> None:
    """
    Do what the interpreter does when a process ends, before this one is replaced.

    ``exec`` runs no ``atexit`` function, so a lock file that the application has
    taken would stay, and so would the processes of its pools.

    Args:
        seconds: How long it may take; what has not finished by then is left.
    """

    def give_up(signum: int, frame: FrameType | None) -> NoReturn:
        raise TimeoutError

    before = signal.signal(signal.SIGALRM, give_up)
    signal.setitimer(signal.ITIMER_REAL, seconds)
    try:
        # In the interpreter's order: threads and executors, then atexit.
        threading._shutdown()  # type: ignore[attr-defined]
        atexit._run_exitfuncs()
    except TimeoutError:
        pass
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
