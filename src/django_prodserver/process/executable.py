"""Find the console scripts of this interpreter, and run them by exec or in place."""

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
        command: The words that run it in a separate process, such as a Python and
            ``manage.py``.
        script: The Python file that runs it in this process; "" if there is none, as
            with ``python -m``.
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
    # Imported here, because it takes 30 ms and most starts do not need it.
    from importlib import metadata

    # Scripts of system and user packages are elsewhere; the package's metadata has
    # the path.
    for entry in metadata.entry_points(group="console_scripts", name=name):
        for file in (entry.dist.files if entry.dist else None) or ():
            path = Path(str(file.locate())).resolve()
            if file.name == file_name and os.access(path, os.X_OK):
                return str(path)
    message = f"The command {name} was not found next to {sys.executable}."
    hint = f"Install the package that provides {name} for that Python."
    raise ConfigurationError(Fault.NOT_INSTALLED, message, hint)


def replace_process(argv: list[str]) -> NoReturn:
    """
    Replace this process with another program.

    On Windows, where that is impossible, run it as a child and exit with its code.

    Raises:
        ConfigurationError: There is no such program, or the command is too long.
    """
    sys.stdout.flush()
    sys.stderr.flush()
    if sys.platform == "win32":
        _run_as_child(argv)
    # A timer that the application set would survive the exec, but not its handler.
    for timer in (signal.ITIMER_REAL, signal.ITIMER_VIRTUAL, signal.ITIMER_PROF):
        signal.setitimer(timer, 0)
    try:
        os.execvp(argv[0], argv)  # noqa: S606  # no shell, on purpose
    except OSError as error:
        raise _cannot_start(argv[0], error) from None


def _run_as_child(argv: list[str]) -> NoReturn:
    # A console also sends Ctrl-C and Ctrl-Break to the child, which then exits.
    for signum in STOP_SIGNALS:
        signal.signal(signum, signal.SIG_IGN)
    try:
        sys.exit(subprocess.run(argv, check=False).returncode)
    except OSError as error:
        raise _cannot_start(argv[0], error) from None


def _cannot_start(program: str, error: OSError) -> ConfigurationError:
    message = f"{program} cannot be started: {error.strerror}."
    hint = "PREFIX starts with a command. Is it installed?"
    if error.errno == errno.E2BIG:
        hint = (
            "ENV or ARGS is too long. Linux allows 128 KiB a value, a few MiB in total."
        )
    return ConfigurationError(Fault.BAD_VALUE, message, hint)


def run_script(path: str) -> None:
    """Run a console script, or ``manage.py``, in this process."""
    if not path.endswith(".exe"):
        runpy.run_path(path, run_name="__main__")
        return
    from importlib import metadata

    # On Windows, the executable calls the entry point of the same name.
    (entry, *_) = metadata.entry_points(group="console_scripts", name=Path(path).stem)
    # "from granian import cli", as the executable does; cli may be a submodule.
    __import__(entry.module, fromlist=[entry.attr.partition(".")[0]])
    sys.exit(entry.load()())


def run_exit_functions(seconds: float = 5.0) -> None:
    """
    Run the exit functions of the interpreter before this process is replaced.

    ``exec`` runs no ``atexit`` functions, so a lock file of the application and the
    processes of its pools would stay.

    Args:
        seconds: How long it may take; unfinished functions are abandoned.
    """

    def give_up(signum: int, frame: FrameType | None) -> NoReturn:
        raise TimeoutError

    before = signal.signal(signal.SIGALRM, give_up)
    signal.setitimer(signal.ITIMER_REAL, seconds)
    try:
        # In the order of the interpreter: threads and executors, then atexit.
        threading._shutdown()  # type: ignore[attr-defined]
        atexit._run_exitfuncs()
    except TimeoutError:
        pass
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
