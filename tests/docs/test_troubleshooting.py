"""Each heading of docs/troubleshooting.md is what one searches for: a message."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "troubleshooting.md").read_text()
#: The sections that are of one message each.
SECTIONS = [
    (heading, text)
    for heading, text in re.findall(
        r"^### (.+)\n((?:(?!^##).*\n)*)", PAGE, flags=re.MULTILINE
    )
]


@pytest.mark.parametrize(("heading", "text"), SECTIONS)
def test_a_heading_is_in_what_the_sample_below_it_prints(heading: str, text: str):
    """That it prints it is what the samples' own test sees."""
    printed = [
        line
        for block in re.findall(r"```console\n(.*?)```", text, flags=re.DOTALL)
        for line in block.splitlines()
        if not line.startswith("$ ")
    ]
    assert any(heading in line for line in printed), heading


def test_there_is_a_message_for_each_kind_of_trouble():
    kinds = re.findall(r"^## (.+)$", PAGE, flags=re.MULTILINE)
    for kind in kinds[:-1]:  # the last says where to go on
        section = PAGE.partition(f"\n## {kind}\n")[2].partition("\n## ")[0]
        assert "\n### " in section, kind
    assert len(SECTIONS) >= 14
