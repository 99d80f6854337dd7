"""The pictures of a terminal say what the commands print today."""

from __future__ import annotations

import pytest

from docs import pictures
from docs._ext.terminal import COLUMNS, fitted, shown, svg

pytestmark = pytest.mark.process

AGAIN = "run python -m docs.pictures"


@pytest.mark.parametrize("name", ["list"])
def test_a_picture_of_what_is_printed(name: str) -> None:
    lines = pictures.printed(pictures.COMMANDS[name])
    picture = shown(pictures.path(name).read_text())
    assert fitted(lines) == picture, AGAIN


def test_a_picture_of_several_processes() -> None:
    """Of two at once, the order of the lines is another each time."""
    lines = pictures.printed(pictures.COMMANDS["all"])
    picture = shown(pictures.path("all").read_text())
    assert sorted(fitted(lines)) == sorted(picture), AGAIN


def test_a_picture_is_made_of_its_lines() -> None:
    lines = ["NAME & <b>", "  x" + "y" * COLUMNS]
    picture = svg(["prodserver"], lines, lambda line: "plain")
    assert shown(picture) == fitted(lines)
    assert fitted(lines)[1] == "  x" + "y" * (COLUMNS - 4) + "…"
