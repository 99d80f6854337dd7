"""``--all``: run several processes in one terminal, with honcho."""

from __future__ import annotations

import contextlib
import os
import shlex
import signal
import subprocess
import sys
from collections.abc import Sequence
from typing import Any

from django_prodserver.config import processes
from django_prodserver.exceptions import ConfigurationError, Fault
from django_prodserver.launch.plan import make_plan
from django_prodserver.process.entry import prodserver_command
from django_prodserver.process.executable import Program
from django_prodserver.process.signals import STOP_SIGNALS, StopSignal

# Exit codes after a requested stop: uvicorn raises the signal again, and Ctrl-C in a
# terminal can reach a process before it has its own session.
_CLEAN = {0, -signal.SIGTERM, 128 + signal.SIGTERM, -signal.SIGINT}


def run(names: Sequence[str], entry: Program | None = None) -> int:
    """
    Run processes until one of them exits or a signal arrives; then stop the rest.

    To stop, send SIGTERM once to each and wait. A second signal kills the rest.

    Args:
        names: The processes; all configured ones if empty.
        entry: The project's entry, if it started this process.

    Returns:
        The exit code of the first process to exit; after a signal 0, or the code of
        a process that did not exit cleanly.

    Raises:
        ProdserverError: One of them cannot be started; then none is.
    """
    plans = [make_plan(processes.process(name)) for name in names or _all_names()]
    for plan in plans:
        plan.check()
    try:
        from honcho.manager import Manager
        from honcho.printer import Printer
    except ImportError:
        hint = 'Install it: python -m pip install "django-prodserver[honcho]"'
        raise ConfigurationError(
            Fault.NOT_INSTALLED, "--all needs honcho, which is not installed.", hint
        ) from None

    class ProdserverManager(_StopMixin, Manager):  # type: ignore[misc]  # honcho has no types
        pass

    # Without honcho's timestamps: each line already has the time of its log.
    manager = ProdserverManager(Printer(sys.stdout, time_format=""))
    for plan in plans:
        name = plan.process.name
        manager.add_process(
            name,
            _shell_command([*prodserver_command(entry), name]),
            env={**os.environ, **plan.environment, "PYTHONUNBUFFERED": "1"},
        )
    manager.loop()
    return manager.exit_code


def _shell_command(words: list[str]) -> str:
    if sys.platform == "win32":
        return subprocess.list2cmdline(words)
    # "exec", so that honcho's shell does not stay between honcho and the server.
    return f"exec {shlex.join(words)}"


def _all_names() -> list[str]:
    return [processes.entry(name).name for name in processes.table()]


class _ProcessSignals:
    """
    Signal a single process, where honcho signals its whole process group.

    SIGTERM to the group makes Celery lose running tasks, and hangs Django-Q2.
    """

    def terminate(self, pid: int) -> None:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGTERM)

    def kill(self, pid: int) -> None:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(pid, signal.SIGKILL)


class _StopMixin:
    """Stop a honcho ``Manager`` without honcho's time limit."""

    def __init__(self, *args: Any) -> None:
        super().__init__(*args)
        if sys.platform != "win32":  # there honcho sends Ctrl-Break
            self._procmgr = _ProcessSignals()
        self._stop = StopSignal()

    @property
    def exit_code(self) -> int:
        codes = [process["returncode"] for process in self._processes.values()]
        if self._stop.received:
            code = next((code for code in codes if code not in _CLEAN), 0)
        else:
            code = self.returncode or 0
        return 128 - code if code < 0 else code

    def kill(self) -> None:
        """Do nothing; honcho calls this 5 seconds after SIGTERM."""

    def loop(self) -> None:
        # Block signals until our handlers are installed: honcho's handlers need the
        # pids of all processes, and each process that it forks has them for a moment.
        if sys.platform != "win32":
            signal.pthread_sigmask(signal.SIG_BLOCK, STOP_SIGNALS)
        super().loop()  # type: ignore[misc]

    def _start(self) -> None:
        self._stop.listen()
        if sys.platform != "win32":
            signal.pthread_sigmask(signal.SIG_UNBLOCK, STOP_SIGNALS)
        super()._start()  # type: ignore[misc]

    def _all_started(self) -> bool:
        # honcho's loop calls this in each round; there are no pids to signal until
        # all processes are started.
        started = bool(super()._all_started())  # type: ignore[misc]
        if started and self._stop.received:
            self.terminate()  # type: ignore[attr-defined]
        if started and self._stop.force:
            self._killall(force=True)  # type: ignore[attr-defined]
        return started

    _processes: dict[str, dict[str, Any]]
    returncode: int | None
