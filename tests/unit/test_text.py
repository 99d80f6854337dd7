"""Dotted paths and suggestions; test_properties tests redaction."""

from __future__ import annotations

import pytest

from django_prodserver.text import did_you_mean, is_dotted_path, is_missing


@pytest.mark.parametrize("text", ["a.b", "project.settings", "é.b_1.C"])
def test_dotted_paths(text: str) -> None:
    assert is_dotted_path(text)


@pytest.mark.parametrize("text", ["", "a", ".", "a.", ".b", "a..b", "a.1", "a:b.c"])
def test_other_strings(text: str) -> None:
    assert not is_dotted_path(text)


def test_single_names_if_allowed() -> None:
    assert is_dotted_path("app", least=1)
    assert not is_dotted_path("", least=1)


@pytest.mark.parametrize("module", ["a", "a.b", "a.b.c"])
def test_path_is_missing_if_it_or_a_parent_was_not_found(
    module: str,
) -> None:
    assert is_missing("a.b.c", module)


@pytest.mark.parametrize("module", [None, "", "b", "a.b.c.d", "a.b.cc", "a.", "numpy"])
def test_path_is_not_missing_if_an_import_inside_it_failed(
    module: str | None,
) -> None:
    assert not is_missing("a.bb.c", "a.b")
    assert not is_missing("a.b.c", module)


def test_suggests_the_closest_candidate() -> None:
    assert did_you_mean("wbe", ["worker", "web"]) == "Did you mean 'web'?"
    assert did_you_mean("beat", ["worker", "web"]) == ""


def test_suggests_the_name_of_the_candidate() -> None:
    paths = {"GunicornServer": "backends.gunicorn.GunicornServer"}
    assert did_you_mean("GunicornSever", paths, paths) == (
        "Did you mean 'backends.gunicorn.GunicornServer'?"
    )
