"""System checks of the processes and of the health middleware."""

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
    """Return all faults and warnings at once; a start stops at the first fault."""
    messages: list[CheckMessage] = [_error(fault) for fault in loader.all_faults()]
    for process, backend in _backends():
        messages += _with_process(process, _unsupported_keys(backend))
        messages += _with_process(process, server_options.warnings(backend))
    return messages


def check_deployment() -> list[CheckMessage]:
    """Return the warnings about production, for ``check --deploy``."""
    messages: list[CheckMessage] = []
    backends = list(_backends())
    if backends:
        messages += deployment.project_warnings()
    for process, backend in backends:
        messages += _with_process(process, deployment.process_warnings(backend))
        messages += _with_process(process, deployment.preload_warnings(process))
    return messages


def _unsupported_keys(backend: CommandBackend) -> Iterator[Warning]:
    for key, why in backend.unsupported_keys().items():
        message = f": {key} does nothing here: {why}."
        yield Warning(message, id=WarningId.USELESS_KEY)


def _with_process(
    process: Process, messages: Iterable[CheckMessage]
) -> Iterator[CheckMessage]:
    """Put the name of the process before each message."""
    for message in messages:
        message.msg = f"{process.where}{message.msg}"
        yield message


def _backends() -> Iterator[tuple[Process, CommandBackend]]:
    """Yield the processes whose backend can be loaded, each with its backend."""
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
    """Return the faults of ``PRODSERVER_HEALTH`` and of its middleware's position."""
    faults = list(health.faults())
    if not faults and health.is_installed():
        faults = list(_unknown_functions())
    return [*map(_error, faults), *_middleware_warnings()]


def _unknown_functions() -> Iterator[ConfigurationError]:
    # Imported here, so that not every start imports the database's modules.
    from django_prodserver.health.checks import Check

    for name in health.load().checks:
        try:
            Check(name, health.load())
        except ConfigurationError as fault:
            yield fault


def _middleware_warnings() -> Iterator[Warning]:
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
