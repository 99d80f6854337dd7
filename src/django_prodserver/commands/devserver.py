"""``devserver``: the production process with one worker, restarted on changes."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Sequence
from importlib.util import find_spec
from pathlib import Path

from django.apps import apps
from django.conf import settings
from django.urls import get_resolver
from django.utils.autoreload import StatReloader, autoreload_started

from django_prodserver.commands import listing
from django_prodserver.config import processes
from django_prodserver.launch.plan import Plan, make_plan
from django_prodserver.process.entry import prodserver_command
from django_prodserver.process.executable import Program
from django_prodserver.process.signals import StopSignal


def plan(name: str | None, native: Sequence[str]) -> Plan:
    """Plan a process for development: one worker, and static files under DEBUG."""
    planned = make_plan(processes.process(name), native, development=True)
    planned.check()
    return planned


def run(
    planned: Plan, write: Callable[[str], object], entry: Program | None = None
) -> int:
    """
    Run a process, and restart it whenever a file of the project changes.

    Args:
        planned: What to run.
        write: Prints a line.
        entry: The project's entry, if it started this process.

    Returns:
        0 after SIGINT or SIGTERM.
    """
    return _Watcher(planned, write, entry).run_until_signal()


class _Watcher(StatReloader):
    """
    Django's file watcher, which runs the process as a child and restarts it.

    ``runserver`` uses a thread instead, but only a main thread can have signal
    handlers.
    """

    def __init__(
        self, planned: Plan, write: Callable[[str], object], entry: Program | None
    ) -> None:
        super().__init__()
        self._entry = entry
        self._plan = planned
        self._write = write
        self._changed: str | os.PathLike[str] | None = None
        self._signal = StopSignal()
        self._child: subprocess.Popen[bytes] | None = None

    def run_until_signal(self) -> int:
        self._signal.listen()
        self._watch_project()
        autoreload_started.send(sender=self)
        ticker = self.tick()
        self._child = self._start()
        while not self._signal.received:
            next(ticker)
            code = self._child.poll() if self._child is not None else None
            if code is not None:
                self._write(
                    f"The process exited with code {code}. It restarts when a file "
                    "changes."
                )
                self._child = None
            if self._changed:
                self._write(f"{self._changed} changed, restarting.")
                self._changed = None
                self._stop()
                if not self._signal.received:
                    self._child = self._start()
        self._stop()
        return 0

    def notify_file_changed(self, path: str | os.PathLike[str]) -> None:
        self._changed = path

    def _watch_project(self) -> None:
        directories = [config.path for config in apps.get_app_configs()]
        for setting in ("ROOT_URLCONF", "WSGI_APPLICATION", "ASGI_APPLICATION"):
            package = str(getattr(settings, setting, None)).partition(".")[0]
            found = find_spec(package) if package else None
            directories += (found and found.submodule_search_locations) or ()
        for directory in directories:
            # Watch the project, not installed packages.
            if not directory.startswith((sys.prefix, sys.base_prefix)):
                self.watch_dir(directory, "**/*.py")
        # Import the views, because the watcher watches imported modules. They may be
        # broken now and fixed later.
        with contextlib.suppress(Exception):
            _ = get_resolver().urlconf_module

    def _start(self) -> subprocess.Popen[bytes]:
        self._write(listing.command_line(self._plan, entry=self._entry))
        return subprocess.Popen(
            self._child_command(), env={**os.environ, **self._plan.environment}
        )

    def _child_command(self) -> list[str]:
        plan = self._plan
        if not plan.command:
            name = plan.process.name
            return [*prodserver_command(self._entry), name, "--", *plan.overrides]
        return listing.with_path(plan, self._entry)

    def _stop(self) -> None:
        if self._child is not None:
            self._child.terminate()
            while self._child.poll() is None:
                if self._signal.force:
                    _kill(self._child)
                with contextlib.suppress(subprocess.TimeoutExpired):
                    self._child.wait(0.1)
            self._child = None


def _kill(child: subprocess.Popen[bytes]) -> None:
    # Kill its workers too: some keep serving when their parent is gone.
    file = Path(f"/proc/{child.pid}/task/{child.pid}/children")
    workers = file.read_text().split() if file.exists() else []
    child.kill()
    for pid in workers:
        with contextlib.suppress(ProcessLookupError):
            os.kill(int(pid), signal.SIGKILL)
