"""The samples of a page: every block of code on it, in order."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sybil import Document
from sybil.parsers.abstract.lexers import LexerCollection
from sybil.parsers.markdown.lexers import FencedCodeBlockLexer
from sybil.parsers.myst.lexers import DirectiveInPercentCommentLexer
from sybil.parsers.myst.lexers import DirectiveLexer as MystDirectiveLexer
from sybil.parsers.rest.lexers import DirectiveInCommentLexer, DirectiveLexer

#: The notes that a comment before a sample may contain.
_NOTES = "skip|faults|samples"
_BLOCKS = "code-block|code|sourcecode"
_HIDDEN = "invisible-code-block"
_LEXERS = {
    ".md": LexerCollection(
        [
            # The pattern also matches a fence without a language.
            FencedCodeBlockLexer(
                r"[\w+.-]*", mapping={"language": "arguments", "source": "source"}
            ),
            MystDirectiveLexer(_BLOCKS, arguments=".+"),
            DirectiveInPercentCommentLexer(f"{_HIDDEN}|{_NOTES}", arguments=".+"),
        ]
    ),
    ".rst": LexerCollection(
        [
            DirectiveLexer(_BLOCKS, arguments=".+"),
            DirectiveInCommentLexer(f"{_HIDDEN}|{_NOTES}", arguments=".+"),
        ]
    ),
}


class BadNote(ValueError):
    """A comment about a sample that cannot be understood."""


@dataclass(frozen=True)
class Sample:
    """
    A block of code.

    Attributes:
        line: Where it is on its page.
        language: What it is highlighted as.
        source: What is in it.
        file: The file that it is, where it has a caption.
        skipped: Why it is not run; "" if it is.
        faults: The ids of the checks that it is to fail.
    """

    line: int
    language: str
    source: str
    file: str = ""
    skipped: str = ""
    faults: tuple[str, ...] = ()

    @property
    def stays(self) -> bool:
        """Whether a command of it goes on until it is stopped."""
        return self.language == "console" and "^C" in self.source.splitlines()


def of_page(path: Path) -> list[Sample]:
    """
    Return the samples of a page.

    Raises:
        BadNote: A skip has no reason, or a note is for nothing.
    """
    found: list[Sample] = []
    notes: dict[str, Any] = {}
    for line, lexemes in _lexed(path):
        directive = lexemes.get("directive") or ""
        if directive == "samples":
            continue
        if directive in _NOTES.split("|"):
            notes |= _note(line, directive, lexemes["arguments"])
            continue
        options = lexemes.get("options") or {}
        found.append(
            Sample(
                line,
                str(lexemes["arguments"]).strip(),
                str(lexemes["source"]),
                str(options.get("caption", "")).strip("` "),
                **notes,
            )
        )
        notes = {}
    if notes:
        message = f"{path.name}: nothing follows {notes}"
        raise BadNote(message)
    return found


def tested_by(path: Path) -> str:
    """Return the test that runs the page's samples instead; "" as a rule."""
    for _, lexemes in _lexed(path):
        if lexemes.get("directive") == "samples":
            return str(lexemes["arguments"]).strip()
    return ""


def _lexed(path: Path) -> Iterator[tuple[int, dict[str, Any]]]:
    document = Document(path.read_text(), str(path))
    regions = sorted(_LEXERS[path.suffix](document), key=lambda region: region.start)
    for region in regions:
        yield document.text.count("\n", 0, region.start) + 1, region.lexemes


def _note(line: int, directive: str, text: str) -> dict[str, Any]:
    if directive == "faults":
        return {"faults": tuple(text.split())}
    which, _, quoted = text.strip().partition(" ")
    try:
        reason = ast.literal_eval(quoted.strip())
    except (SyntaxError, ValueError):
        reason = ""
    if which != "next" or not isinstance(reason, str) or not reason:
        message = f'line {line}: write skip: next "the reason", and not {text!r}'
        raise BadNote(message)
    return {"skipped": reason}
