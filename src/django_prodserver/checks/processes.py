"""System checks of the processes and of the health middleware."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

from django.conf import settings
from django.core.checks import ERROR, CheckMessage, Error, Warning

from django_prodserver.backends import loader
from django_prodserver.backends.base import Backend, CommandBackend
from django_prodserver.checks import deployment, server_options
from django_prodserver.checks.ids import WarningId
from django_prodserver.config import processes
from django_prodserver.config.processes import Process
from django_prodserver.exceptions import ConfigurationError, Fault, ProdserverError
from django_prodserver.health import conf as health
from django_prodserver.process.retry import describe_error


def check_processes() -> list[CheckMessage]:
    """Return all faults and warnings at once; a start stops at the first fault."""
    messages = _messages(loader.all_faults())
    for process, backend in _backends():
        messages += _with_process(process, _unsupported_keys(backend))
        messages += _with_process(process, server_options.warnings(backend))
    return messages


def raise_levels(messages: Iterable[CheckMessage]) -> None:
    """Turn the warnings that are errors under ``check --deploy`` into errors."""
    for message in messages:
        if message.id in set(Fault):
            message.level = ERROR


def check_deployment() -> list[CheckMessage]:
    """Return the warnings about production, for ``check --deploy``."""
    messages: list[CheckMessage] = []
    backends = list(_backends())
    if backends:
        messages += deployment.project_warnings()
        named = {process.name: backend for process, backend in backends}
        messages += deployment.log_formats(named)
    for process, backend in backends:
        messages += _with_process(process, deployment.process_warnings(backend))
        messages += _with_process(process, deployment.preload_warnings(process))
    return messages


def _unsupported_keys(backend: CommandBackend) -> Iterator[Warning]:
    for key, why in backend.unsupported_keys().items():
        message = f": {key} has no effect here: {why}."
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
        found = _loaded(name)
        if found and isinstance(found[1], CommandBackend):
            yield found[0], found[1]


def _loaded(name: object) -> tuple[Process, Backend] | None:
    """Return a process with its backend, or None if it has faults."""
    try:
        process = processes.entry(name)
        for _, fault in process.faults():
            raise fault
        return process, loader.load(process)
    except Exception:  # another check reports it
        return None


def check_health() -> list[CheckMessage]:
    """Return the faults of ``PRODSERVER_HEALTH`` and of its middleware's position."""
    faults = list(health.faults())
    if not faults and health.is_installed():
        faults = list(_unknown_functions())
    return [*_messages(faults), *_middleware_warnings()]


def _unknown_functions() -> Iterator[ConfigurationError]:
    # Imported here, because it imports the database's modules.
    from django_prodserver.health.checks import Check

    for name in health.load().checks:
        try:
            Check(name, health.load())
        except ConfigurationError as fault:
            yield fault
        except Exception as error:
            # The user's module is broken, but other commands must still run.
            yield _loading_fails(name, error)


def _loading_fails(check: str, error: Exception) -> ConfigurationError:
    message = f"['CHECKS'] has {check!r}, which cannot be loaded: "
    module = check.rpartition(".")[0]
    return ConfigurationError(
        Fault.LOADING_FAILS,
        f"{message}{describe_error(error)}",
        f'To see the traceback: python manage.py shell -c "import {module}"',
        "PRODSERVER_HEALTH",
    )


def _middleware_warnings() -> Iterator[Warning]:
    if not health.is_installed():
        if hasattr(settings, "PRODSERVER_HEALTH"):
            message = (
                "PRODSERVER_HEALTH is set, but MIDDLEWARE has no HealthMiddleware."
            )
            hint = f"Put {health.MIDDLEWARE!r} first in MIDDLEWARE."
            yield Warning(message, hint=hint, id=WarningId.NO_MIDDLEWARE)
    elif settings.MIDDLEWARE[0] != health.MIDDLEWARE:
        message = f"HealthMiddleware comes after {settings.MIDDLEWARE[0]!r}."
        hint = "Put it first: middleware before it can redirect or reject a probe."
        yield Warning(message, hint=hint, id=WarningId.MIDDLEWARE_NOT_FIRST)


def _messages(faults: Iterable[ConfigurationError]) -> list[CheckMessage]:
    """Return a message for each fault; one for a fault that processes share."""
    places: dict[object, tuple[ConfigurationError, list[str]]] = {}
    for fault in faults:
        shared = fault.fault.depends_on_environment
        place = "" if shared else fault.where
        thing = (fault.fault, place, fault.problem, fault.hint)
        places.setdefault(thing, (fault, []))[1].append(fault.where)
    return [_message(fault, where) for fault, where in places.values()]


def _message(fault: ConfigurationError, places: Sequence[str]) -> CheckMessage:
    kind = Warning if fault.fault.depends_on_environment else Error
    # Name the setting once, as in "PRODUCTION_PROCESSES['web'], ['admin']: ...".
    first, *others = dict.fromkeys(places)
    others = [place.removeprefix("PRODUCTION_PROCESSES") for place in others]
    text = f"{', '.join([first, *others])}{fault.problem}"
    return kind(text, hint=fault.hint or None, id=fault.fault)
