"""From a process to its backend, or to what keeps it from having one."""

from __future__ import annotations

import logging
import pkgutil
from collections.abc import Iterator
from importlib import import_module

from django_prodserver import backends
from django_prodserver.backends.base import Backend, BaseServerBackend, CommandBackend
from django_prodserver.config import processes
from django_prodserver.config.argv import ArgumentError
from django_prodserver.config.keys import KEYS
from django_prodserver.config.processes import Process
from django_prodserver.exceptions import ConfigurationError, Fault
from django_prodserver.health import heartbeat
from django_prodserver.logs.config import log
from django_prodserver.process import retry
from django_prodserver.text import (
    did_you_mean,
    is_dotted_path,
    is_missing,
    safe_repr,
)

_MISSING = object()
#: The development servers of django-prodserver 3, in "dev" or without it.
_GONE = ("daphne", "django_runserver", "werkzeug")
_is_bounded = False


def load(process: Process) -> BaseServerBackend:
    """
    Return the backend of a process.

    Raises:
        ConfigurationError: There is none to be made, for that reason.
    """
    backend = backend_class(process)
    for _, fault in _wrong_keys(process, backend):
        raise fault
    try:
        return backend(**process.config)
    except ArgumentError as error:
        message = f"['ARGS']{error.message}"
        raise process.fault(Fault.BAD_ARGS, message, error.hint) from None
    except ConfigurationError as error:
        raise process.fault(error.fault, error.message, error.hint) from None


def backend_class(process: Process) -> type[BaseServerBackend]:
    """
    Return the class that ``BACKEND`` names.

    Raises:
        ConfigurationError: There is none, for that reason.
    """
    path = process.config.get("BACKEND")
    if not isinstance(path, str) or not is_dotted_path(path):
        said = (
            "has no BACKEND" if path is None else f"has the BACKEND {safe_repr(path)}"
        )
        text = path if isinstance(path, str) else ""
        hint = did_you_mean_backend(text) or f"For example: {processes.EXAMPLE}"
        raise process.fault(Fault.NO_BACKEND, f" {said}.", hint)
    return _class(process, path)


def _wrong_keys(
    process: Process, backend: type[BaseServerBackend]
) -> Iterator[tuple[str, ConfigurationError]]:
    """Yield the neutral keys whose values are not of their form, with the fault."""
    if not issubclass(backend, Backend):
        return  # somebody else's, whose keys are its own affair
    for key, known in KEYS.items():
        if key in process.config and not known.is_right(process.config[key]):
            message = f"[{key!r}] is {safe_repr(process.config[key])}."
            hint = f"Write {key} as {known.form}."
            yield key, process.fault(Fault.BAD_VALUE, message, hint)


def faults(process: Process) -> Iterator[ConfigurationError]:
    """Yield everything that keeps a process from starting."""
    own = dict(process.faults())
    yield from own.values()
    process = process.without(own)
    try:
        wrong = dict(_wrong_keys(process, backend_class(process)))
        yield from wrong.values()
        process = process.without(wrong)
        backend = load(process)
    except ConfigurationError as error:
        yield error
        return
    waits = process.waits
    has_broker = isinstance(backend, Backend) and backend.has_broker
    if "broker" in waits and not has_broker:
        message = f"['WAIT_FOR'] has the broker, and {type(backend).__name__} has none."
        hint = 'If it is Celery\'s, write "APP": "project.celery.app" too.'
        yield process.fault(Fault.BAD_VALUE, message, hint)
    try:
        retry.timeout() if waits else None
    except ConfigurationError as error:
        yield process.fault(error.fault, f": {error.message}", error.hint)
    if not isinstance(backend, Backend):
        return  # somebody else's, whose keys are its own affair
    known = (*processes.KEYS, *backend.keys)
    for key in process.config:
        if key not in known:
            hint = did_you_mean(key, known)
            hint = f"{hint} It takes {', '.join(known)}.".strip()
            message = f" has the unknown key {safe_repr(key)}."
            yield process.fault(Fault.UNKNOWN_KEY, message, hint)
    for fault in backend.check():
        yield process.fault(fault.fault, f": {fault.message}", fault.hint)


def all_faults() -> Iterator[ConfigurationError]:
    """Yield all that is wrong with ``PRODUCTION_PROCESSES``; Django is set up."""
    try:
        names = processes.table()
    except ConfigurationError as error:
        yield error
        return
    for name in names:
        try:
            process = processes.entry(name)
        except ConfigurationError as error:
            yield error
            continue
        found = list(faults(process))
        yield from found or _load_faults(process)


