"""Several processes in one terminal, on honcho's Manager."""

from __future__ import annotations

import contextlib
import os
import shlex
import signal
import sys
from collections.abc import Sequence
from typing import Any

from django_prodserver.config import processes
from django_prodserver.exceptions import ConfigurationError, Fault
from django_prodserver.launch.plan import make_plan
from django_prodserver.process.signals import STOP_SIGNALS, StopSignal

# How a stop that we asked for may end: uvicorn raises the signal once more, and
# a terminal's Ctrl-C reaches a process that has no session of its own yet.
_CLEAN = {0, -signal.SIGTERM, 128 + signal.SIGTERM, -signal.SIGINT}


def run(names: Sequence[str]) -> int:
    """
    Run processes until the first of them ends, or a signal; then stop the rest.

    A stop is SIGTERM to each, once, and waits for them. A second signal kills
    what is left.

    Args:
        names: Which ones; all that are configured if there are none.

    Returns:
        What the first to end by itself ended with; after a signal, 0, or the
        code of one that did not end cleanly.

    Raises:
        ProdserverError: One of them cannot be started; then none is.
    """
    plans = [make_plan(processes.process(name)) for name in names or _all_names()]
    for plan in plans:
        plan.check()
    try:
        from honcho.manager import Manager
    except ImportError:
        hint = 'Install it: python -m pip install "django-prodserver[honcho]"'
        raise ConfigurationError(
            Fault.NOT_INSTALLED, "honcho, which --all runs on, is not installed.", hint
        ) from None

    class Together(_Stopping, Manager):  # type: ignore[misc]  # honcho has no types
        pass

    manager = Together()
    for plan in plans:
        name = plan.process.name
        command = [sys.executable, "-m", "django_prodserver", name]
        # "exec": honcho's shell would stay between it and the server.
        manager.add_process(
            name,
            f"exec {shlex.join(command)}",
            env={**os.environ, **plan.environment, "PYTHONUNBUFFERED": "1"},
        )
    manager.loop()
    return manager.exit_code


def _all_names() -> list[str]:
    return [processes.entry(name).name for name in processes.table()]


class _OneProcess:
    """
    Signals for a process, where honcho's are for its whole group.

    SIGTERM for a group loses what celery's workers hold, and hangs Django-Q2.
    """

    def terminate(self, pid: int) -> None:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGTERM)

    def kill(self, pid: int) -> None:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(pid, signal.SIGKILL)


class _Stopping:
    """How a honcho Manager stops here."""

    def __init__(self) -> None:
        super().__init__()
        self._procmgr = _OneProcess()
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
        """Do not: honcho would, 5 seconds after it has asked."""

    def loop(self) -> None:
        # Signals wait for our handlers, which have to be there before the start:
        # honcho's own ask for the pids of all, and the process that honcho forks
        # for each has them for a moment.
        signal.pthread_sigmask(signal.SIG_BLOCK, STOP_SIGNALS)
        super().loop()  # type: ignore[misc]

    def _start(self) -> None:
        self._stop.listen()
        signal.pthread_sigmask(signal.SIG_UNBLOCK, STOP_SIGNALS)
        super()._start()  # type: ignore[misc]

    def _all_started(self) -> bool:
        # Asked at each turn of honcho's loop; before all are started there are
        # no pids to signal.
        started = bool(super()._all_started())  # type: ignore[misc]
        if started and self._stop.received:
            self.terminate()  # type: ignore[attr-defined]
        if started and self._stop.force:
            self._killall(force=True)  # type: ignore[attr-defined]
        return started

    _processes: dict[str, dict[str, Any]]
    returncode: int | None
