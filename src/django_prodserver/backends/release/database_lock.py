"""A lock in the database, released when the process that holds it ends."""

from __future__ import annotations

import hashlib
import os
import sys
from abc import ABC, abstractmethod
from typing import Any
from urllib.parse import unquote, urlsplit

if sys.platform == "win32":
    import msvcrt
else:
    import fcntl

from django.db import Error
from django.db.backends.base.base import BaseDatabaseWrapper

_NAME = "django-prodserver release"
# Seconds, where the options of the connection do not set them.
_CONNECT, _KEEP_ALIVE = 10, 30


class Lock(ABC):
    """A lock that one process among all replicas can hold."""

    @abstractmethod
    def take(self) -> bool:
        """Try to take the lock, without waiting; return whether it is held now."""

    @abstractmethod
    def is_held(self) -> bool:
        """Return whether the lock is still held."""

    @abstractmethod
    def release(self) -> None:
        """Release the lock."""


def for_connection(connection: BaseDatabaseWrapper) -> Lock | None:
    """Return the lock of a database; None if that kind has no such lock."""
    kind: type[_FileLock | _ConnectionLock] | None = _KINDS.get(connection.vendor)
    if kind is _FileLock and connection.is_in_memory_db():  # type: ignore[attr-defined]
        return None
    return kind(connection) if kind else None


class _ConnectionLock(Lock):
    """
    A lock that belongs to its own connection.

    The commands close theirs, which would release the lock.
    """

    options: dict[str, object] = {}

    def __init__(self, connection: BaseDatabaseWrapper) -> None:
        self._connection = connection.copy()
        options = self._connection.settings_dict["OPTIONS"]
        options.pop("pool", None)
        for name, value in self.options.items():
            options.setdefault(name, value)

    def is_held(self) -> bool:
        try:
            return bool(self._ask(*self.still))
        except Error:
            return False

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

    options = {"connect_timeout": _CONNECT, "keepalives_idle": _KEEP_ALIVE}
    still = ("SELECT 1",)
    # The lock is of this database only; its key is 63 bits of the name.
    _key = int.from_bytes(hashlib.sha256(_NAME.encode()).digest()[:8]) >> 1

    def take(self) -> bool:
        self._connection.set_autocommit(False)
        with self._connection.cursor() as cursor:
            # At this level there is no snapshot between two statements.
            cursor.execute("SET TRANSACTION ISOLATION LEVEL READ COMMITTED")
            cursor.execute("SET LOCAL idle_in_transaction_session_timeout = 0")
            if self._connection.pg_version >= 170000:  # type: ignore[attr-defined]
                cursor.execute("SET LOCAL transaction_timeout = 0")
        taken = bool(self._ask("SELECT pg_try_advisory_xact_lock(%s)", self._key))
        if not taken:
            self._connection.rollback()
        return taken


class _MySQLLock(_ConnectionLock):
    """A named lock of a session."""

    def __init__(self, connection: BaseDatabaseWrapper) -> None:
        super().__init__(connection)
        # All databases of a server share the names, which have at most 64 characters.
        database = str(connection.settings_dict["NAME"])
        self._name = hashlib.sha256(f"{_NAME} {database}".encode()).hexdigest()[:40]
        self.still = ("SELECT IS_USED_LOCK(%s) = CONNECTION_ID()", self._name)

    def take(self) -> bool:
        return bool(self._ask("SELECT GET_LOCK(%s, 0)", self._name))


class _FileLock(Lock):
    """
    For SQLite: a file beside that of the database, which the commands lock.

    The file is never removed: another process may just have locked it.
    """

    def __init__(self, connection: BaseDatabaseWrapper) -> None:
        name = str(connection.settings_dict["NAME"])
        # Django passes a URI, such as "file:db.sqlite3?mode=rwc", on to SQLite.
        path = unquote(urlsplit(name).path) if name.startswith("file:") else name
        self._path = f"{path}.release-lock"
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

    def is_held(self) -> bool:
        return True

    def release(self) -> None:
        os.close(self._file)


_KINDS: dict[str, type[_FileLock | _ConnectionLock]] = {
    "postgresql": _PostgreSQLLock,
    "mysql": _MySQLLock,
    "sqlite": _FileLock,
}
