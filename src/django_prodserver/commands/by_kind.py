"""``server`` and ``worker``: the commands of django-prodserver 3, each for one kind."""

from __future__ import annotations

import os
from collections.abc import Sequence

from django_prodserver.backends import loader
from django_prodserver.backends.base import Backend, BaseWorkerBackend
from django_prodserver.config import processes
from django_prodserver.config.processes import Process
from django_prodserver.exceptions import ProdserverError, UsageError

SERVER = "server"
WORKER = "worker"
_KINDS = {"web": SERVER, "": SERVER}


def select(kind: str, names: Sequence[str]) -> list[str]:
    """
    Return the names of processes of one kind.

    Args:
        kind: ``SERVER`` or ``WORKER``.
        names: The names on the command line; if there are none, ``PROCESS_NAME``
            or the first process of that kind is used.

    Raises:
        ProdserverError: There is no such process, or one is of another kind.
    """
    given = list(names) or [name for name in [os.environ.get("PROCESS_NAME")] if name]
    if not given:
        given = of_kind(kind)[:1]
    if not given:
        message = f"PRODUCTION_PROCESSES has no {kind}."
        raise UsageError(
            message, "To list the processes: python manage.py prodserver --list"
        )
    for name in given:
        process = processes.process(name)
        if (other := _kind(process)) != kind:
            command = other if other in (SERVER, WORKER) else "prodserver"
            message = f"The process {name!r} is a {other}, not a {kind}."
            raise UsageError(message, f"Run: python manage.py {command} {name}")
    return given


def of_kind(kind: str) -> list[str]:
    """Return the names of all processes of one kind, in the order of the settings."""
    found = []
    for name in processes.table():
        try:
            process = processes.entry(name)
            if _kind(process) == kind:
                found.append(process.name)
        except ProdserverError:
            continue  # its kind is unknown; starting it reports the error
    return found


def as_text(kind: str) -> str:
    """Return the names of one kind, as django-prodserver 3 lists them."""
    return "\n ".join([f"Available {kind} process names are:", *of_kind(kind)])


def _kind(process: Process) -> str:
    backend_class = loader.load_class(process)
    if issubclass(backend_class, Backend):
        return _KINDS.get(backend_class.kind, backend_class.kind)
    return WORKER if issubclass(backend_class, BaseWorkerBackend) else SERVER
