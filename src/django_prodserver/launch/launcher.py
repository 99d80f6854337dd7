"""Start a planned process, in this process or by exec."""

from __future__ import annotations

import dataclasses
import gc
import logging
import os
import sys
from pathlib import Path
from typing import NoReturn

from django_prodserver.backends import addresses, loader
from django_prodserver.backends.base import CommandBackend
from django_prodserver.config.context import VARIABLE, Context
from django_prodserver.exceptions import ConfigurationError
from django_prodserver.health import heartbeat, state
from django_prodserver.launch import environment, http_probe, media
from django_prodserver.launch.plan import Plan
from django_prodserver.logs.config import configure_launcher, detach_from_root, log
from django_prodserver.process import (
    bootstrap,
    descriptors,
    executable,
    fork_repair,
    fork_safety,
    load_witness,
    logging_state,
    preload_memory,
    project,
    random_state,
    start_timeout,
)
from django_prodserver.process.executable import Program
from django_prodserver.process.fork_safety import Snapshot
from django_prodserver.process.logging_state import LoggingState
from django_prodserver.text import redact


def start(
    plan: Plan, before: Snapshot | None = None, entry: Program | None = None
) -> NoReturn:
    """
    Replace this process with the server; never returns.

    Args:
        plan: What to start.
        before: A snapshot from before the settings were loaded, if one was taken.
        entry: The project's entry, if it started this process.

    Raises:
        ConfigurationError: The process cannot be started.
        UnavailableError: A dependency in ``WAIT_FOR`` was not available in time.
        SystemExit: The server's own exit.
    """
    plan.check()
    before = before or fork_safety.snapshot()
    environment.restart_with(
        environment.set_before_load(plan.process, plan.backend, plan.args)
    )
    # Drop the context of a parent that was started by prodserver too.
    os.environ.pop(VARIABLE, None)
    os.environ.update(plan.environment)
    configure_launcher()
    for key, why in plan.backend.unsupported_keys().items():
        log(f"{key} has no effect here: {why}", logging.WARNING)
    for warning in (*plan.backend.start_warnings(plan.args), *media.warnings()):
        log(warning, logging.WARNING)
    for note in plan.notes:
        log(note)
    if plan.backend.env_prefix:
        environment.drop_service_links(plan.backend.env_prefix)
    if plan.backend.kind:
        _write_state(plan)
        before = http_probe.start(before)
    if plan.process.waits:
        # Imported here, because most starts wait for nothing.
        from django_prodserver.launch import wait_for

        bootstrap.set_up_django()
        wait_for.wait(plan.process.waits, plan.backend)
    if native := plan.backend.as_command():
        _run_command(plan, native, before, _find_program(plan, entry))
    _run_start_server(plan)


def _write_state(plan: Plan) -> None:
    """Write the file that ``prodserver-probe`` reads."""
    backend = plan.backend
    max_age = backend.heartbeat_max_age(plan.args)
    if max_age:
        max_age = plan.process.config.get("HEALTH", {}).get("MAX_AGE", max_age)
    described = state.State(
        plan.process.name,
        backend.kind,
        backend=plan.process.config["BACKEND"],
        addresses=backend.addresses(plan.args),
        tls=backend.speaks_tls(plan.args),
        host=addresses.host_header(),
        max_age=max_age,
        path=backend.path(plan.args),
    )
    # Start even if the file cannot be written; the probe then reports that it
    # cannot tell.
    try:
        file = state.write(described)
    except (OSError, ValueError):
        return
    if file is None:
        places = ", ".join(state.directories())
        why = f"cannot write to {places} (no space, or no permission)"
        log(f"the probe will not work: {why}", logging.WARNING)
        return
    # The process and its workers find the file through the environment.
    context = plan.context or Context(process=plan.process.name)
    dataclasses.replace(context, state_file=file).put_into_environment()
    heartbeat.beat("starting")
    user = backend.user(plan.args)
    if user is not None:
        state.hand_over(file, user)


def _run_start_server(plan: Plan) -> NoReturn:
    """Run a backend that has no native command, or starts it in its own way."""
    bootstrap.set_up_django()
    with plan.process.named_faults():
        plan.backend.check_loaded()
    if plan.backend.kind == "worker":
        loader.install_in_worker(plan.backend)
    plan.backend.start_server(*plan.args)
    sys.exit(0)


def _find_program(plan: Plan, entry: Program | None) -> Program:
    """Return the program that runs the command: a console script, or the entry."""
    if entry and plan.runs_management_command:
        return entry
    script = executable.find(plan.command[len(plan.prefix)])
    return Program((script,), script)


def _run_command(
    plan: Plan, backend: CommandBackend, before: Snapshot, program: Program
) -> NoReturn:
    """Run the native command in this process, with the application preloaded."""
    args = plan.args
    for address in backend.addresses(args):
        addresses.remove_stale(address)
    if plan.process.preload and not plan.prefix and program.script:
        _try_in_place(plan, backend, program, before)
    if sys.platform == "win32" and program.script and not plan.prefix:
        _run_in_place(plan, backend, program)
    _replace_process(plan, backend, program, before)


