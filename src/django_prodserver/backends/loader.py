"""Load and validate backends."""

from __future__ import annotations

import logging
import pkgutil
import sys
from collections.abc import Iterator
from importlib import import_module

from django.conf import settings

from django_prodserver import backends
from django_prodserver.backends import compat, database_lock, singleton
from django_prodserver.backends.base import Backend, BaseServerBackend, CommandBackend
from django_prodserver.config import processes, wait_for
from django_prodserver.config.context import Context
from django_prodserver.config.keys import KEYS
from django_prodserver.config.processes import Process
from django_prodserver.exceptions import ConfigurationError, Fault, ProdserverError
from django_prodserver.health import conf as health
from django_prodserver.health import heartbeat
from django_prodserver.logs.config import log
from django_prodserver.process import retry, termination_log
from django_prodserver.text import (
    did_you_mean,
    is_dotted_path,
    is_missing,
    redact,
    safe_repr,
)

#: The development servers of django-prodserver 3, under "dev" or directly.
_REMOVED_MODULES = ("daphne", "django_runserver", "werkzeug")
#: The ENGINE and the BACKEND of settings that have no database, or no cache.
_PLACEHOLDERS = (
    "",
    "django.db.backends.dummy",
    "django.core.cache.backends.dummy.DummyCache",
)


def load(process: Process, native: bool = False) -> Backend:
    """
    Return the backend of a process.

    Args:
        process: The process.
        native: Whether its commands must work without this package.

    Raises:
        ConfigurationError: ``BACKEND``, a portable setting or ``ARGS`` is invalid.
    """
    backend_class = load_class(process)
    for _, fault in _wrong_keys(process, backend_class):
        raise fault
    if native and issubclass(backend_class, Backend):
        backend_class = backend_class.native_class()
    with process.named_faults():
        return compat.adapt(backend_class(**process.config), process.config)


def load_class(process: Process) -> type[BaseServerBackend]:
    """
    Return the class that ``BACKEND`` names.

    Raises:
        ConfigurationError: It does not name a backend.
    """
    path = process.config.get("BACKEND")
    if not isinstance(path, str) or not is_dotted_path(path):
        problem = "has no BACKEND"
        if path is not None:
            problem = f"has the BACKEND {safe_repr(path)}"
        text = path if isinstance(path, str) else ""
        hint = did_you_mean_backend(text) or f"For example: {processes.EXAMPLE}"
        raise process.fault(Fault.NO_BACKEND, f" {problem}.", hint)
    return _import_class(process, path)


def _wrong_keys(
    process: Process, backend_class: type[BaseServerBackend]
) -> Iterator[tuple[str, ConfigurationError]]:
    """Yield the portable settings with invalid values, each with its fault."""
    if not issubclass(backend_class, Backend):
        return  # a backend of another package defines its own keys
    for key, known in KEYS.items():
        if key in process.config and not known.is_right(process.config[key]):
            message = f"[{key!r}] is {safe_repr(process.config[key])}."
            hint = f"Write {key} as {known.form}."
            yield key, process.fault(Fault.BAD_VALUE, message, hint)


def faults(process: Process) -> Iterator[ConfigurationError]:
    """Yield all faults in the settings that prevent a process from starting."""
    wrong_form = dict(process.faults())
    yield from wrong_form.values()
    process = process.without(wrong_form)
    try:
        wrong_values = dict(_wrong_keys(process, load_class(process)))
        yield from wrong_values.values()
        process = process.without(wrong_values)
        backend = load(process)
    except ConfigurationError as error:
        yield error
        return
    yield from backend_faults(process, backend)


def backend_faults(process: Process, backend: Backend) -> Iterator[ConfigurationError]:
    """Yield the faults of a process whose backend was loaded."""
    if process.waits:
        yield from _wait_faults(process, backend)
    if backend.rejects_unknown_keys:
        yield from _unknown_keys(process, backend)
    for fault in backend.check():
        yield process.named(fault)


