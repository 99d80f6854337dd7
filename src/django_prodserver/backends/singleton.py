"""Keep one process active among its replicas, with a database lock."""

from __future__ import annotations

import logging
import time
from collections.abc import Iterator, Mapping
from typing import Any, NoReturn

from django_prodserver.backends import database_lock
from django_prodserver.exceptions import (
    ConfigurationError,
    ExitCode,
    Fault,
    UnavailableError,
)
from django_prodserver.health import heartbeat
from django_prodserver.logs.config import log
from django_prodserver.process import project
from django_prodserver.process.deadline import kill_all, real, write_line
from django_prodserver.process.retry import describe_error

KEY = "SINGLETON"
# Seconds after which the database releases the lock of a process that does not confirm
# it, for example because it is stopped (SIGSTOP) or its machine is gone.
_LEASE = 10
# Seconds after which the process itself assumes that the lock is lost: less, so that it
# has stopped before another replica is active.
_LIMIT = 8.0
# Seconds between two attempts to take the lock, and to reach the database.
_RETRY = 1.0
# Seconds between two checks of the lock.
_WATCH = 0.5


def faults(config: Mapping[str, Any]) -> Iterator[ConfigurationError]:
    """Yield the errors in the settings for ``SINGLETON``."""
    if not (value := config.get(KEY)):
        return
    try:
        database_lock.alias(KEY, value)
    except ConfigurationError as error:
        yield error
    if not project.is_installed():
        message = f"{KEY} is set, but django_prodserver is not in INSTALLED_APPS."
        hint = 'Add "django_prodserver" to INSTALLED_APPS.'
        yield ConfigurationError(Fault.LOCK_UNSUPPORTED, message, hint)


def check_database(config: Mapping[str, Any]) -> None:
    """
    Check that the database supports a lock; Django must be set up.

    Raises:
        ConfigurationError: It does not.
    """
    from django.db import connections

    if value := config.get(KEY):
        connection = connections[database_lock.alias(KEY, value)]
        if not database_lock.for_connection(connection):
            database = f"this {connection.vendor} database"
            message = f"{KEY} is {value!r}, but {database} cannot hold a lock."
            hint = f"Set {KEY} to the alias of PostgreSQL, MySQL or an SQLite file."
            raise ConfigurationError(Fault.LOCK_UNSUPPORTED, message, hint)


class Singleton:
    """
    A process with one active replica at a time; the others are standbys.

    Args:
        name: The name of the process, which its replicas share.
        alias: The alias of the database that keeps the lock.

    Attributes:
        waited: Whether another replica was active when this one started.
    """

    def __init__(self, name: str, alias: str) -> None:
        from django.db import connections

        self.waited = False
        lock = database_lock.for_connection(
            connections[alias], f"{name}-singleton", _LEASE
        )
        if not lock:
            # As check_database() has it, for a start that skips the checks.
            message = f"The database {alias!r} cannot hold the lock for {KEY}."
            raise UnavailableError(message)
        self._lock = lock
        self._keeper: database_lock.Keeper | None = None

    def wait(self) -> None:
        """
        Wait until this replica is the active one.

        Raises:
            SystemExit: The first attempt to reach the database failed.
        """
        from django.db import Error

        has_answered = is_away = False
        while True:
            try:
                if self._lock.take():
                    break
            except (Error, OSError) as error:
                self._lock.release()
                reason = describe_error(error)
                if not has_answered:
                    log(f"The {KEY} lock cannot be taken: {reason}", logging.ERROR)
                    raise SystemExit(int(ExitCode.UNAVAILABLE)) from None
                if not is_away:
                    log(f"The database is unavailable: {reason}", logging.ERROR)
                is_away = True
                heartbeat.beat("starting", "no connection to the database")
            else:
                has_answered, is_away = True, False
                if not self.waited:
                    log("standby: another replica is active")
                self.waited = True
                heartbeat.beat("standby", "another replica is active")
            time.sleep(_RETRY)
        if self.waited:
            log("active: the other replica has ended")
        heartbeat.beat("starting")
        self._keeper = database_lock.Keeper(self._lock, _end)

    def check(self) -> None:
        """
        End this process unless it is still the active one.

        It may have been stopped or suspended, and another replica may be active now.
        """
        if not self._keeper:
            _end("it was never taken")
        age = database_lock.now() - self._keeper.confirmed_at
        if age > _LIMIT:
            _end(f"not confirmed for {age:.0f} s")

    def watch(self) -> None:
        """Check from now on, in a thread that nothing in the process can block."""
        real("start_new_thread")(self._watch, ())

    def _watch(self) -> None:
        sleep = real("sleep")
        while True:
            self.check()
            sleep(_WATCH)


def _end(reason: str) -> NoReturn:
    """Kill the process and its children at once: another replica does their work."""
    write_line(f"The {KEY} lock was lost, another replica may be active: {reason}")
    kill_all(ExitCode.UNAVAILABLE)
