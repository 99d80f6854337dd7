"""Show a sample of two terminals as one block for each, with a line in between."""

from __future__ import annotations

from collections.abc import Iterator

from docutils import nodes
from sphinx.application import Sphinx
from sphinx.util.typing import ExtensionMetadata

from docs._ext.console import BACK, ELSEWHERE, STOPPED

TITLES = {
    ELSEWHERE: "In another terminal:",
    BACK: "In the first terminal:",
    STOPPED: "In the first terminal, press Ctrl-C:",
}


def parts(source: str) -> Iterator[tuple[str, str]]:
    """Yield the title, or "", and the text of each terminal's part of a sample."""
    title, elsewhere = "", False
    lines: list[str] = []
    for line in source.splitlines():
        # Ctrl-C is for the process in the first terminal.
        moves = line in (ELSEWHERE, BACK) or (line == STOPPED and elsewhere)
        if moves:
            if lines:
                yield title, "\n".join(lines)
            title, lines, elsewhere = TITLES[line], [], line == ELSEWHERE
        if not moves or line == STOPPED:
            lines.append(line)
    if lines:
        yield title, "\n".join(lines)


def split(app: Sphinx, document: nodes.document) -> None:
    """Replace each sample of two terminals with a block for each."""
    for block in list(document.findall(nodes.literal_block)):
        if block.get("language") != "console" or ELSEWHERE not in block.astext():
            continue
        pieces: list[nodes.Node] = []
        for title, text in parts(block.astext()):
            if title:
                pieces.append(nodes.paragraph("", title, classes=["terminal"]))
            piece = nodes.literal_block(text, text, **block.attributes)
            piece.source, piece.line = block.source, block.line
            pieces.append(piece)
        block.parent.replace(block, pieces)


def setup(app: Sphinx) -> ExtensionMetadata:
    app.connect("doctree-read", split)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
