"""Forked workers have their own random numbers, unless the application gave a seed."""

from __future__ import annotations

import contextlib
import random
from typing import Any

import pytest

from django_prodserver.process import random_state
from tests.unit.process.test_fork_safety import run

PREPARE = """
import random
from django.conf import settings
from django_prodserver.process import fork_repair, random_state

settings.configure()

def in_children(*draws):
    '''Print for each generator what the parent, two children and a grandchild draw.'''
    for draw in draws:
        numbers = []
        for _ in range(2):
            reader, writer = os.pipe()
            if not os.fork():
                drawn = [str(draw())]
                inner_reader, inner = os.pipe()
                if not os.fork():
                    os.write(inner, str(draw()).encode())
                    os._exit(0)
                os.wait()
                drawn.append(os.read(inner_reader, 99).decode())
                drawn.append(str(draw()))
                os.write(writer, " ".join(drawn).encode())
                os._exit(0)
            os.wait()
            numbers.append(os.read(reader, 999).decode().split())
        (one, one_child, one_next), (two, *_) = numbers
        print("own" if one != two else "same", one_child == one_next)
"""


def drawn(made: str, *draws: str, before: str = "", **options: Any) -> list[str]:
    """Return for each generator whether two children draw numbers of their own."""
    code = f"""
{PREPARE}
{before}
with random_state.record_seeds() as seeds:
    {made}
fork_repair.repair(seeds)
in_children({", ".join(f"lambda: {draw}" for draw in draws)})
"""
    return run(code, **options)


@pytest.mark.parametrize(
    ("made", "expected"),
    [
        ("random.Random()", "own"),
        ("random.Random(None)", "own"),
        ("type('Own', (random.Random,), {})()", "own"),
        ("random.Random(42)", "same"),
        ("random.Random('seed')", "same"),
        ("random.Random(x=0)", "same"),
    ],
)
def test_generator_of_python(made, expected):
    # A grandchild has the numbers of its parent, as with the native command.
    assert drawn(f"g = {made}", "g.getrandbits(64)") == [f"{expected} True"]


def test_the_last_seed_counts():
    code = "a, b = random.Random(42), random.Random(); a.seed(); b.seed(42)"
    assert drawn(code, "a.getrandbits(64)", "b.getrandbits(64)") == [
        "own True",
        "same True",
    ]


def test_a_generator_that_was_there_before_has_its_own_numbers():
    found = drawn("pass", "g.getrandbits(64)", before="g = random.Random()")
    assert found == ["own True"]


def test_generators_of_numpy():
    made = [
        "import numpy",
        "u, s = numpy.random.default_rng(), numpy.random.default_rng(7)",
        "r, n = numpy.random.RandomState(7), numpy.random.RandomState()",
        "n.randn()",  # it makes a pair of numbers, and keeps the second
    ]
    found = drawn(
        "; ".join(made),
        "u.integers(2**60)",
        "numpy.random.randint(2**60)",
        "n.randn()",
        "s.integers(2**60)",
        "r.randint(2**60)",
    )
    assert found == ["own True"] * 3 + ["same True"] * 2


def test_a_seeded_legacy_generator_of_numpy():
    made = "import numpy; numpy.random.seed(7)"
    assert drawn(made, "numpy.random.randint(2**60)") == ["same True"]


def test_the_record_leaves_no_trace():
    original = random.Random.seed
    with contextlib.suppress(ZeroDivisionError), random_state.record_seeds():
        assert random.Random.seed is not original
        raise ZeroDivisionError
    assert random.Random.seed is original
