"""From a process to the server it is: warm and in this very process, or by exec."""

from __future__ import annotations

import errno
import gc
import logging
import os
import runpy
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NoReturn

from django_prodserver.backends import addresses, loader
from django_prodserver.backends.base import Backend, BaseServerBackend, CommandBackend
from django_prodserver.backends.layers import Layer
from django_prodserver.backends.web import WebBackend
from django_prodserver.commands import explain
from django_prodserver.config.argv import render
from django_prodserver.config.processes import Process
from django_prodserver.exceptions import ConfigurationError, Fault
from django_prodserver.health import conf as health
from django_prodserver.health import heartbeat, state
from django_prodserver.logs import config, options
from django_prodserver.logs.config import log
from django_prodserver.middleware import proxy_headers
from django_prodserver.process import executable, fork_safety

# Set, to this process's id, by the exec that put ENV into the environment.
_REEXECUTED = "_PRODSERVER_ENV_SET"


@dataclass(frozen=True)
class Plan:
    """
    What starting a process comes to.

    Attributes:
        backend: The backend, made of the process's entry.
        args: The options, with what the command line overrides.
        overrides: What the command line overrides.
        layers: The options with their origins, the weakest first.
        argv: The native command, wrapper first; None for a backend that has
            only ``start_server``.
        environment: What the command needs in its environment.
    """

    process: Process
    backend: BaseServerBackend
    args: list[str]
    overrides: list[str]
    layers: list[Layer]
    argv: list[str] | None
    environment: dict[str, str]


def plan(
    process: Process,
    overrides: Sequence[str] = (),
    *,
    development: bool = False,
    check: bool = True,
) -> Plan:
    """
    Return what starting a process comes to, without starting anything.

    Args:
        process: Which one.
        overrides: Options of the command line, which replace the configured ones.
        development: Whether it is to be one worker, for development.
        check: Whether a fault, such as a server that is not installed, counts.

    Raises:
        ConfigurationError: The first of the faults that keep it from starting.
    """
    if check:
        for fault in loader.faults(process):
            raise fault
    backend = loader.load(process)
    if check and isinstance(backend, WebBackend) and health.is_installed():
        health.load()
    given = [Layer("ARGS", backend.args)]
    if isinstance(backend, CommandBackend):
        given = [*backend.layers]
        if development:
            given.append(
                Layer(
                    "devserver",
                    render(backend.development_options(), backend.option_table),
                )
            )
    given.append(Layer("command line", list(overrides)))
    args = backend.prep_server_args()
    for layer in given:
        if layer.origin in ("devserver", "command line"):
            args = backend.override(args, layer.words)
    argv = None
    # A subclass of one of ours may have a start of its own.
    if isinstance(backend, CommandBackend) and (
        type(backend).start_server is CommandBackend.start_server
    ):
        try:
            argv = [*process.config.get("PREFIX", ()), *backend.command(args)]
        except ConfigurationError as error:
            message = f": {error.message}"
            raise process.fault(error.fault, message, error.hint) from None
    environment = _environment(process)
    if isinstance(backend, CommandBackend):
        environment = backend.environment() | environment
    if isinstance(backend, Backend):
        environment[options.VARIABLE] = backend.logs(args, process.name).encoded()
    return Plan(process, backend, args, list(overrides), given, argv, environment)


def start(plan: Plan) -> NoReturn:
    """
    Become the server: this returns to nobody, and raises what the server raises.

    Raises:
        ConfigurationError: Before anything has begun.
        SystemExit: The server's own exit.
    """
    _put_environment(plan)
    for name in (options.VARIABLE, proxy_headers.VARIABLE):
        os.environ.pop(name, None)  # of another process, that starts this one
    os.environ.update(plan.environment)
    config.configure_launcher()
    backend = plan.backend
    if isinstance(backend, CommandBackend):
        for key, why in backend.unsupported_keys().items():
            log(f"{key} does nothing here: {why}", logging.WARNING)
    for note in explain.notes(plan):
        log(note)
    if isinstance(backend, CommandBackend) and backend.env_prefix:
        _drop_service_links(backend.env_prefix)
    if isinstance(backend, Backend):
        _tell_the_probe(plan, backend)
    if plan.process.waits:
        # A start that waits for nothing need not load it.
        from django_prodserver.launch import wait_for

        _set_up_django()
        wait_for.wait(plan.process.waits, backend)
    if not isinstance(backend, CommandBackend) or plan.argv is None:
        _start_by_itself(plan)
    if isinstance(backend, WebBackend):
        for address in backend.addresses(plan.args):
            addresses.remove_stale(address)
    script = executable.find(backend.script)
    prefix = plan.process.config.get("PREFIX", ())
    preload = plan.process.config.get("PRELOAD", True)
    if preload and not prefix and not backend.must_exec(plan.args):
        reason = _warm(plan, backend) or backend.prepare(plan.args)
        if not reason:
            loader.install_own_heartbeat()
            loader.install_shutdown_deadline(backend)
            _run_in_place(script, plan.argv)
        log(f"not preloading, because {reason}", logging.WARNING)
    if backend.heartbeat_max_age(plan.args) and not _is_installed():
        # Nothing of ours runs in the process that this one becomes.
        hint = 'add "django_prodserver" to INSTALLED_APPS'
        heartbeat.beat("silent", f"what is not preloaded is joined by its app: {hint}")
    _exec([*prefix, script, *plan.argv[len(prefix) + 1 :]])


def _start_by_itself(plan: Plan) -> NoReturn:
    """Start what has a start of its own."""
    _set_up_django()
    if isinstance(plan.backend, Backend):
        try:
            plan.backend.check_loaded()
        except ConfigurationError as error:
            message = f": {error.message}"
            raise plan.process.fault(error.fault, message, error.hint) from None
    plan.backend.start_server(*plan.args)
    sys.exit(0)


