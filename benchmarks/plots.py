"""Plots out of the committed results, for the documentation.

A plot is an SVG that takes its colours from the page it stands in, light or dark.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from html import escape
from pathlib import Path
from typing import Any

from benchmarks.starts import MANAGE, NATIVE, PRELOADED, THEIRS

RESULTS = Path(__file__).parent / "results"
PROJECTS = {"small": "the example", "big": "Wagtail's starter project, 300 pages"}
#: What is plotted of a start, by the plot's name: the column, and the title.
COLUMNS = {
    "memory": (2, "Memory of all processes when idle, MiB"),
    "first-200": (0, "From the start to the first 200, seconds"),
}
#: How strong a way's bar is; the ways that have none are not plotted.
SHADES = {NATIVE: 0.35, PRELOADED: 0.35, THEIRS: 0.35, MANAGE: 1.0}
WIDTH, BAR, GAP, LABEL = 720, 16, 14, 190


def starts(name: str, project: str) -> str:
    """Return the plot of that name, with as many workers as were measured."""
    column, title = COLUMNS[name]
    found = result("starts")["starts"][project]
    bars = {}
    for server, counts in found.items():
        workers = max(counts, key=int)
        label = server if workers == "1" else f"{server}, {workers} workers"
        bars[label] = {
            way: row["median"][column]
            for way, row in counts[workers].items()
            if way in SHADES
        }
    return plot(f"{title}: {PROJECTS[project]}", bars)


def result(name: str) -> dict[str, Any]:
    return dict(json.loads((RESULTS / f"{name}.json").read_text()))


def plot(title: str, groups: Mapping[str, Mapping[str, float]]) -> str:
    """Return horizontal bars, a group for each label; values may not be negative."""
    longest = max(value for bars in groups.values() for value in bars.values())
    room = WIDTH - LABEL - 215  # beside it the longest name of a way
    y, marks = 44, []
    for label, bars in groups.items():
        height = len(bars) * (BAR + 3)
        marks.append(text(0, y + height / 2 + 2, label, "font-weight='600'"))
        for way, value in bars.items():
            width = max(1, value / longest * room)
            marks.append(
                f'<rect x="{LABEL}" y="{y}" width="{width:.1f}" height="{BAR}" rx="2" '
                f'fill="var(--color-brand-primary, #0a4bff)" '
                f'opacity="{SHADES[way]}"/>'
            )
            marks.append(text(LABEL + width + 6, y + 12, f"{value:g}  {way}"))
            y += BAR + 3
        y += GAP
    spoken = "; ".join(
        f"{label}: " + ", ".join(f"{way} {value:g}" for way, value in bars.items())
        for label, bars in groups.items()
    )
    return "\n".join(
        [
            f'<svg class="figure" viewBox="0 0 {WIDTH} {y}" role="img" '
            f'aria-label="{escape(f"{title}. {spoken}")}" '
            f'xmlns="http://www.w3.org/2000/svg" font-family="sans-serif" '
            f'font-size="13" style="max-width: 100%; height: auto">',
            text(0, 18, title, "font-size='15' font-weight='600'"),
            *marks,
            "</svg>",
            "",
        ]
    )


def text(x: float, y: float, words: str, more: str = "") -> str:
    return (
        f'<text x="{x:.1f}" y="{y:.1f}" fill="var(--color-foreground-primary, #444)" '
        f"{more}>{escape(words)}</text>"
    )
