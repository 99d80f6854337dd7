"""Pictures of a terminal show what the commands print today; drawn ones fit a page."""

from __future__ import annotations

import re
from pathlib import Path
from xml.etree import ElementTree

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


DRAWN = sorted(
    path
    for path in pictures.STATIC.glob("*.svg")
    if path.name != "logo.svg" and not path.name.startswith("terminal-")
)


@pytest.mark.parametrize("path", DRAWN, ids=lambda path: path.stem)
def test_a_drawn_picture_says_in_words_what_it_shows(path: Path) -> None:
    picture = ElementTree.fromstring(path.read_text())  # noqa: S314  # our own
    title, description = list(picture)[:2]
    assert picture.attrib["role"] == "img"
    labels = f"{title.attrib['id']} {description.attrib['id']}"
    assert picture.attrib["aria-labelledby"] == labels
    assert len(description.text or "") > 80
    pages = "".join(each.read_text() for each in pictures.STATIC.parent.glob("*.md"))
    assert f":file: _static/{path.name}\n" in pages


@pytest.mark.parametrize("path", DRAWN, ids=lambda path: path.stem)
def test_a_drawn_picture_takes_the_colours_of_its_page(path: Path) -> None:
    """A picture sets a colour only in case the page has none: var(--name, #rrggbb)."""
    without = re.sub(r"var\(--[\w-]+, #[0-9a-f]{6}\)", "", path.read_text())
    assert not re.findall(r"#[0-9a-f]{3,6}\b", without)