def _tell_the_probe(plan: Plan, backend: Backend) -> None:
    """Write the small file that ``prodserver-probe`` reads, where one can be."""
    told = state.State(
        plan.process.name,
        backend.kind,
        backend=plan.process.config["BACKEND"],
        addresses=backend.addresses(plan.args),
        tls=backend.speaks_tls(plan.args),
        host=addresses.host_header(),
        max_age=_max_age(plan, backend),
        path=backend.path(plan.args),
    )
    # What cannot be told keeps nothing from starting: the probe says that it
    # cannot tell.
    try:
        file = state.write(told)
    except (OSError, ValueError):
        return
    if file is None:
        places = ", ".join(state.directories())
        why = f"there is no room, or no right, in {places}"
        log(f"the probe cannot tell: {why}", logging.WARNING)
        return
    # For the process itself and its workers, however they are started.
    os.environ[state.VARIABLE] = file
    heartbeat.beat("starting")


def _is_installed() -> bool:
    from django.conf import settings

    # "django_prodserver", or the path of its AppConfig, which may be the user's.
    ours = "django_prodserver"
    return any(app.partition(".")[0] == ours for app in settings.INSTALLED_APPS)


def _max_age(plan: Plan, backend: Backend) -> float:
    if not (default := backend.heartbeat_max_age(plan.args)):
        return 0  # nothing makes a heartbeat of none
    wanted: float = plan.process.config.get("HEALTH", {}).get("MAX_AGE", default)
    return wanted


def _warm(plan: Plan, backend: CommandBackend) -> str:
    """Load the application; return why it must be thrown away, or nothing."""
    with fork_safety.garbage_collection_paused():
        reason = _load(plan, backend)
        if not reason and backend.forks(plan.args):
            reason = fork_safety.find_obstacle()
        if not reason:
            # Kept out of the collector's sight, so that it never writes to the
            # memory that the workers share.
            gc.freeze()
    return reason


def _load(plan: Plan, backend: CommandBackend) -> str:
    from django.db import connections

    # What fails here is said as manage.py says it: natively uvicorn would start
    # its workers again without end.
    _set_up_django()
    try:
        backend.load(plan.args)
    except ConfigurationError as error:
        raise plan.process.fault(
            error.fault, f": {error.message}", error.hint
        ) from None
    except Exception as error:
        # The server shall say it its own way, and exit with its own code.
        return f"the application fails: {type(error).__name__}: {error}"
    connections.close_all()
    return ""


def _set_up_django() -> None:
    from django.apps import apps

    if not apps.ready:
        import django

        django.setup()
    config.configure()
    proxy_headers.install()


def _run_in_place(script: str, argv: Sequence[str]) -> NoReturn:
    sys.argv = [script, *argv[1:]]
    sys.stdout.flush()
    sys.stderr.flush()
    runpy.run_path(script, run_name="__main__")
    sys.exit(0)


def _exec(argv: list[str]) -> NoReturn:
    sys.stdout.flush()
    sys.stderr.flush()
    try:
        os.execvp(argv[0], argv)  # noqa: S606  # no shell, on purpose
    except OSError as error:
        message = f"{argv[0]} cannot be started: {error.strerror}."
        hint = "PREFIX begins with a command; is it installed?"
        if error.errno == errno.E2BIG:
            hint = "ENV or ARGS is too long; Linux takes 128 KiB a value, some MiB all."
        raise ConfigurationError(Fault.BAD_VALUE, message, hint) from None


def _environment(process: Process) -> dict[str, str]:
    """Return what a native command needs to find the project, and ``ENV``."""
    from django.conf import settings

    # Everything ahead of the standard library on sys.path was put there: the
    # folder of manage.py, the working directory, PYTHONPATH, --pythonpath.
    standard = os.path.dirname(os.__file__)  # noqa: PTH120  # as sys.path has it
    ahead = sys.path[: sys.path.index(standard)] if standard in sys.path else []
    bin_folder = os.path.dirname(sys.executable)  # noqa: PTH120
    folders = dict.fromkeys(
        os.path.abspath(folder)  # noqa: PTH100
        for folder in ahead
        if not folder.endswith(".zip") and folder != bin_folder
    )
    found = {"PYTHONPATH": os.pathsep.join(folders)} if folders else {}
    if settings.SETTINGS_MODULE:
        found["DJANGO_SETTINGS_MODULE"] = settings.SETTINGS_MODULE
    return found | process.environment


def _drop_service_links(prefix: str) -> None:
    """
    Drop what Kubernetes says of a Service that bears the server's name.

    ``UVICORN_PORT=tcp://10.0.0.1:80`` is read as the option, and ends the server.
    """
    for name, value in list(os.environ.items()):
        if name.startswith(prefix) and value.startswith("tcp://"):
            del os.environ[name]
            log(f"ignoring {name}={value}", logging.WARNING)


def _put_environment(plan: Plan) -> None:
    """
    Start this very command again if ``ENV`` is not in the environment.

    What an interpreter or the C library reads as it starts (``MALLOC_ARENA_MAX``,
    ``LD_PRELOAD``, ``PYTHONHASHSEED``) would come too late otherwise.
    """
    wanted = plan.process.environment
    if os.environ.pop(_REEXECUTED, "") == str(os.getpid()):
        return  # something on the way changes it back: once is enough
    if any(os.environ.get(name) != value for name, value in wanted.items()):
        os.environ.update(wanted)
        os.environ[_REEXECUTED] = str(os.getpid())
        _exec([sys.executable, *sys.orig_argv[1:]])
