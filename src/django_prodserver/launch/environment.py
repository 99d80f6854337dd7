"""The environment of a process: ``ENV``, the project's own, and the server's."""

from __future__ import annotations

import dataclasses
import logging
import os
from collections.abc import Mapping, Sequence

from django_prodserver.backends.base import Backend
from django_prodserver.config.context import Context
from django_prodserver.config.environment import VARIABLES
from django_prodserver.config.processes import Process
from django_prodserver.logs.config import log
from django_prodserver.process import entry, project


def of_command(process: Process) -> dict[str, str]:
    """Return what a native command needs to find the project, and ``ENV``."""
    return project.environment() | process.environment


def set_before_load(
    process: Process, backend: Backend, args: Sequence[str]
) -> Mapping[str, str]:
    """
    Return the variables that the settings must find when they are imported.

    They are ``ENV`` and the variables that the server itself sets before it loads the
    application, for example from an environment file. Variables that would change the
    command are left to the server, because the native command also sets them too late.
    """
    native = backend.as_command()
    if native is None:
        return process.environment
    given = {**os.environ, **process.environment}
    return process.environment | {
        name: value
        for name, value in native.server_environment(args, given).items()
        if name not in VARIABLES
        and name not in native.variables
        and not (native.env_prefix and name.startswith(native.env_prefix))
    }


def restart_with(variables: Mapping[str, str]) -> None:
    """
    Restart this command if these variables are not in the environment yet.

    The settings are already imported and may have read them. Others, such as
    ``MALLOC_ARENA_MAX``, ``LD_PRELOAD`` and ``PYTHONHASHSEED``, are read while Python
    or the C library starts.
    """
    context = Context.from_environment() or Context()
    if context.environment_set_by == os.getpid():
        return  # something resets a variable; restart only once
    if any(os.environ.get(name) != value for name, value in variables.items()):
        os.environ.update(variables)
        marked = dataclasses.replace(context, environment_set_by=os.getpid())
        marked.put_into_environment()
        entry.restart()


def drop_service_links(prefix: str) -> None:
    """
    Drop the variables that Kubernetes sets for a Service named like the server.

    The server would read ``UVICORN_PORT=tcp://10.0.0.1:80`` as an option, and exit.
    """
    for name, value in list(os.environ.items()):
        if name.startswith(prefix) and value.startswith("tcp://"):
            del os.environ[name]
            log(f"ignoring {name}={value}", logging.WARNING)
