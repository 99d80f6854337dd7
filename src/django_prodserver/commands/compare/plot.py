"""A comparison as an SVG: requests per second and memory, side by side."""

from __future__ import annotations

import statistics
from collections.abc import Iterator
from html import escape

from django_prodserver.commands.compare.results import Result, Row

_WIDTH = 760
_LABEL = 210
_BAR = 18
_GAP = 10
_TOP = 84
#: Where the bars of speed and of memory begin, and how long they may be.
_SPEED, _SPEED_LENGTH = _LABEL, 250
_MEMORY, _MEMORY_LENGTH = 560, 110
# Its own background: a page may be light or dark, whatever the reader prefers.
_STYLE = """
svg { color-scheme: light dark }
.ground { fill: #fff } text { fill: #1f2328; font: 13px system-ui, sans-serif }
.title { font-size: 15px; font-weight: 600 } .quiet { fill: #59636e; font-size: 12px }
.bar { fill: #8fa8d8 } .now { fill: #2f5fd0 } .spread { stroke: #1f2328 }
@media (prefers-color-scheme: dark) {
  .ground { fill: #16191d } text { fill: #e8eaed } .quiet { fill: #a4adb8 }
  .bar { fill: #52699c } .now { fill: #86a9ff } .spread { stroke: #e8eaed }
}
"""


def as_svg(result: Result) -> str:
    """Return the plot; it needs nothing but itself."""
    rows = sorted(result.measured(), key=Row.rate, reverse=True)
    height = _TOP + len(rows) * (_BAR + _GAP) + 8
    title = f"{result.process}: {', '.join(result.pages)}"
    how = (
        f"bursts of {result.seconds} s, rounds: {result.rounds}, cores: {result.cores}"
    )
    if result.connections:
        how = f"{result.connections} connections, {how}"
    if result.rounds > 1:
        how += "; the line shows the spread"
    return "\n".join(
        [
            f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_WIDTH} {height}" '
            f'width="{_WIDTH}" height="{height}" role="img">',
            f"<title>{escape(title)}</title>",
            f"<desc>{escape(_description(rows, result.unit))}</desc>",
            f"<style>{_STYLE}</style>",
            f'<rect class="ground" width="{_WIDTH}" height="{height}" rx="6"/>',
            _text(16, 26, title, "title"),
            _text(16, 46, how, "quiet"),
            _text(_SPEED, _TOP - 12, f"{result.unit.title()} per second", "quiet"),
            _text(_MEMORY, _TOP - 12, f"Memory, MiB ({result.memory})", "quiet"),
            *_bars(rows),
            "</svg>\n",
        ]
    )


def _bars(rows: list[Row]) -> Iterator[str]:
    fastest = max((max(row.rates()) for row in rows), default=0) or 1
    largest = max((row.memory() for row in rows), default=0) or 1
    for number, row in enumerate(rows):
        y = _TOP + number * (_BAR + _GAP)
        kind = "now" if row.candidate.is_current else "bar"
        scale = _SPEED_LENGTH / fastest
        low, high = (_SPEED + rate * scale for rate in _ends(row.rates()))
        middle = y + _BAR / 2
        yield _text(16, y + 13, row.name)
        yield _bar(_SPEED, y, row.rate() * scale, kind)
        if len(row.rates()) > 1:
            yield (
                f'<path class="spread" d="M{low:.1f} {middle}H{high:.1f}'
                f'M{low:.1f} {middle - 3}v6M{high:.1f} {middle - 3}v6"/>'
            )
        yield _text(max(high, low) + 8, y + 13, f"{row.rate():.0f}")
        length = row.memory() / largest * _MEMORY_LENGTH
        yield _bar(_MEMORY, y, length, kind)
        yield _text(_MEMORY + length + 8, y + 13, f"{row.memory():.0f}")


def _ends(values: list[float]) -> tuple[float, float]:
    return min(values), max(values)


def _bar(x: float, y: float, length: float, kind: str) -> str:
    return (
        f'<rect class="{kind}" x="{x}" y="{y}" width="{max(1, length):.1f}" '
        f'height="{_BAR}" rx="2"/>'
    )


def _text(x: float, y: float, words: str, kind: str = "") -> str:
    attribute = f' class="{kind}"' if kind else ""
    return f'<text x="{x:.1f}" y="{y:.1f}"{attribute}>{escape(words)}</text>'


def _description(rows: list[Row], unit: str) -> str:
    """Return what the plot shows, for those who cannot see it."""
    return "; ".join(
        f"{row.name}: {row.rate():.0f} {unit} per second, "
        f"{statistics.median(row.memories):.0f} MiB"
        for row in rows
    )
