"""What is loaded before the workers fork leaves nothing that requests pay for."""

from __future__ import annotations

import contextvars
import gc
from collections.abc import Iterator

import pytest
from django.urls import clear_url_caches, get_resolver

from django_prodserver.process import fork_safety, preload


def test_it_leaves_nothing_in_the_context_that_requests_copy() -> None:
    # An URLconf that has not been looked at: its resolver notes that it populates.
    clear_url_caches()
    before = dict(contextvars.copy_context().items())
    preload.load_urls()
    assert vars(get_resolver())["_populated"]
    assert dict(contextvars.copy_context().items()) == before


@pytest.fixture
def threshold() -> Iterator[tuple[int, int, int]]:
    found = gc.get_threshold()
    yield found
    gc.set_threshold(*found)


def test_the_collector_works_again_once_all_is_loaded(
    threshold: tuple[int, int, int],
) -> None:
    before = sum(generation["collections"] for generation in gc.get_stats())
    with fork_safety.garbage_collection_paused():
        kept = [[] for _ in range(10 * threshold[0])]  # type: ignore[var-annotated]
    assert len(kept) == 10 * threshold[0]
    assert sum(each["collections"] for each in gc.get_stats()) <= before + 1
    assert gc.get_threshold() == threshold
    assert gc.isenabled()


def test_how_the_application_sets_the_collector_stays(
    threshold: tuple[int, int, int],
) -> None:
    with fork_safety.garbage_collection_paused():
        gc.set_threshold(50_000, 20, 20)
    assert gc.get_threshold() == (50_000, 20, 20)
    try:
        with fork_safety.garbage_collection_paused():
            gc.disable()
        assert not gc.isenabled()
    finally:
        gc.enable()
