"""A release: management commands that run before the other processes start."""

from __future__ import annotations

import logging
import os
import shlex
import signal
import socket
import sys
import threading
from collections.abc import Iterator, Sequence
from types import FrameType
from typing import TYPE_CHECKING

from django_prodserver.backends import database_lock
from django_prodserver.backends.base import Backend
from django_prodserver.backends.django_command import command_words
from django_prodserver.exceptions import (
    ConfigurationError,
    ExitCode,
    Fault,
    UnavailableError,
    UsageError,
)
from django_prodserver.health import heartbeat
from django_prodserver.logs.config import log
from django_prodserver.process import bootstrap, project
from django_prodserver.process.retry import Backoff, describe_error, timeout
from django_prodserver.text import did_you_mean, redact_words, safe_repr

if TYPE_CHECKING:
    from django.db.backends.base.base import BaseDatabaseWrapper

# Seconds after which the log has a line about a second connection.
_SECOND_CONNECTION = 2.0
_FORM = 'Write COMMANDS as ["migrate --noinput", ["command", "argument"]].'


class ManagementCommands(Backend):
    """
    Run the management commands in ``COMMANDS``, one after the other.

    A command that fails ends the process, with that command's exit code. The process
    holds a lock in the database (unless ``"LOCK": False``), so that of several
    releases started at once, each waits for the one before it: the first one
    migrates, and the others find nothing to do.
    """

    kind = "release"
    own_keys = {
        "COMMANDS": "The management commands, in order, each as a string or a list of "
        "words.",
        "LOCK": "Whether a database lock makes releases run one after the other. An "
        "alias of DATABASES takes the lock in that database. Default True.",
    }

    def native_omissions(self) -> list[str]:
        return [*super().native_omissions(), *{"LOCK"}.intersection(self.config)]

    def heartbeat_max_age(self, args: Sequence[str]) -> float:
        # It has no loop. Its heartbeat is "busy", which counts at any age.
        return 1

    def commands(self) -> list[list[str]]:
        """
        Return the commands, each as words.

        Raises:
            ConfigurationError: ``COMMANDS`` is not a list of commands.
        """
        found = self.config.get("COMMANDS")
        if not isinstance(found, list | tuple) or not found:
            problem = "has no COMMANDS"
            if found is not None:
                problem = f"has the COMMANDS {safe_repr(found)}"
            message = f"{type(self).__name__} {problem}; it needs a list of commands."
            raise ConfigurationError(Fault.BAD_VALUE, message, _FORM)
        return [command_words(command, "COMMANDS has", _FORM) for command in found]

    def native_commands(self, args: Sequence[str]) -> list[list[str]]:
        if args:
            message = f"{type(self).__name__} takes no options: {shlex.join(args)}."
            raise UsageError(message, "Write them in COMMANDS, after their command.")
        return [[project.admin_script(), *words] for words in self.commands()]

    def check(self) -> Iterator[ConfigurationError]:
        for key in {"ARGS", "PREFIX", "PRELOAD", "START_TIMEOUT"} & set(self.config):
            message = f"{type(self).__name__} does not support {key}."
            hint = "Write options in COMMANDS, after their command."
            yield ConfigurationError(Fault.BAD_VALUE, message, hint)
        lock = self.config.get("LOCK", True)
        if not database_lock.is_alias_or_flag(lock):
            message = f"LOCK is {safe_repr(lock)}."
            hint = "Write LOCK as True, False or an alias of DATABASES."
            yield ConfigurationError(Fault.BAD_VALUE, message, hint)
        try:
            if isinstance(lock, str) and lock:
                database_lock.alias("LOCK", lock)
            self.commands()
            timeout()
        except ConfigurationError as error:
            yield error

    def check_loaded(self) -> None:
        from django.core.management import get_commands

        with bootstrap.named_driver_errors():
            connection = self._connection()
            connection.vendor  # noqa: B018  # imports the driver
        known = get_commands()
        for name, *_ in self.commands():
            if name not in known:
                message = (
                    f"COMMANDS names {safe_repr(name)}, but no app has that command."
                )
                hint = did_you_mean(name, known) or "Is its app in INSTALLED_APPS?"
                raise ConfigurationError(Fault.RELEASE_UNSUPPORTED, message, hint)
        lock = self.config.get("LOCK", False)
        if lock and not database_lock.for_connection(connection):
            database = f"this {connection.vendor} database"
            message = f"LOCK is {lock!r}, but {database} cannot hold a lock."
            hint = "Set LOCK to False, and start one release at a time."
            raise ConfigurationError(Fault.RELEASE_UNSUPPORTED, message, hint)

    def _connection(self) -> BaseDatabaseWrapper:
        """Return the connection to the database that keeps the lock."""
        from django.db import connections

        return connections[database_lock.alias("LOCK", self.config.get("LOCK") or True)]

    def start_server(self, *args: str) -> None:
        """Run the commands, and exit."""
        self.native_commands(args)  # for its errors
        commands = self.commands()
        stop_handler = _StopHandler()
        keeper = None
        if self.config.get("LOCK", True):
            keeper = _take_lock(self._connection(), stop_handler)
        texts = [shlex.join(redact_words(words)) for words in commands]
        for number, (words, text) in enumerate(zip(commands, texts, strict=True)):
            stop_handler.during = text
            heartbeat.beat("busy", f"running {text}")
            log(f"running {text}")
            code = _run(words)
            left = "; ".join(texts[number + 1 :])
            left = f", not running: {left}" if left else ""
            if code:
                log(f"{text} failed with exit code {code}{left}", logging.ERROR)
                sys.exit(code)
            if keeper and (reason := keeper.confirm()):
                message = f"The database lock was lost during {text}{left}."
                message = f"{message} {reason}"
                hint = (
                    "Another release may have run at the same time. Run this one again."
                )
                raise UnavailableError(message, hint)
        if keeper:
            keeper.release()
        sys.exit(0)


