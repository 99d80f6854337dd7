"""Which servers are installed here: the fast tests also run where few are."""

from __future__ import annotations

from collections.abc import Mapping
from importlib.util import find_spec
from typing import Any

import pytest
from django.conf import settings

from django_prodserver.backends import loader
from django_prodserver.backends.base import CommandBackend
from django_prodserver.backends.django_command import ManagementBackend
from django_prodserver.config.processes import Process

# Of the project under test; a test may change the setting.
_APPS = tuple(settings.INSTALLED_APPS)


def entry(path: str) -> dict[str, str]:
    """Return a process with one of our own backends, and the keys that it needs."""
    own = {"COMMAND": "step x"} if path.endswith(".LongRunningCommand") else {}
    return {"BACKEND": path, "APP": "proj.celery.app", **own}


def backend(path: str) -> CommandBackend:
    """Return one of our own backends."""
    made = loader.load(Process("web", entry(path)))
    assert isinstance(made, CommandBackend)
    return made


def missing(path: str) -> list[str]:
    """Return the packages that one of our own backends lacks here."""
    made = backend(path)
    missing = [name for name in made.required_modules() if not find_spec(name)]
    return [*missing, *missing_apps(made)]


def missing_apps(made: CommandBackend) -> list[str]:
    """Return the app that a backend needs, if the project under test is without it."""
    app = made.app if isinstance(made, ManagementBackend) else ""
    return [app] if app and app not in _APPS else []


def installed() -> list[str]:
    return [path for path in loader.known_backends() if not missing(path)]


def skip_without_servers(processes: Any) -> None:
    """Skip a test if PRODUCTION_PROCESSES names a server that is not here."""
    known = loader.known_backends()
    entries = processes.values() if isinstance(processes, Mapping) else ()
    for entry in entries:
        path = entry.get("BACKEND") if isinstance(entry, Mapping) else None
        if path in known and (packages := missing(path)):
            pytest.skip(f"{' and '.join(packages)} is not installed")
