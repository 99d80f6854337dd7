"""Deployment checks, for ``manage.py check --deploy``."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from django.conf import settings
from django.core.checks import CheckMessage, Info, Warning

from django_prodserver.backends.base import CommandBackend
from django_prodserver.checks.ids import WarningId
from django_prodserver.config.argv import values_of
from django_prodserver.config.keys import AUTO, DEFAULT, Resolved
from django_prodserver.config.processes import Process
from django_prodserver.logs import project_console
from django_prodserver.process import preload_memory

_ENABLE = 'Set "disable_existing_loggers": False in LOGGING.'
_DEBUGGERS = ("debugpy", "pdb", "pydevd")
# psycopg_pool's default, for a pool without options.
_DEFAULT_POOL_SIZE = 4


def project_warnings() -> Iterator[CheckMessage]:
    """Yield the warnings that concern every process."""
    if settings.DEBUG:
        message = "DEBUG is True: error pages show settings, and memory use grows."
        yield Warning(message, hint="Set DEBUG = False.", id=WarningId.DEBUG)
    elif not settings.ALLOWED_HOSTS:
        message = "ALLOWED_HOSTS is empty, so every request gets a 400 response."
        hint = 'Add the host names of the site: ALLOWED_HOSTS = ["example.com"].'
        yield Warning(message, hint=hint, id=WarningId.ALLOWED_HOSTS)
    config = project_console.logging_settings()
    named = {"django", "django.request"} & set(config.get("loggers") or {})
    if _disables_loggers(config) and not named:
        lost = "tracebacks of failed requests (django.request)"
        message = f"LOGGING disables existing loggers, so {lost} are lost."
        yield Warning(message, hint=_ENABLE, id=WarningId.LOGGERS_DISABLED)
    for alias, database in settings.DATABASES.items():
        if str(database.get("ENGINE")).endswith(".sqlite3"):
            message = f"DATABASES[{alias!r}] is SQLite, which replicas cannot share."
            hint = "Run a single replica, or use a database server."
            yield Info(message, hint=hint, id=WarningId.SQLITE)


def process_warnings(backend: CommandBackend) -> Iterator[CheckMessage]:
    """Yield the warnings about one process: general ones, then its backend's own."""
    yield from _development_options(backend)
    yield from _small_pools(backend)
    yield from _many_connections(backend)
    yield from _disabled_loggers(backend)
    yield from backend.deployment_warnings()


def preload_warnings(process: Process) -> Iterator[Warning]:
    """Warn if the last start of this code on this machine did not preload it."""
    last = preload_memory.last_decision(process.name)
    if last and not last.preloaded and process.preload == AUTO:
        message = f" was not preloaded at the last start, because {last.reason}."
        hint = (
            'Fix that so that workers can share memory. Or set "PRELOAD": False, or '
            '"PRELOAD": True if it is safe to fork.'
        )
        yield Warning(message, hint=hint, id=WarningId.NOT_PRELOADED)


def _development_options(backend: CommandBackend) -> Iterator[Warning]:
    warning_id = WarningId.DEVELOPMENT_OPTION
    for name in backend.debug_options:
        if backend.is_on(name, backend.args):
            message = f" has --{name}, which is for development."
            yield Warning(message, hint="Remove it.", id=warning_id)
    words = " ".join(backend.config.get("PREFIX", ()))
    if any(debugger in words for debugger in _DEBUGGERS):
        message = f" has the PREFIX {words!r}, which is a debugger."
        yield Warning(message, hint="Remove it.", id=warning_id)


def _many_connections(backend: CommandBackend) -> Iterator[Warning]:
    """Warn if our default number of threads multiplies persistent connections."""
    threads = backend.request_concurrency(backend.args)
    if backend.kind != "web" or not threads or threads == 1:
        return
    if backend.resolve("THREADS").origin != DEFAULT or _is_written(backend, "THREADS"):
        return
    workers = backend.option("workers", backend.args)
    count = int(workers) if workers.isdecimal() and int(workers) else 1
    databases: Mapping[str, Any] = settings.DATABASES
    for alias, database in databases.items():
        age = database.get("CONN_MAX_AGE", 0)
        is_file = str(database.get("ENGINE")).endswith(".sqlite3")
        if age == 0 or is_file or database.get("OPTIONS", {}).get("pool"):
            continue
        message = (
            f" keeps up to {count * threads} connections to DATABASES[{alias!r}] open "
            f"in each container: {count} x {threads} threads (a default of "
            f"django-prodserver), and CONN_MAX_AGE is {age}."
        )
        hint = (
            f'Set "THREADS": {threads} if all replicas together stay below the '
            'database\'s limit. If not, set "THREADS": 1 or CONN_MAX_AGE = 0, or use a '
            "pool."
        )
        yield Warning(message, hint=hint, id=WarningId.CONNECTIONS)


def _is_written(backend: CommandBackend, key: str) -> bool:
    """Tell whether the user has set the options that a key is translated to."""
    table = backend.option_table
    return any(
        values_of(option, backend.written, table) or backend.given_elsewhere(option)
        for option in backend.translate(key, backend.resolve(key).value)
    )


def _disabled_loggers(backend: CommandBackend) -> Iterator[Warning]:
    is_native = "LOG_FORMAT" in backend.keys and backend.logs_natively
    if is_native and _disables_loggers(project_console.logging_settings()):
        message = ": LOGGING disables existing loggers, so the server stops logging."
        yield Warning(message, hint=_ENABLE, id=WarningId.LOGGERS_DISABLED)


def _disables_loggers(config: Mapping[str, Any]) -> bool:
    disables = bool(config) and config.get("disable_existing_loggers", True)
    return bool(disables and not config.get("incremental"))


def log_formats(backends: Mapping[str, CommandBackend]) -> Iterator[Info]:
    """
    Report which format the processes log in, if LOGGING has one too.

    Args:
        backends: The backends by the name of their process.
    """
    names: dict[Resolved, list[str]] = {}
    for name, backend in backends.items():
        if "LOG_FORMAT" in backend.keys and not backend.logs_natively:
            names.setdefault(backend.explain_log_format(), []).append(name)
    if not project_console.find():
        return
    for (value, why, origin), processes in names.items():
        who = ", ".join(processes)
        if origin == "LOGGING":
            message = f"The log of {who} has the project's format: {why}."
            hint = 'To change it, set LOG_FORMAT to "json" or "text".'
        else:
            message = f"The log format of {who} is {value}, set by {origin}: {why}."
            hint = "To use the project's format, remove LOG_FORMAT."
        yield Info(message, hint=hint, id=WarningId.LOG_FORMAT)


def _small_pools(backend: CommandBackend) -> Iterator[Warning]:
    threads = backend.request_concurrency(backend.args)
    if threads is None:
        return
    databases: Mapping[str, Any] = settings.DATABASES
    for alias, database in databases.items():
        pool = database.get("OPTIONS", {}).get("pool")
        if not pool:
            continue
        options: Mapping[str, Any] = pool if isinstance(pool, Mapping) else {}
        size = options.get("max_size") or options.get("min_size", _DEFAULT_POOL_SIZE)
        if threads > size:
            message = (
                f" has {threads} threads per process, but the pool of "
                f"DATABASES[{alias!r}] has {size} connections: the other threads wait."
            )
            hint = f'Set "OPTIONS": {{"pool": {{"max_size": {threads}}}}} for it.'
            yield Warning(message, hint=hint, id=WarningId.POOL_TOO_SMALL)