class _StopHandler:
    """
    Exit at once on SIGTERM, as a management command does.

    A thread waits for the signal: a handler in Python would not run before a call
    into C returns, and might run just before a long sleep begins.

    Attributes:
        during: What is in progress, for the log.
    """

    during = "the wait for the lock"

    def __init__(self) -> None:
        # Sockets: on Windows, Python can write signals to nothing else.
        self._reader, self._writer = socket.socketpair()
        self._writer.setblocking(False)
        signal.signal(signal.SIGTERM, _ignore)
        signal.set_wakeup_fd(self._writer.fileno(), warn_on_full_buffer=False)
        if hasattr(os, "register_at_fork"):
            os.register_at_fork(after_in_child=_restore_default)
        threading.Thread(target=self._listen, name="stop", daemon=True).start()

    def _listen(self) -> None:
        while self._reader.recv(1) != bytes([signal.SIGTERM]):
            pass  # Python itself handles SIGINT
        log(f"SIGTERM during {self.during}", logging.WARNING)
        os._exit(ExitCode.RELEASE_STOPPED)


def _ignore(signum: int, frame: FrameType | None) -> None:
    """Handle the signal, which makes Python write it to the pipe."""


def _restore_default() -> None:
    """Undo the handler in a child that a command has forked."""
    signal.set_wakeup_fd(-1)
    if signal.getsignal(signal.SIGTERM) is _ignore:
        signal.signal(signal.SIGTERM, signal.SIG_DFL)


def _take_lock(
    connection: BaseDatabaseWrapper, stop_handler: _StopHandler
) -> database_lock.Keeper | None:
    """Wait for the lock and take it; None if the database cannot hold one."""
    from django.db import Error

    lock = database_lock.for_connection(connection)
    if not lock:
        return None
    backoff = Backoff("the database lock")
    try:
        while not lock.take():
            heartbeat.beat("starting", f"waiting for {backoff.what}")
            backoff.wait("another release holds it")
    except (Error, OSError) as error:
        message = f"The database lock cannot be taken: {describe_error(error)}."
        hint = 'To wait for the database: "WAIT_FOR": ["database"].'
        raise UnavailableError(message, hint) from None
    backoff.succeeded()

    def warn(reason: str) -> None:
        # The command continues: cutting off a migration may do more harm than a second
        # release.
        log(
            f"The database lock was lost during {stop_handler.during}, and "
            f"another release may run at the same time: {reason}",
            logging.ERROR,
        )

    keeper = database_lock.Keeper(lock, warn)
    if connection.vendor != "sqlite":
        stop_handler.during = "the wait for a second connection"
        _wait_for_second_connection(connection)
    return keeper


def _wait_for_second_connection(connection: BaseDatabaseWrapper) -> None:
    """
    Wait until the database answers over a second connection, besides the lock's.

    The commands need one, and the lock may be using a pooler's only connection.
    """
    from django.db import Error

    second = connection.copy()
    second.settings_dict["OPTIONS"].pop("pool", None)
    second.inc_thread_sharing()
    problems: list[str] = []

    def connect() -> None:
        try:
            with second.cursor() as cursor:
                cursor.execute("SELECT 1")
            second.close()
            problems.append("")
        except Error as error:
            problems.append(describe_error(error))

    thread = threading.Thread(target=connect, name="second connection", daemon=True)
    thread.start()
    thread.join(_SECOND_CONNECTION)
    backoff = Backoff("a second connection to the database")
    hint = (
        "A pooler such as PgBouncer needs a pool_size of 2 or more. Or name the alias "
        'of a direct connection: "LOCK": "direct".'
    )
    if thread.is_alive():
        log(f"The lock may be using the only connection. {hint}", logging.WARNING)
    try:
        while thread.is_alive():
            heartbeat.beat("starting", f"waiting for {backoff.what}")
            backoff.wait("no answer")
    except UnavailableError as error:
        raise UnavailableError(error.message, hint) from None
    if problem := "".join(problems):
        message = f"The database refuses a connection besides the lock's: {problem}."
        raise UnavailableError(message, hint)
    backoff.succeeded()


def _run(words: list[str]) -> int:
    """Run a command as ``django-admin`` does, and return its exit code."""
    from django.core.management import execute_from_command_line

    sys.argv = ["django-admin", *words]
    try:
        execute_from_command_line(sys.argv)
    except SystemExit as end:
        if end.code is None or isinstance(end.code, int):
            return end.code or 0
        log(str(end.code), logging.ERROR)
        return 1
    finally:
        sys.stdout.flush()
    return 0
