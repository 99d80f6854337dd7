"""Every fault of the settings as a Django system check."""

from __future__ import annotations

from collections.abc import Iterator

from django.conf import settings
from django.core.checks import CheckMessage, Error, Info, Warning

from django_prodserver.backends import loader
from django_prodserver.backends.base import CommandBackend
from django_prodserver.checks import deployment, server_options
from django_prodserver.checks.ids import Finding, WarningId
from django_prodserver.config import processes
from django_prodserver.config.processes import Process
from django_prodserver.exceptions import ConfigurationError, ProdserverError
from django_prodserver.health import conf as health


def check_processes() -> list[CheckMessage]:
    """Return all faults at once; a start stops at the first."""
    found: list[CheckMessage] = [_error(fault) for fault in loader.all_faults()]
    for process, backend in _backends():
        for key, cannot in backend.unsupported_keys().items():
            message = f": {key} does nothing here: {cannot}."
            found.append(_warning(Finding(WarningId.USELESS_KEY, message), process))
        given = backend.native_args()
        for finding in server_options.findings(backend.table, given, backend.join):
            found.append(_warning(finding, process))
    return found


def check_deployment() -> list[CheckMessage]:
    """Return what is not fit for production, with ``check --deploy``."""
    backends = list(_backends())
    found = (
        [_warning(finding) for finding in deployment.of_project()] if backends else []
    )
    for process, backend in backends:
        found += (
            _warning(finding, process) for finding in deployment.of_process(backend)
        )
    return found


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
            continue  # a fault, which is told of
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


def _warning(finding: Finding, process: Process | None = None) -> CheckMessage:
    kind = Info if finding.id is WarningId.SQLITE else Warning
    where = process.where if process else ""
    return kind(where + finding.message, hint=finding.hint or None, id=finding.id.value)
