"""What is loaded before the workers fork leaves nothing that requests pay for."""

from __future__ import annotations

import contextvars

from django.urls import clear_url_caches, get_resolver

from django_prodserver import warming


def test_it_leaves_nothing_in_the_context_that_requests_copy() -> None:
    # An URLconf that has not been looked at: its resolver notes that it populates.
    clear_url_caches()
    before = dict(contextvars.copy_context().items())
    warming.load_urls_and_what_views_use()
    assert vars(get_resolver())["_populated"]
    assert dict(contextvars.copy_context().items()) == before