def _wait_faults(process: Process, backend: Backend) -> Iterator[ConfigurationError]:
    if "broker" in process.waits and not backend.has_broker:
        name = process.config["BACKEND"].rpartition(".")[2]
        message = f"['WAIT_FOR'] includes the broker, but {name} has none."
        hint = 'For the broker of Celery, also set "APP": "project.celery.app".'
        yield process.fault(Fault.BAD_VALUE, message, hint)
    for name in process.waits:
        problem, hint = _nothing_to_wait_for(name)
        if problem:
            message = f"['WAIT_FOR'] includes {safe_repr(name)}, but {problem}."
            yield process.fault(Fault.NOTHING_TO_WAIT_FOR, message, hint)
    try:
        retry.timeout()
    except ConfigurationError as error:
        yield process.named(error)


def _nothing_to_wait_for(name: str) -> tuple[str, str]:
    """Return why a database or cache can never answer, and a hint; "" if it can."""
    kind, alias = wait_for.split_alias(name)
    if kind not in health.NAMED:
        return "", ""
    problem, hint = health.missing_alias(kind, alias)
    if not problem:
        setting = health.NAMED[kind]
        key = "BACKEND" if setting == "CACHES" else "ENGINE"
        value = str(getattr(settings, setting)[alias].get(key) or "")
        if value in _PLACEHOLDERS:
            problem = (
                f"{setting}[{alias!r}] has the {key} {value!r}, which does nothing"
            )
            hint = f"Remove it from WAIT_FOR, or set another {key}."
    return problem, hint


def _unknown_keys(process: Process, backend: Backend) -> Iterator[ConfigurationError]:
    known = (*processes.KEYS, *backend.own_keys, *backend.keys)
    for key in process.config:
        if key not in known:
            hint = did_you_mean(key, known)
            hint = f"{hint} Valid keys: {', '.join(known)}.".strip()
            message = f" has the unknown key {safe_repr(key)}."
            yield process.fault(Fault.UNKNOWN_KEY, message, hint)


def all_faults() -> Iterator[ConfigurationError]:
    """Yield all faults of ``PRODUCTION_PROCESSES``; Django is set up."""
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
        yield from _loaded_faults(process)


def _loaded_faults(process: Process) -> list[ConfigurationError]:
    """Return the faults of a process; if it has none, those of what it imports."""
    try:
        if configuration_faults := list(faults(process)):
            return configuration_faults
        with process.named_faults():
            load(process).check_loaded()
    except ConfigurationError as error:
        return [error]
    except Exception as error:
        # The user's module is broken, but other commands must still run.
        return [_loading_fails(process, error)]
    return []


def _loading_fails(process: Process, error: Exception) -> ConfigurationError:
    message = f": loading it raises {retry.describe_error(error)}"
    # The same for each process, so that several with one broken APP are one message.
    hint = "To see the traceback, start it: python manage.py prodserver NAME"
    return process.fault(Fault.LOADING_FAILS, message, hint)


def install_in_worker(backend: Backend) -> None:
    """
    Install task log, shutdown deadline and heartbeat in this worker process.

    Called once per process: by the launcher, or by the Django app if the native
    command was started by exec.
    """
    writer = heartbeat.current_writer()
    if backend.config.get(singleton.KEY) and backend.keys.get(singleton.KEY) == "":
        _install_singleton(backend)
    if not backend.logs_natively:
        backend.install_task_log()
    try:
        backend.install_shutdown_deadline(
            float(backend.resolve("GRACEFUL_TIMEOUT").value)
        )
    except (AttributeError, ImportError) as error:
        # The installed release of the worker stops in a different way.
        log(f"GRACEFUL_TIMEOUT has no effect here: {error}", logging.WARNING)
    if not writer or not backend.heartbeat_max_age(backend.args):
        return
    try:
        backend.install_heartbeat()
    except Exception as error:
        # The worker runs without a heartbeat.
        reason = redact(f"{type(error).__name__}: {error}")
        writer.beat("silent", f"cannot observe its loop: {reason}")


