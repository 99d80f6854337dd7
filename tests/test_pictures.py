"""The pictures of a terminal say what the commands print today."""

from __future__ import annotations

import pytest

from docs import pictures

pytestmark = pytest.mark.process

AGAIN = "run python -m docs.pictures"


@pytest.mark.parametrize("name", ["list", "explain"])
def test_a_picture_of_what_is_printed(name: str) -> None:
    lines = pictures.printed(pictures.COMMANDS[name])
    picture = pictures.shown(pictures.path(name).read_text())
    assert pictures.fitted(lines) == picture, AGAIN


def test_a_picture_of_several_processes() -> None:
    """Of two at once, the order of the lines is another each time."""
    lines = pictures.printed(pictures.COMMANDS["all"])
    picture = pictures.shown(pictures.path("all").read_text())
    assert sorted(pictures.fitted(lines)) == sorted(picture), AGAIN


def test_a_picture_is_made_of_its_lines() -> None:
    lines = ["NAME & <b>", "  x" + "y" * pictures.COLUMNS]
    picture = pictures.svg(pictures.COMMANDS["list"], lines)
    assert pictures.shown(picture) == pictures.fitted(lines)
    assert pictures.fitted(lines)[1] == "  x" + "y" * (pictures.COLUMNS - 4) + "…"
