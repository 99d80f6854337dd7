"""Texts out of copyright, for a visitor with none at hand."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

_FOLDER = Path(__file__).parent / "samples"


class Sample(NamedTuple):
    title: str
    language: str
    file: str

    def read(self) -> str:
        return (_FOLDER / self.file).read_text(encoding="utf-8")


SAMPLES = {
    "moby-dick": Sample("Moby-Dick", "en", "moby-dick.txt"),
    "verwandlung": Sample("Die Verwandlung", "de", "verwandlung.txt"),
    "swann": Sample("Du côté de chez Swann", "fr", "swann.txt"),
}
