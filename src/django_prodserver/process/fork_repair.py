"""Before a fork, repair whatever can be repaired without affecting the application."""

from __future__ import annotations

import gc
import os
import sys
import threading
from collections.abc import Collection, Iterable
from typing import Any

from django_prodserver.process import random_state
from django_prodserver.process.random_state import SeedRecord

# Pools whose connections may be closed at any time: redis-py opens new ones, and each
# process gets its own, because a pool compares its process ID with the current one.
_POOLS = ("redis.connection:ConnectionPool",)
# Objects of a class written in Python refer to it; those of NumPy's classes do not.
_HEAP_TYPE = 1 << 9


def repair(seeds: SeedRecord) -> None:
    """
    Close connections that are reopened on demand, and reseed generators after a fork.

    Args:
        seeds: The generators that got a seed while the application was loaded.
    """
    close_database_connections()
    found = live_objects(_POOLS + random_state.GENERATORS)
    for pool in found[: len(_POOLS)]:
        _disconnect(pool)
    random_state.reseed_in_children(found[len(_POOLS) :], seeds)
    os.register_at_fork(after_in_child=_let_threads_start)


def _let_threads_start() -> None:
    """
    Let a forked child start the threads that its parent created but did not start.

    Python 3.13.0 considers them ended; Dramatiq's time limits have such a thread.
    """
    if sys.version_info[:3] != (3, 13, 0):
        return
    module: Any = threading
    for thread in list(module._dangling):
        if thread.ident is None:
            thread._handle = type(thread._handle)()


def close_database_connections() -> None:
    """Close Django's connections of this thread, and their pools with their threads."""
    # Imported here, because planning and explaining need no database modules.
    from django.db import connections

    for connection in connections.all(initialized_only=True):
        connection.close()
        if close_pool := getattr(connection, "close_pool", None):
            close_pool()


def live_objects(names: Iterable[str]) -> list[list[object]]:
    """
    Return the objects of each class and its subclasses, in one walk over all objects.

    Args:
        names: The classes, as ``module:name``. One whose module has not been imported
            has no objects, and is not imported.
    """
    kinds: dict[type, list[object]] = {}
    found = []
    for name in names:
        objects: list[object] = []
        found.append(objects)
        module, _, attribute = name.partition(":")
        base = getattr(sys.modules.get(module), attribute, None)
        kinds.update(dict.fromkeys(_with_subclasses(base) if base else (), objects))
    for each in _candidates(kinds):
        # Not isinstance(), which would evaluate lazy objects.
        if type(each) in kinds:
            kinds[type(each)].append(each)
    return found


def _candidates(kinds: Collection[type]) -> list[object]:
    if not kinds:
        return []
    if all(kind.__flags__ & _HEAP_TYPE for kind in kinds):
        # Measured on Wagtail: a third of the time.
        return gc.get_referrers(*kinds)
    return gc.get_objects()


def _with_subclasses(base: type) -> set[type]:
    found = {base}
    subclasses: list[type] = type.__subclasses__(base)
    for subclass in subclasses:
        found |= _with_subclasses(subclass)
    return found


def _disconnect(pools: Iterable[object]) -> None:
    for pool in pools:
        pool.disconnect()  # type: ignore[attr-defined]
