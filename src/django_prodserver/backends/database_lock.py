"""A database lock, which is released when the process that holds it exits."""

from __future__ import annotations

import os
import sys
import threading
import time
from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote, urlsplit

if sys.platform == "win32":
    import msvcrt
else:
    import fcntl

from django.conf import settings

from django_prodserver.exceptions import ConfigurationError, Fault
from django_prodserver.process.retry import describe_error
from django_prodserver.text import did_you_mean, safe_repr

if TYPE_CHECKING:
    from django.db.backends.base.base import BaseDatabaseWrapper

#: Seconds between two confirmations of a held lock. They keep its connection active,
#: so that no database, pooler or proxy closes it for being idle.
CONFIRM_INTERVAL = 1.0
# Seconds, unless the options of the connection set them.
_CONNECT, _KEEP_ALIVE, _ANSWER = 10, 30, 10
# Seconds after which MySQL ends an idle session: the highest value that it accepts.
_LONGEST = 31536000
_BUILT_IN = "django.db.backends."


def is_alias_or_flag(value: object) -> bool:
    """Return whether a value is valid for ``LOCK`` and ``SINGLETON``."""
    return isinstance(value, bool) or (isinstance(value, str) and bool(value))


def alias(key: str, value: bool | str) -> str:
    """
    Return the alias of the database with the lock.

    Args:
        key: The key of the process.
        value: Its value: True, or an alias.

    Raises:
        ConfigurationError: It is not an alias of ``DATABASES``.
    """
    name = "default" if isinstance(value, bool) else value
    if name not in settings.DATABASES:
        message = f"{key} is {safe_repr(value)}, but DATABASES has no such alias."
        known = ", ".join(settings.DATABASES) or "none"
        hint = did_you_mean(name, settings.DATABASES) or f"It has: {known}."
        raise ConfigurationError(Fault.LOCK_UNSUPPORTED, message, hint)
    return name


class Lock(ABC):
    """A lock that only one process among all replicas can hold."""

    @abstractmethod
    def take(self) -> bool:
        """Try to take the lock, without waiting; return whether it is held now."""

    @abstractmethod
    def confirm(self) -> str:
        """Return why the lock is no longer held; "" if it is."""

    @abstractmethod
    def release(self) -> None:
        """Release the lock."""


def for_connection(
    connection: BaseDatabaseWrapper, name: str = "release", lease: int = 0
) -> Lock | None:
    """
    Return a lock of a database; None if that kind of database has no such lock.

    Args:
        connection: The connection to the database; the lock opens its own.
        name: The name of the lock.
        lease: Seconds after which the database releases the lock of a process that
            does not confirm it; 0 for never. A file lock is never released this way.
    """
    if connection.vendor == "postgresql":
        return _PostgreSQLLock(connection, name, lease)
    if connection.vendor == "mysql":
        return _MySQLLock(connection, name, lease)
    if connection.vendor == "sqlite" and not connection.is_in_memory_db():  # type: ignore[attr-defined]
        return _FileLock(connection, name)
    return None


class Keeper:
    """
    Confirms a lock periodically, from a thread.

    Args:
        lock: The lock, which is held.
        on_lost: Called in the thread, with the reason, when the lock is lost.

    Attributes:
        confirmed_at: The time of the last confirmation, from ``now``.
    """

    def __init__(self, lock: Lock, on_lost: Callable[[str], None]) -> None:
        self.confirmed_at = now()
        self._lock = lock
        self._on_lost = on_lost
        self._reason = ""
        self._one_at_a_time = threading.Lock()
        self._ended = threading.Event()
        threading.Thread(target=self._run, name="lock", daemon=True).start()

    def confirm(self) -> str:
        """Return why the lock is lost; "" if it is still held."""
        with self._one_at_a_time:
            asked_at = now()
            if not self._reason:
                self._reason = self._lock.confirm()
                self.confirmed_at = asked_at
        return self._reason

    def release(self) -> None:
        """Release the lock, and end the thread."""
        self._ended.set()
        with self._one_at_a_time:
            self._lock.release()

    def _run(self) -> None:
        while not self._ended.wait(CONFIRM_INTERVAL):
            if reason := self.confirm():
                if not self._ended.is_set():
                    self._on_lost(reason)
                return


def now() -> float:
    """Return the seconds of a clock that also runs while the machine is suspended."""
    if hasattr(time, "CLOCK_BOOTTIME"):
        return time.clock_gettime(time.CLOCK_BOOTTIME)
    return time.monotonic()


