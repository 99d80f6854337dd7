"""A picture of a terminal, as SVG, and the lines that are in one."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from xml.etree import ElementTree
from xml.sax.saxutils import escape

COLUMNS = 120


def shown(picture: str) -> list[str]:
    """Return the lines that are in a picture, without that of the command."""
    texts = ElementTree.fromstring(picture).iter("{http://www.w3.org/2000/svg}text")  # noqa: S314  # our own
    return ["".join(text.itertext()) for text in texts][1:]


def fitted(lines: Sequence[str]) -> list[str]:
    """Return the lines as a terminal of that width shows them that does not wrap."""
    return [
        line if len(line) <= COLUMNS else f"{line[: COLUMNS - 1]}…" for line in lines
    ]


def svg(argv: Sequence[str], lines: Sequence[str], kind: Callable[[str], str]) -> str:
    """
    Return a picture of a terminal in which a command prints these lines.

    Args:
        argv: The command.
        lines: What it prints.
        kind: What a line is, as the picture's style sheet has it.
    """
    rows = [("prompt", f"$ {' '.join(argv)}")]
    rows += [(kind(line), line) for line in fitted(lines)]
    height = 56 + 19 * len(rows)
    width = 28 + int(COLUMNS * 7.83)
    texts = "\n".join(
        f'  <text class="{name}" x="14" y="{58 + 19 * number}">{escape(line)}</text>'
        for number, (name, line) in enumerate(rows)
    )
    title = escape(f"A terminal: {' '.join(argv)}")
    return f"""\
<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" \
width="{width}" height="{height}" role="img" aria-label="{title}">
  <style>
    rect {{ fill: #161b22; stroke: #57606a }}
    circle {{ fill: #57606a }}
    text {{ font: 13px ui-monospace, Menlo, Consolas, "DejaVu Sans Mono", monospace; \
fill: #d0d7de; white-space: pre }}
    .prompt {{ fill: #ffffff; font-weight: 600 }}
    .head {{ fill: #9198a1 }}
    .web {{ fill: #79c0ff }}
    .worker {{ fill: #7ee787 }}
  </style>
  <rect x="0.5" y="0.5" width="{width - 1}" height="{height - 1}" rx="8"/>
  <circle cx="20" cy="19" r="5"/>
  <circle cx="38" cy="19" r="5"/>
  <circle cx="56" cy="19" r="5"/>
{texts}
</svg>
"""
