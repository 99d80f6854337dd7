"""The helpers for dotted paths and names; redaction is in test_properties."""

from __future__ import annotations

import pytest

from django_prodserver.text import did_you_mean, is_dotted_path, is_missing


@pytest.mark.parametrize("text", ["a.b", "project.settings", "é.b_1.C"])
def test_dotted_paths(text: str) -> None:
    assert is_dotted_path(text)


@pytest.mark.parametrize("text", ["", "a", ".", "a.", ".b", "a..b", "a.1", "a:b.c"])
def test_other_texts_are_not_dotted_paths(text: str) -> None:
    assert not is_dotted_path(text)


def test_a_single_name_is_enough_where_the_caller_says_so() -> None:
    assert is_dotted_path("app", least=1)
    assert not is_dotted_path("", least=1)


@pytest.mark.parametrize("module", ["a", "a.b", "a.b.c"])
def test_a_path_is_missing_if_it_or_a_package_above_it_was_not_found(
    module: str,
) -> None:
    assert is_missing("a.b.c", module)


@pytest.mark.parametrize("module", [None, "", "b", "a.b.c.d", "a.b.cc", "a.", "numpy"])
def test_a_path_is_not_missing_if_an_import_inside_it_failed(
    module: str | None,
) -> None:
    assert not is_missing("a.bb.c", "a.b")
    assert not is_missing("a.b.c", module)


def test_the_closest_candidate_is_suggested() -> None:
    assert did_you_mean("wbe", ["worker", "web"]) == "Did you mean 'web'?"
    assert did_you_mean("beat", ["worker", "web"]) == ""


def test_the_suggestion_is_the_name_that_belongs_to_the_candidate() -> None:
    paths = {"GunicornServer": "backends.gunicorn.GunicornServer"}
    assert did_you_mean("GunicornSever", paths, paths) == (
        "Did you mean 'backends.gunicorn.GunicornServer'?"
    )
