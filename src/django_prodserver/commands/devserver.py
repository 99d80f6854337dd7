"""The production process on a developer's machine: one worker, reloaded on changes."""

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
from django_prodserver.process.signals import StopSignal


def plan(name: str | None, native: Sequence[str]) -> Plan:
    """Return the plan of a process for development: one worker, static files."""
    planned = make_plan(processes.process(name), native, development=True)
    planned.check()
    return planned


def run(planned: Plan, say: Callable[[str], object]) -> int:
    """
    Run a process, and start it again whenever a file of the project changes.

    Returns:
        0 after SIGINT or SIGTERM.
    """
    return _Watcher(planned, say).run_until_signal()


class _Watcher(StatReloader):
    """
    Django's own watcher of files, with the process as a child to restart.

    runserver's way, the server in a thread of the watcher, leaves servers
    without the signals that they set handlers for.
    """

    def __init__(self, planned: Plan, say: Callable[[str], object]) -> None:
        super().__init__()
        self._plan = planned
        self._say = say
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
                self._say(f"It ended with {code}. Waiting for a change to start again.")
                self._child = None
            if self._changed:
                self._say(f"{self._changed} changed, restarting.")
                self._changed = None
                self._stop()
                if not self._signal.received:
                    self._child = self._start()
        self._stop()
        return 0

    def notify_file_changed(self, path: str | os.PathLike[str]) -> None:
        self._changed = path

    def _watch_project(self) -> None:
        folders = [config.path for config in apps.get_app_configs()]
        for setting in ("ROOT_URLCONF", "WSGI_APPLICATION", "ASGI_APPLICATION"):
            package = str(getattr(settings, setting, None)).partition(".")[0]
            found = find_spec(package) if package else None
            folders += (found and found.submodule_search_locations) or ()
        for folder in folders:
            # Ours, and not what is installed.
            if not folder.startswith((sys.prefix, sys.base_prefix)):
                self.watch_dir(folder, "**/*.py")
        # The watcher knows the modules that are imported; as it begins, the
        # views may be broken.
        with contextlib.suppress(Exception):
            _ = get_resolver().urlconf_module

    def _start(self) -> subprocess.Popen[bytes]:
        self._say(listing.command_line(self._plan))
        if self._plan.command:
            words = listing.with_path(self._plan)
        else:
            name = self._plan.process.name
            words = [sys.executable, "-m", "django_prodserver", name, "--"]
            words += self._plan.overrides
        return subprocess.Popen(words, env={**os.environ, **self._plan.environment})

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
    # With its workers: some serve on for ever when their parent is gone.
    file = Path(f"/proc/{child.pid}/task/{child.pid}/children")
    workers = file.read_text().split() if file.exists() else []
    child.kill()
    for pid in workers:
        with contextlib.suppress(ProcessLookupError):
            os.kill(int(pid), signal.SIGKILL)
