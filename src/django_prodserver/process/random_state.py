"""Give each forked worker its own random numbers, as without a preload."""

from __future__ import annotations

import contextlib
import os
import random
import weakref
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import partial
from typing import Any

#: The classes of generators, in the order in which ``reseed_in_children`` takes them.
GENERATORS = (
    "random:Random",
    "numpy.random.bit_generator:BitGenerator",
    "numpy.random.mtrand:RandomState",
)
# Without a seed, NumPy generates 128 bits; a seed that a person chose is shorter.
_MADE_UP = 2**64


class SeedRecord:
    """The generators of Python that got a seed, as ``random.Random(42)`` does."""

    def __init__(self) -> None:
        # By identity, because a subclass may have no hash.
        self._seeded: dict[int, weakref.ref[random.Random]] = {}

    def note(self, generator: random.Random, is_seeded: bool) -> None:
        """Record that a generator was seeded, with or without a seed."""
        self._seeded.pop(id(generator), None)
        if is_seeded:
            self._seeded[id(generator)] = weakref.ref(generator)

    def has(self, generator: random.Random) -> bool:
        """Tell whether a generator got its state from a seed."""
        reference = self._seeded.get(id(generator))
        return reference is not None and reference() is generator


@contextlib.contextmanager
def record_seeds() -> Iterator[SeedRecord]:
    """
    Record which generators get a seed, while the application is loaded.

    The generators of the settings, and under ``manage.py`` those of all apps, already
    exist by then. They are treated as unseeded: two workers with the same numbers are
    harmful, two with different numbers rarely are.
    """
    record = SeedRecord()
    original = random.Random.seed

    def seed(self: random.Random, a: Any = None, version: int = 2) -> None:
        original(self, a, version)
        record.note(self, a is not None)

    random.Random.seed = seed  # type: ignore[method-assign]
    try:
        yield record
    finally:
        random.Random.seed = original  # type: ignore[method-assign]


def reseed_in_children(generators: Sequence[Iterable[Any]], seeds: SeedRecord) -> None:
    """
    Give generators without a seed a different state in each forked worker.

    Python itself does this only for the functions of its ``random`` module.

    Args:
        generators: The live objects of each class in ``GENERATORS``.
        seeds: The Python generators that got a seed, which stay as they are.
    """
    pythons, numpys, legacy = generators
    reseeds: list[Callable[[], None]] = [
        partial(random.Random.seed, each) for each in pythons if not seeds.has(each)
    ]
    reseeds += [partial(_reseed, each) for each in numpys if _is_made_up(each)]
    # After their bit generators: drops the stored second number of a pair.
    reseeds += [partial(_forget_kept_number, each) for each in legacy]
    parent = os.getpid()

    def reseed() -> None:
        # A child that a worker forks has the worker's numbers, as without a preload.
        if os.getppid() == parent:
            for each in reseeds:
                each()

    os.register_at_fork(after_in_child=reseed)


def _is_made_up(bits: Any) -> bool:
    entropy = getattr(getattr(bits, "seed_seq", None), "entropy", None)
    return isinstance(entropy, int) and entropy >= _MADE_UP


def _reseed(bits: Any) -> None:
    bits.state = type(bits)().state


def _forget_kept_number(legacy: Any) -> None:
    if _is_made_up(legacy._bit_generator):
        state = legacy.get_state(legacy=False)
        legacy.set_state({**state, "has_gauss": 0, "gauss": 0.0})
