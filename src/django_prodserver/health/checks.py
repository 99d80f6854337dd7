"""
What readiness may look at: each check in a thread of its own, and one at a time.

A check that hangs keeps a thread, however often it is asked for, and its connection
is in no request's way. It is begun anew twice a minute, for what it hangs on may be
gone for good, and what it asks for may be back.
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

from django_prodserver.health import conf

logger = logging.getLogger("django_prodserver.health")
# Seconds after which one that hangs is begun anew, and how many may hang.
_GIVEN_UP = 30.0
_MOST = 10


class NotReady(Exception):
    """Raised by a check whose message says it all, without the class."""


class Run:
    """One run of a check; its future says whether it was well, and in time."""

    def __init__(self, timeout: float) -> None:
        self.began = time.monotonic()
        self.deadline = self.began + timeout
        self.ended = math.inf
        self.future: Future[bool] = Future()
        # Nobody who gives up waiting for it may cancel it.
        self.future.set_running_or_notify_cancel()

    def left(self) -> float:
        """Return the seconds that it may still be waited for."""
        if self.future.done():
            return 0
        return max(0.0, self.deadline - time.monotonic())

    def wait(self) -> None:
        """Return when it has ended, or is late."""
        if left := self.left():
            wait([self.future], left)

    async def wait_async(self) -> None:
        """Do the same, with the event loop going on."""
        # Who waits for one that hangs stays in its future's list for ever; this
        # keeps it to those who ask before it is late.
        if left := self.left():
            await asyncio.wait([asyncio.wrap_future(self.future)], timeout=left)

    def end(self, ok: bool) -> None:
        self.ended = time.monotonic()
        self.future.set_result(ok and self.ended <= self.deadline)


class Check:
    """
    One of ``CHECKS``.

    Args:
        name: As it is in the settings, and in the answer if it fails.
        health: The setting.

    Raises:
        ConfigurationError: There is no such function.
    """

    def __init__(self, name: str, health: conf.Health) -> None:
        self.name = name
        self._function = _function(name)
        self._timeout = health.timeout
        self._max_age = health.max_age
        # What has been applied stays so, and to look costs most of all.
        self._lasts = name.partition(":")[0] == "migrations"
        self._lock = threading.Lock()
        self._log_lock = threading.Lock()
        self._run: Run | None = None
        self._going = 0
        self._said = ""

    def ask(self) -> Run:
        """Return the run that counts: the last, the one that goes on, or a new one."""
        with self._lock:
            run = self._run
            if run is None or self._is_over(run):
                run = self._run = Run(self._timeout)
                self._going += 1
                self._start(run)
            return run

    def is_well(self, run: Run) -> bool:
        """Return the answer of a run that has been waited for."""
        if run.future.done():
            return run.future.result()
        self._say(f"no answer within {self._timeout:g} s")
        return False

    def _is_over(self, run: Run) -> bool:
        if not run.future.done():
            hangs = time.monotonic() - run.began > _GIVEN_UP
            return hangs and self._going < _MOST
        if self._lasts and run.future.result():
            return False
        return time.monotonic() - run.ended >= self._max_age

    def _start(self, run: Run) -> None:
        # In a context of its own, or it might be given the caller's connections.
        context = contextvars.Context()
        try:
            threading.Thread(
                target=context.run,
                args=(self._work, run),
                name=f"health-{self.name}",
                daemon=True,
            ).start()
        except RuntimeError as error:  # there can be no more threads
            self._say(str(error))
            self._going -= 1
            run.end(False)

    def _work(self, run: Run) -> None:
        said = ""
        try:
            if self._function() is False:
                said = "it returned False"
        except NotReady as error:
            said = str(error)
        # SystemExit too: whatever it is, a thread that ends without a word would
        # never be asked again.
        except BaseException as error:
            said = f"{type(error).__name__}: {' '.join(str(error).split())}"
        took = time.monotonic() - run.began
        if not said and took > self._timeout:
            said = f"no answer within {self._timeout:g} s"
        with self._lock:
            self._going -= 1
            counts = run is self._run
        if counts:  # what one says that was given up is of long ago
            self._say(said)
        run.end(not said)
        # Afterwards: where the other side hangs, so may this.
        connections.close_all()

    def _say(self, problem: str) -> None:
        """Log what is new, and not what every probe would repeat."""
        with self._log_lock:
            if problem == self._said:
                return
            self._said = problem
        if problem:
            logger.warning("not ready: %s: %s", self.name, problem)
        else:
            logger.warning("%s is well again", self.name)


def _function(name: str) -> Callable[[], object]:
    kind, _, alias = name.partition(":")
    if kind in conf.NAMED:
        return partial(globals()[f"check_{kind}"], alias or "default")
    path, _, attribute = name.rpartition(".")
    try:
        function = getattr(import_module(path), attribute, None)
    except ModuleNotFoundError as error:
        if not error.name or not f"{path}.".startswith(f"{error.name}."):
            raise  # the module is there, and fails on an import of its own
        problem = f"cannot be imported: no module {error.name!r}"
    else:
        if iscoroutinefunction(function):
            return async_to_sync(function)
        if callable(function):
            return cast("Callable[[], object]", function)
        problem = f"is no function: {path} has no such"
    hint = "Write the dotted path of a function without arguments."
    raise conf.fault(f"['CHECKS'] has {name!r}, which {problem}.", hint)


def check_database(alias: str) -> None:
    """Raise if the database takes no connection, or no query on it."""
    connection = connections[alias]
    connection.ensure_connection()
    if not connection.is_usable():
        raise NotReady("it takes connections, and no query")


def check_migrations(alias: str) -> None:
    """Raise if there are migrations that have not been applied."""
    from django.db.migrations.executor import MigrationExecutor

    executor = MigrationExecutor(connections[alias])
    plan = executor.migration_plan(executor.loader.graph.leaf_nodes())
    if plan:
        raise NotReady(f"{len(plan)} not applied, the first is {plan[0][0]}")


def check_cache(alias: str) -> None:
    """Raise if the cache does not keep what it is given."""
    # Written and read: a client may be told to ignore that there is no server.
    key = "django-prodserver-health"
    caches[alias].set(key, "1", 60)
    if caches[alias].get(key) != "1":
        raise NotReady("it does not keep what it is given")
