"""Django's system checks of the processes and of the health middleware."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from django.conf import settings
from django.core.checks import CheckMessage, Error, Warning

from django_prodserver.backends import loader
from django_prodserver.backends.base import CommandBackend
from django_prodserver.checks import deployment, server_options
from django_prodserver.checks.ids import WarningId
from django_prodserver.config import processes
from django_prodserver.config.processes import Process
from django_prodserver.exceptions import ConfigurationError, ProdserverError
from django_prodserver.health import conf as health


def check_processes() -> list[CheckMessage]:
    """Return all faults at once; a start stops at the first."""
    found: list[CheckMessage] = [_error(fault) for fault in loader.all_faults()]
    for process, backend in _backends():
        found += _of_process(process, _unsupported_keys(backend))
        found += _of_process(process, server_options.warnings(backend))
    return found


def check_deployment() -> list[CheckMessage]:
    """Return what is not fit for production, with ``check --deploy``."""
    found: list[CheckMessage] = []
    backends = list(_backends())
    if backends:
        found += deployment.project_warnings()
    for process, backend in backends:
        found += _of_process(process, deployment.process_warnings(backend))
    return found


def _unsupported_keys(backend: CommandBackend) -> Iterator[Warning]:
    for key, why in backend.unsupported_keys().items():
        message = f": {key} does nothing here: {why}."
        yield Warning(message, id=WarningId.USELESS_KEY)


def _of_process(
    process: Process, messages: Iterable[CheckMessage]
) -> Iterator[CheckMessage]:
    """Put the name of the process before each message."""
    for message in messages:
        message.msg = f"{process.where}{message.msg}"
        yield message


def _backends() -> Iterator[tuple[Process, CommandBackend]]:
    """Yield the processes that can be made, each with its backend."""
    try:
        names = list(processes.table())
    except ProdserverError:
        return
    for name in names:
        try:
            process = processes.entry(name)
            for _, fault in process.faults():
                raise fault
            backend = loader.load(process)
        except ProdserverError:
            continue  # another check reports it
        if isinstance(backend, CommandBackend):
            yield process, backend


def check_health() -> list[CheckMessage]:
    """Return the faults of ``PRODSERVER_HEALTH``, and where its middleware is not."""
    faults = list(health.faults())
    if not faults and health.is_installed():
        faults = list(_unknown_functions())
    return [*map(_error, faults), *_place()]


def _unknown_functions() -> Iterator[ConfigurationError]:
    # Not above: it would make the database's modules part of every start.
    from django_prodserver.health.checks import Check

    for name in health.load().checks:
        try:
            Check(name, health.load())
        except ConfigurationError as fault:
            yield fault


def _place() -> Iterator[Warning]:
    if not health.is_installed():
        if hasattr(settings, "PRODSERVER_HEALTH"):
            message = "PRODSERVER_HEALTH is set, and nothing answers it."
            hint = f"Put {health.MIDDLEWARE!r} first into MIDDLEWARE."
            yield Warning(message, hint=hint, id=WarningId.NO_MIDDLEWARE)
    elif settings.MIDDLEWARE[0] != health.MIDDLEWARE:
        message = f"HealthMiddleware is behind {settings.MIDDLEWARE[0]!r}."
        hint = "Put it first: what comes before it can redirect a probe, or refuse it."
        yield Warning(message, hint=hint, id=WarningId.MIDDLEWARE_NOT_FIRST)


def _error(fault: ConfigurationError) -> Error:
    return Error(fault.message, hint=fault.hint or None, id=fault.fault)