def _load_faults(process: Process) -> Iterator[ConfigurationError]:
    backend = load(process)
    if isinstance(backend, Backend):
        try:
            backend.check_loaded()
        except ConfigurationError as error:
            yield process.fault(error.fault, f": {error.message}", error.hint)


def install_own_heartbeat() -> None:
    """
    Make this process's loop beat, if our launcher started it as a worker.

    Twice does no harm: a warm start sets up Django, and so does an exec'd command.
    """
    writer = heartbeat.current_writer()
    if not writer or writer.installed:
        return
    try:
        backend = load(processes.entry(writer.name))
        if isinstance(backend, CommandBackend):
            install_shutdown_deadline(backend)
        if isinstance(backend, CommandBackend) and backend.heartbeat_max_age(
            backend.args
        ):
            backend.install_heartbeat()
            writer.installed = True
    except Exception as error:
        # The worker works without.
        reason = f"{type(error).__name__}: {error}"
        writer.beat("silent", f"its loop cannot be joined: {reason}")


def install_shutdown_deadline(backend: CommandBackend) -> None:
    """Have this process, a worker, end in time; the second time does nothing."""
    global _is_bounded
    if _is_bounded:
        return
    _is_bounded = True
    seconds = float(backend.resolve("GRACEFUL_TIMEOUT").value)
    try:
        backend.install_shutdown_deadline(seconds)
    except (AttributeError, ImportError) as error:
        # A release that works in another way.
        log(f"GRACEFUL_TIMEOUT does nothing here: {error}", logging.WARNING)


def known_backends() -> list[str]:
    """Return the dotted paths of our own backends, sorted."""
    found = set()
    for package in pkgutil.iter_modules(backends.__path__, f"{backends.__name__}."):
        module = import_module(package.name)
        for name in getattr(module, "__all__", ()):
            if issubclass(getattr(module, name), CommandBackend):
                found.add(f"{package.name}.{name}")
    return sorted(found)


def did_you_mean_backend(path: str) -> str:
    """Name the nearest of our own backends, by its whole path or its last word."""
    module = path.rpartition(".")[0]
    if module.startswith(f"{backends.__name__}.") and module.endswith(_GONE):
        return 'Name a server, and run "manage.py devserver": that one, reloading.'
    known = known_backends()
    by_name = {path.rpartition(".")[2]: path for path in known}
    name = path.rpartition(".")[2]
    return did_you_mean(path, known) or did_you_mean(name, by_name, by_name)


def _class(process: Process, path: str) -> type[BaseServerBackend]:
    module_path, _, name = path.rpartition(".")
    try:
        module = import_module(module_path)
    except ModuleNotFoundError as error:
        if not is_missing(module_path, error.name):
            raise
        problem = f"no module {safe_repr(error.name)}"
    else:
        problem = f"{module_path} has no {safe_repr(name)}"
        backend = getattr(module, name, _MISSING)
        if backend is not _MISSING:
            return _checked(process, path, backend)
    message = f": BACKEND {safe_repr(path)} cannot be imported: {problem}."
    hint = did_you_mean_backend(path) or "Is it on the Python path?"
    raise process.fault(Fault.BACKEND_NOT_IMPORTABLE, message, hint) from None


def _checked(process: Process, path: str, backend: object) -> type[BaseServerBackend]:
    if not (isinstance(backend, type) and issubclass(backend, BaseServerBackend)):
        message = f": BACKEND {safe_repr(path)} is no subclass of BaseServerBackend."
        hint = did_you_mean_backend(path) or "Write a subclass with start_server()."
        raise process.fault(Fault.NOT_A_BACKEND, message, hint)
    if missing := ", ".join(_missing(backend)):
        message = f": BACKEND {safe_repr(path)} has no {missing}."
        raise process.fault(Fault.NOT_A_BACKEND, message, f"Write {missing} in it.")
    return backend


def _missing(backend: type[BaseServerBackend]) -> list[str]:
    """Return what a class lacks to be a backend and not a base of some."""
    methods = [f"{name}()" for name in sorted(backend.__abstractmethods__)]
    declared = ("script", "package") if issubclass(backend, CommandBackend) else ()
    return methods + [name for name in declared if not hasattr(backend, name)]