def _install_singleton(backend: Backend) -> None:
    """Install it, or end the process: without it, two replicas would be active."""
    context = Context.from_environment()
    alias = database_lock.alias(singleton.KEY, backend.config[singleton.KEY])
    name = context.process if context else ""
    backend.install_singleton(singleton.Singleton(name, alias))


def install_in_own_process(context: Context) -> None:
    """Install the same in this process, which was started by exec, and prepare it."""
    try:
        backend = load(process := processes.entry(context.process))
    except Exception as error:
        # The worker runs without a heartbeat.
        reason = redact(f"{type(error).__name__}: {error}")
        heartbeat.beat("silent", f"cannot observe its loop: {reason}")
        return
    try:
        with process.named_faults():
            install_in_worker(backend)
            if isinstance(backend, CommandBackend):
                backend.prepare_after_exec(context.options(sys.argv))
    except ProdserverError as error:
        termination_log.exit_with(error)


def known_backends() -> list[str]:
    """Return the dotted paths of our own backends, sorted."""
    paths = set()
    for package in pkgutil.iter_modules(backends.__path__, f"{backends.__name__}."):
        module = import_module(package.name)
        for name in getattr(module, "__all__", ()):
            if issubclass(getattr(module, name), CommandBackend):
                paths.add(f"{package.name}.{name}")
    return sorted(paths)


def did_you_mean_backend(path: str) -> str:
    """Suggest the closest of our own backends, by its path or its class name."""
    module = path.rpartition(".")[0]
    if module.startswith(f"{backends.__name__}.") and module.endswith(_REMOVED_MODULES):
        return 'Name a production server; "manage.py devserver" runs it with reloading.'
    paths = known_backends()
    if hint := did_you_mean(path, paths):
        return hint
    paths_by_class = {each.rpartition(".")[2]: each for each in paths}
    class_name = path.rpartition(".")[2]
    return did_you_mean(class_name, paths_by_class, paths_by_class)


def _import_class(process: Process, path: str) -> type[BaseServerBackend]:
    module_path, _, name = path.rpartition(".")
    fault = Fault.BACKEND_NOT_IMPORTABLE
    try:
        module = import_module(module_path)
    except ModuleNotFoundError as error:
        if not is_missing(module_path, error.name):
            raise
        problem = f"no module {safe_repr(error.name)}"
        if not path.startswith(f"{backends.__name__}."):
            fault = Fault.BACKEND_NOT_FOUND
    else:
        if hasattr(module, name):
            return _validated(process, path, getattr(module, name))
        problem = f"{module_path} has no {safe_repr(name)}"
    message = f": BACKEND {safe_repr(path)} cannot be imported: {problem}."
    hint = did_you_mean_backend(path) or "Is it on the Python path?"
    raise process.fault(fault, message, hint) from None


def _validated(process: Process, path: str, backend: object) -> type[BaseServerBackend]:
    """
    Return ``backend`` if it is a complete backend class.

    Raises:
        ConfigurationError: It is not a backend class, or is an abstract one.
    """
    if not (isinstance(backend, type) and issubclass(backend, BaseServerBackend)):
        message = f": BACKEND {safe_repr(path)} is not a subclass of BaseServerBackend."
        hint = did_you_mean_backend(path) or "Write a subclass with start_server()."
        raise process.fault(Fault.NOT_A_BACKEND, message, hint)
    if missing := ", ".join(_missing_members(backend)):
        message = f": BACKEND {safe_repr(path)} does not define {missing}."
        raise process.fault(Fault.NOT_A_BACKEND, message, f"Define {missing} in it.")
    return backend


def _missing_members(backend: type[BaseServerBackend]) -> list[str]:
    """Return the methods and attributes that a backend class must still define."""
    methods = [f"{name}()" for name in sorted(backend.__abstractmethods__)]
    declared = ("script", "package") if issubclass(backend, CommandBackend) else ()
    return methods + [name for name in declared if not hasattr(backend, name)]