def _run_in_place(plan: Plan, backend: CommandBackend, program: Program) -> NoReturn:
    """Run the script in this process, on Windows, which cannot replace a process."""
    if backend.kind != "web":
        bootstrap.set_up_django()
        loader.install_in_worker(backend)
    _take_arguments(plan, program)
    executable.run_script(program.script)
    sys.exit(0)


def _take_arguments(plan: Plan, program: Program) -> None:
    """Set the command line and the path that the script finds on its own."""
    # Executables on Windows omit their suffix here.
    sys.argv = [program.script.removesuffix(".exe"), *plan.options]
    # The interpreter puts a script's directory first.
    directory = str(Path(program.script).absolute().parent)
    sys.path[:] = [directory, *(each for each in sys.path if each != directory)]


def _try_in_place(
    plan: Plan, backend: CommandBackend, program: Program, before: Snapshot
) -> None:
    """Run the script in this process; return if it must be started by exec instead."""
    reason = backend.must_exec(plan.args)
    if not reason and plan.process.preload is not True and backend.forks(plan.args):
        reason = fork_safety.blind_spot()
    if reason:
        log(f"not preloading, because {reason}")
        return
    memory = preload_memory.Memory(plan.process.name, plan.command)
    reason = "" if plan.process.preload is True else memory.reason_given_up()
    if not reason:
        _run_preloaded(plan, backend, program, before, memory)
    log(f"not preloading, because {reason} at the last start", logging.WARNING)
    _end_application(before)


def _run_preloaded(
    plan: Plan,
    backend: CommandBackend,
    program: Program,
    before: Snapshot,
    memory: preload_memory.Memory,
) -> NoReturn:
    """Run the script in this process and load the application before it forks."""
    # Until the application is loaded, the server must see untouched logging.
    detach_from_root()
    restore_logging = logging_state.suspend()
    before_server = fork_safety.everything()

    def load() -> None:
        # Workers of the native command also share what the server has opened by now,
        # such as a socket for statsd.
        not_ours = before.with_new(before_server, fork_safety.everything())
        server_logging = LoggingState.now()
        logging_state.hide_handlers()
        restore_logging()
        if reason := _preload(plan, backend, not_ours, memory):
            log(f"not preloading, because {reason}", logging.WARNING)
            _end_application(before)
            _replace_process(plan, backend, program, before)
        loader.install_in_worker(backend)
        if backend.forks(plan.args):
            backend.defer_logging(plan.args, server_logging)

    _take_arguments(plan, program)
    backend.call_before_fork(plan.args, load)
    sys.stdout.flush()
    sys.stderr.flush()
    executable.run_script(program.script)
    sys.exit(0)


def _preload(
    plan: Plan,
    backend: CommandBackend,
    before: Snapshot,
    memory: preload_memory.Memory,
) -> str:
    """Load the application; return why it cannot be used after a fork, or ""."""
    obstacle = ""
    with fork_safety.garbage_collection_paused():
        with random_state.record_seeds() as seeds, load_witness.watch_load() as witness:
            failure = _load(plan, backend)
        if failure:
            return failure  # maybe not caused by the code: try again next time
        if backend.forks(plan.args):
            fork_repair.repair(seeds)
            obstacle = fork_safety.find_obstacle(before) or witness.find_obstacle()
        given_up = obstacle if plan.process.preload is not True else ""
        if not given_up:
            # Exclude these objects from garbage collection, which would write to
            # memory that the workers share.
            gc.freeze()
    if obstacle and not given_up:
        log(f"preloading, although {obstacle}: PRELOAD is True", logging.WARNING)
    given_up = given_up or backend.prepare(plan.args)
    memory.remember(preloaded=not given_up, reason=given_up or obstacle)
    way_out = f". {fork_safety.WAY_OUT}" if given_up and given_up == obstacle else ""
    return given_up + way_out


def _load(plan: Plan, backend: CommandBackend) -> str:
    try:
        with (
            plan.process.named_faults(),
            start_timeout.limit(plan.process.start_timeout),
        ):
            backend.load(plan.args)
    except ConfigurationError:
        raise
    except Exception as error:
        # Let the server report it in its own way and exit with its own code. This
        # text is logged, remembered and shown by --explain.
        return redact(f"the application fails: {type(error).__name__}: {error}")
    fork_repair.close_database_connections()
    return ""


def _end_application(before: Snapshot) -> None:
    """Clean up after the application as at the end of a process."""
    executable.run_exit_functions()
    fork_safety.end_children(before.children)


def _replace_process(
    plan: Plan, backend: CommandBackend, program: Program, before: Snapshot
) -> NoReturn:
    """Replace this process with the native command, which loads the application."""
    if plan.process.config.get("WARM_UP"):
        why = "the application is not preloaded"
        log(f"WARM_UP has no effect here: {why}", logging.WARNING)
    if backend.heartbeat_max_age(plan.args) and not project.is_installed():
        # Without our app, none of our code runs after the exec.
        hint = 'add "django_prodserver" to INSTALLED_APPS'
        heartbeat.beat("silent", f"without a preload, our app must send it: {hint}")
    # It would end with this program, and be a zombie of the next one.
    fork_safety.stop_idle_resource_tracker(before.children)
    descriptors.close_on_exec(before.descriptors)
    executable.replace_process([*plan.prefix, *program.command, *plan.options])
