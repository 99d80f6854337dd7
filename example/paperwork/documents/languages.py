"""The commonest words of some languages: they give a language away, and no topic."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

_FOLDER = Path(__file__).parent / "common_words"


class Language(NamedTuple):
    name: str
    common_words: frozenset[str]


def _language(code: str, name: str) -> Language:
    words = (_FOLDER / f"{code}.txt").read_text(encoding="utf-8").split()
    return Language(name, frozenset(words))


LANGUAGES = {
    code: _language(code, name)
    for code, name in {
        "de": "German",
        "en": "English",
        "es": "Spanish",
        "fr": "French",
        "it": "Italian",
        "nl": "Dutch",
        "pt": "Portuguese",
    }.items()
}
