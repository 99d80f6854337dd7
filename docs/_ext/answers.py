"""Colour the cells of tables that answer a question: yes, no."""

from __future__ import annotations

import re

from docutils import nodes
from sphinx.application import Sphinx
from sphinx.util.typing import ExtensionMetadata

_ANSWER = re.compile(r"(yes|ok|no|not)\b", re.IGNORECASE)
_CLASSES = {"yes": "yes", "ok": "yes", "no": "no", "not": "no"}


def mark(app: Sphinx, document: nodes.document) -> None:
    """Give each cell that begins with an answer its class; titles of rows have none."""
    for row in document.findall(nodes.row):
        for entry in list(row.findall(nodes.entry))[1:]:
            if found := _ANSWER.match(entry.astext()):
                entry["classes"].append(_CLASSES[found[1].lower()])


def setup(app: Sphinx) -> ExtensionMetadata:
    app.connect("doctree-read", mark)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
