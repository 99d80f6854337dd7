"""
Readiness checks: each runs in its own thread, and requests share the result.

A check that hangs blocks one thread, however often it is requested, and no request
waits for its connection. Twice a minute it is started again, because its connection
may be lost for good while the service itself is back.
"""

from __future__ import annotations

import asyncio
import contextvars
import logging
import math
import threading
import time
from collections.abc import Callable
from concurrent.futures import Future, wait
from functools import partial
from importlib import import_module
from typing import cast

from asgiref.sync import async_to_sync, iscoroutinefunction
from django.core.cache import caches
from django.db import connections

from django_prodserver.config.wait_for import split_alias
from django_prodserver.health import conf
from django_prodserver.text import is_missing, redact

logger = logging.getLogger("django_prodserver.health")
# Seconds after which a hanging run is abandoned and a new one is started.
_GIVE_UP_AFTER = 30.0
# The number of hanging runs of a check at which no more are started.
_MAX_HANGING = 10


class NotReady(Exception):
    """Raised by a check if its message needs no exception class in front."""


class CheckRun:
    """One run of a check; its future is True if it passed in time."""

    def __init__(self, timeout: float) -> None:
        self.started = time.monotonic()
        self.deadline = self.started + timeout
        self.finished = math.inf
        self.future: Future[bool] = Future()
        # A caller that stops waiting must not cancel it for the others.
        self.future.set_running_or_notify_cancel()

    def remaining(self) -> float:
        """Return the seconds that a caller should still wait; 0 if it is done."""
        if self.future.done():
            return 0
        return max(0.0, self.deadline - time.monotonic())

    def wait(self) -> None:
        """Wait until the run has finished or its time is up."""
        if remaining := self.remaining():
            wait([self.future], remaining)

    async def wait_async(self) -> None:
        """Do the same without blocking the event loop."""
        # A future keeps every waiter until it is done, and one that hangs would keep
        # them forever, so no waiters are added after the deadline.
        if remaining := self.remaining():
            await asyncio.wait([asyncio.wrap_future(self.future)], timeout=remaining)

    def finish(self, passed: bool) -> None:
        """Set the result; a late one counts as failed."""
        self.finished = time.monotonic()
        self.future.set_result(passed and self.finished <= self.deadline)


class Check:
    """
    One entry of ``CHECKS``.

    Args:
        name: As in the settings; included in the response if it fails.
        health: The ``PRODSERVER_HEALTH`` setting.

    Raises:
        ConfigurationError: There is no such function.
    """

    def __init__(self, name: str, health: conf.Health) -> None:
        self.name = name
        self._function = _resolve(name)
        self._timeout = health.timeout
        self._max_age = health.max_age
        # Applied migrations stay applied, and this is the most expensive check.
        self._is_permanent = name.partition(":")[0] == "migrations"
        self._lock = threading.Lock()
        self._log_lock = threading.Lock()
        self._run: CheckRun | None = None
        self._active_runs = 0
        self._last_problem = ""

    def current_run(self) -> CheckRun:
        """Return the run in progress or a recent one, or start a new one."""
        with self._lock:
            run = self._run
            if run is None or self._is_expired(run):
                run = self._run = CheckRun(self._timeout)
                self._active_runs += 1
                self._start(run)
            return run

    def passed(self, run: CheckRun) -> bool:
        """Wait for a run and return its result; a late one counts as failed."""
        if run.future.done():
            return run.future.result()
        self._log_change(f"no answer within {self._timeout:g} s")
        return False

    def _is_expired(self, run: CheckRun) -> bool:
        if not run.future.done():
            hangs = time.monotonic() - run.started > _GIVE_UP_AFTER
            return hangs and self._active_runs < _MAX_HANGING
        if self._is_permanent and run.future.result():
            return False
        return time.monotonic() - run.finished >= self._max_age

    def _start(self, run: CheckRun) -> None:
        # In an empty context: a copy might share the caller's connections.
        context = contextvars.Context()
        try:
            threading.Thread(
                target=context.run,
                args=(self._execute, run),
                name=f"health-{self.name}",
                daemon=True,
            ).start()
        except RuntimeError as error:  # no more threads can be started
            self._log_change(str(error))
            self._active_runs -= 1
            run.finish(False)

    def _execute(self, run: CheckRun) -> None:
        problem = ""
        try:
            if self._function() is False:
                problem = "returned False"
        except NotReady as error:
            problem = redact(str(error))
        # SystemExit too: a run that never finishes would block the check for good.
        except BaseException as error:
            text = f"{type(error).__name__}: {' '.join(str(error).split())}"
            problem = redact(text)
        took = time.monotonic() - run.started
        if not problem and took > self._timeout:
            problem = f"no answer within {self._timeout:g} s"
        with self._lock:
            self._active_runs -= 1
            is_current = run is self._run
        if is_current:  # an abandoned run: its result is outdated
            self._log_change(problem)
        run.finish(not problem)
        # Last, because closing may hang too if the other side hangs.
        connections.close_all()

    def _log_change(self, problem: str) -> None:
        """Log a problem, or "" for none, unless the last run had the same."""
        with self._log_lock:
            if problem == self._last_problem:
                return
            self._last_problem = problem
        if problem:
            logger.warning("not ready: %s: %s", self.name, problem)
        else:
            logger.warning("%s passes again", self.name)


def _resolve(name: str) -> Callable[[], object]:
    kind, alias = split_alias(name)
    if kind in conf.NAMED:
        return partial(BUILT_IN[kind], alias)
    path, _, attribute = name.rpartition(".")
    try:
        function = getattr(import_module(path), attribute, None)
    except ModuleNotFoundError as error:
        if not is_missing(path, error.name):
            raise
        problem = f"cannot be imported: no module {error.name!r}"
    else:
        if iscoroutinefunction(function):
            return async_to_sync(function)
        if callable(function):
            return cast("Callable[[], object]", function)
        problem = f"is not a function in {path}"
    hint = "Use the dotted path of a function without arguments."
    raise conf.fault(f"['CHECKS'] has {name!r}, which {problem}.", hint)


def check_database(alias: str) -> None:
    """Raise if the database does not accept a connection or a query."""
    connection = connections[alias]
    connection.ensure_connection()
    if not connection.is_usable():
        raise NotReady("accepts connections but no queries")


def check_migrations(alias: str) -> None:
    """Raise if there are unapplied migrations."""
    from django.db.migrations.executor import MigrationExecutor

    executor = MigrationExecutor(connections[alias])
    plan = executor.migration_plan(executor.loader.graph.leaf_nodes())
    if plan:
        raise NotReady(f"{len(plan)} not applied, first: {plan[0][0]}")


def check_cache(alias: str) -> None:
    """Raise if the cache does not store a value."""
    # Write and read, because a client can be configured to ignore a dead server.
    key = "django-prodserver-health"
    caches[alias].set(key, "1", 60)
    if caches[alias].get(key) != "1":
        raise NotReady("does not return the stored value")


#: The checks that have a name; ``conf.NAMED`` has the same.
BUILT_IN: dict[str, Callable[[str], None]] = {
    "database": check_database,
    "migrations": check_migrations,
    "cache": check_cache,
}
