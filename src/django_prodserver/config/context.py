"""
The data that the launcher passes to the process that it starts.

It is stored in one private environment variable, because an ``exec`` keeps nothing
else. The launcher sets it, and ``prodserver --dry-run`` prints it.
"""

from __future__ import annotations

import dataclasses
import json
import os
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

VARIABLE = "_PRODSERVER_CONTEXT"

#: ``LOG_FORMAT``; the last one leaves the server's own logging as it is.
NATIVE = "native"
LOG_FORMATS = ("text", "json", NATIVE)
LOG_LEVELS = ("debug", "info", "warning", "error", "critical")
#: ``Context.access_log``, where it is not the name of a logger.
ON, OFF = "on", "off"


@dataclass(frozen=True)
class Context:
    """
    How a process was started.

    Attributes:
        process: Its name in ``PRODUCTION_PROCESSES``.
        kind: "web", "worker" or "release"; "" if it is not known.
        command: The native command with its subcommand, ``celery worker``.
        log_format: One of ``LOG_FORMATS``; "" if the launcher has not decided.
        log_format_written: Whether the user chose it: then every line of the
            standard streams has that format.
        console_formatter: The formatter of the project's own console handler, as the
            JSON of its entry in LOGGING; used for our lines if no format is chosen.
        log_level: One of ``LOG_LEVELS``.
        access_log: "on", "off", or the name of the server's own access logger,
            whose handlers in LOGGING replace our access log.
        server_loggers: The server's own loggers.
        application: The project's application, ``module:attribute``, if the server
            loads one of ``backends.served`` instead.
        on_unix_socket: Whether the server listens on a unix socket.
        root_path: ``ROOT_PATH``.
        trusted_proxies: ``TRUSTED_PROXIES``.
        threads: ``THREADS``, for a server that has no option for it; 0 for none.
        state_file: The file that tells the probe about this process.
        environment_set_by: The ID of the process whose ``ENV`` is already set.
        entry: The variable or the file that names the project's entry.
        entry_pid: The ID of the process that was started through the entry.
        changes: What ``--compare`` changes in the process's settings, as JSON: see
            ``processes.Changes``.
    """

    process: str = ""
    kind: str = ""
    command: str = ""
    log_format: str = ""
    log_format_written: bool = False
    console_formatter: str = ""
    log_level: str = "info"
    access_log: str = ON
    server_loggers: tuple[str, ...] = ()
    application: str = ""
    on_unix_socket: bool = False
    root_path: str = ""
    trusted_proxies: tuple[str, ...] = ()
    threads: int = 0
    state_file: str = ""
    environment_set_by: int = 0
    entry: str = ""
    entry_pid: int = 0
    changes: str = ""

    @classmethod
    def decode(cls, text: str) -> Context | None:
        """Return the context in a string; None if this launcher did not write it."""
        try:
            values = json.loads(text)
            context = cls(**values)
        except (TypeError, ValueError):
            return None
        for field in dataclasses.fields(cls):
            value = getattr(context, field.name)
            if isinstance(value, list):
                object.__setattr__(context, field.name, value := tuple(value))
            if type(value) is not type(field.default):
                return None
        known = (*LOG_FORMATS, "")
        if context.log_format not in known or context.log_level not in LOG_LEVELS:
            return None
        return context

    @classmethod
    def from_environment(cls) -> Context | None:
        """Return this process's context; None if no launcher has set one."""
        text = os.environ.get(VARIABLE)
        return cls.decode(text) if text else None

    def encode(self) -> str:
        """Return it as JSON, without values that are defaults."""
        values = {
            field.name: getattr(self, field.name)
            for field in dataclasses.fields(self)
            if getattr(self, field.name) != field.default
        }
        return json.dumps(values, separators=(",", ":"))

    def put_into_environment(self) -> None:
        os.environ[VARIABLE] = self.encode()

    def options(self, argv: Sequence[str]) -> list[str]:
        """Return the words of the process's own command line after its command."""
        last = (self.command.split() or [""])[-1]
        return list(argv[argv.index(last) + 1 :]) if last in argv else []

    @property
    def logs_natively(self) -> bool:
        """Whether logging is left to the server and the project."""
        return self.log_format in ("", NATIVE)

    def is_for(self, argv: Sequence[str]) -> bool:
        """
        Tell whether a command line is that of the process itself.

        A command run by a task or a hook inherits the variable too, and its standard
        output may be data.
        """
        script, *words = self.command.split() or [""]
        # A management command may also be run by the project's own manage.py.
        runs = script == "django-admin" or (argv and Path(argv[0]).name == script)
        return bool(script and runs and all(word in argv[1:] for word in words))


def of_this_process() -> Context | None:
    """Return the context if it describes this command; None if not."""
    context = Context.from_environment()
    return context if context and context.is_for(sys.argv) else None