def _digest(text: str) -> bytes:
    # Imported here, because it is slow, and most starts need no lock.
    import hashlib

    return hashlib.sha256(text.encode()).digest()


class _ConnectionLock(Lock):
    """
    A lock with a separate connection.

    The commands close their own, which would release the lock.
    """

    options: dict[str, object] = {}

    def __init__(self, connection: BaseDatabaseWrapper, name: str, lease: int) -> None:
        self._name = f"django-prodserver {name}"
        self._lease = lease
        self._connection = connection.copy()
        self._connection.inc_thread_sharing()
        options = self._connection.settings_dict["OPTIONS"]
        options.pop("pool", None)
        # Other engines have drivers with other options.
        if str(connection.settings_dict["ENGINE"]).startswith(_BUILT_IN):
            for option, value in self.options.items():
                options.setdefault(option, value)

    def confirm(self) -> str:
        from django.db import Error

        try:
            return "" if self._ask(*self.still) else "another connection holds it"
        except Error as error:
            return describe_error(error)

    def release(self) -> None:
        self._connection.close()

    def _ask(self, sql: str, *parameters: str | int) -> Any:
        with self._connection.cursor() as cursor:
            cursor.execute(sql, parameters)
            return cursor.fetchone()[0]

    still: tuple[Any, ...]


class _PostgreSQLLock(_ConnectionLock):
    """
    An advisory lock of a transaction, not of a session.

    A pooler such as PgBouncer may give each transaction another session. The lock is
    polled: a statement that waits in the database has a snapshot, and CREATE INDEX
    CONCURRENTLY waits for those.
    """

    options = {
        "connect_timeout": _CONNECT,
        "keepalives_idle": _KEEP_ALIVE,
        "tcp_user_timeout": _ANSWER * 1000,
    }
    still = ("SELECT 1",)

    def take(self) -> bool:
        # The lock is of this database only; its key is 63 bits of the name.
        key = int.from_bytes(_digest(self._name)[:8]) >> 1
        self._connection.set_autocommit(False)
        with self._connection.cursor() as cursor:
            # At this level there is no snapshot between two statements.
            cursor.execute("SET TRANSACTION ISOLATION LEVEL READ COMMITTED")
            cursor.execute(
                f"SET LOCAL idle_in_transaction_session_timeout = '{self._lease}s'"
            )
            if self._connection.pg_version >= 170000:  # type: ignore[attr-defined]
                cursor.execute("SET LOCAL transaction_timeout = 0")
        taken = bool(self._ask("SELECT pg_try_advisory_xact_lock(%s)", key))
        if not taken:
            self._connection.rollback()
        return taken


class _MySQLLock(_ConnectionLock):
    """A named lock of a session."""

    options = {"connect_timeout": _CONNECT, "read_timeout": _ANSWER}

    def __init__(self, connection: BaseDatabaseWrapper, name: str, lease: int) -> None:
        super().__init__(connection, name, lease)
        # All databases of a server share the names, which have at most 64 characters.
        database = str(connection.settings_dict["NAME"])
        text = f"{self._name} {database}"
        self._key = _digest(text).hex()[:40]
        self.still = ("SELECT IS_USED_LOCK(%s) = CONNECTION_ID()", self._key)

    def take(self) -> bool:
        with self._connection.cursor() as cursor:
            cursor.execute("SET SESSION wait_timeout = %s", [self._lease or _LONGEST])
        return bool(self._ask("SELECT GET_LOCK(%s, 0)", self._key))


class _FileLock(Lock):
    """
    For SQLite: a file next to that of the database, which the commands lock.

    The file is never removed, as another process may just have locked it.
    """

    def __init__(self, connection: BaseDatabaseWrapper, name: str) -> None:
        path = str(connection.settings_dict["NAME"])
        # Django passes a URI, such as "file:db.sqlite3?mode=rwc", on to SQLite.
        if path.startswith("file:"):
            path = unquote(urlsplit(path).path)
        self._path = f"{path}.{name}-lock"
        self._file = -1

    def take(self) -> bool:
        if self._file < 0:
            # Writable for every user who may write to the directory.
            # Python opens it close-on-exec.
            self._file = os.open(self._path, os.O_RDWR | os.O_CREAT)
        try:
            # This lock is not inherited by children, which may outlive the process.
            if sys.platform == "win32":
                msvcrt.locking(self._file, msvcrt.LK_NBLCK, 1)
            else:
                fcntl.lockf(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except (BlockingIOError, PermissionError):
            return False
        return True

    def confirm(self) -> str:
        return ""

    def release(self) -> None:
        os.close(self._file)
