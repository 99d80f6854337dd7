"""
The documentation's plots and tables, out of the committed results.

    python -m benchmarks.plots            write docs/figures, and the README's table
    python -m benchmarks.plots --check    only compare; 1 if any differs

A plot is an SVG that takes its colours from the page it stands in, light or dark.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Iterator, Mapping, Sequence
from html import escape
from pathlib import Path
from typing import Any

from benchmarks.starts import MANAGE, NATIVE, PRELOADED, THEIRS

RESULTS = Path(__file__).parent / "results"
ROOT = Path(__file__).parent.parent
FIGURES = ROOT / "docs" / "figures"
README = ROOT / "README.md"
BEGIN, END = "<!-- figures: python -m benchmarks.plots -->\n", "<!-- /figures -->\n"
PROJECTS = {"small": "the example", "big": "Wagtail's starter project with 300 pages"}
#: What a start is called in the plots, and how strong its bar is.
WAYS = {NATIVE: "native", PRELOADED: "native", THEIRS: "peer", MANAGE: "ours"}
SHADES = {"native": 0.35, "peer": 0.35, "ours": 1.0}
#: What is plotted of a start: the file, the column, and the title.
COLUMNS = (
    ("memory", 2, "Memory of all processes when idle, MiB"),
    ("first-200", 0, "From the start to the first 200, seconds"),
)
WIDTH, BAR, GAP, LABEL = 720, 16, 14, 190


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--check", action="store_true")
    options = parser.parse_args()
    differs = False
    FIGURES.mkdir(exist_ok=True)
    for path, text in files().items():
        if path.exists() and path.read_text() == text:
            continue
        differs = True
        print(f"{path.relative_to(ROOT)} is not what the results say")
        if not options.check:
            path.write_text(text)
    return int(differs and options.check)


def files() -> dict[Path, str]:
    """Return the text of each file."""
    starts = result("starts")
    made = {
        "starts.md": starts_table(starts),
        "throughput.md": throughput_table(result("throughput")),
        "containers.md": containers_table(result("containers")),
        "probe.md": probe_table(result("probe")),
    }
    plots = {
        f"{name}-{project}.svg": plot(f"{title}: {PROJECTS[project]}", bars)
        for project, servers in starts["starts"].items()
        for name, column, title in COLUMNS
        if (bars := most_workers(servers, column))
    }
    head, _, rest = README.read_text().partition(BEGIN)
    summary = table(readme_table(starts))
    return {
        README: f"{head}{BEGIN}{summary}{END}{rest.partition(END)[2]}",
        **{FIGURES / name: table(rows) for name, rows in made.items()},
        **{FIGURES / name: text for name, text in plots.items()},
    }


def most_workers(
    servers: Mapping[str, Any], column: int
) -> dict[str, dict[str, float]]:
    """Return a column's medians by server and way, with as many workers as measured."""
    return {
        server: {
            way: row["median"][column]
            for way, row in counts[max(counts, key=int)].items()
            if way in WAYS
        }
        for server, counts in servers.items()
    }


def readme_table(found: Mapping[str, Any]) -> Iterator[Sequence[object]]:
    """Yield what a stranger decides by: ours and native, with the most workers."""
    yield (
        *("Server, and workers", "First 200, native", "Ours", ""),
        *("Memory, native", "Ours", ""),
    )
    for project, servers in found["starts"].items():
        for server, counts in servers.items():
            workers = max(counts, key=int)
            native, ours = counts[workers][NATIVE], counts[workers][MANAGE]
            cells: list[str] = []
            for column, unit in ((0, "s"), (2, "MiB")):
                cells += [f"{row['median'][column]:g} {unit}" for row in (native, ours)]
                cells += [f"x {ours['ratio'][column]:g}"]
            yield f"{server}, {workers}: {PROJECTS[project]}", *cells


def result(name: str) -> dict[str, Any]:
    return dict(json.loads((RESULTS / f"{name}.json").read_text()))


def plot(title: str, groups: Mapping[str, Mapping[str, float]]) -> str:
    """Return horizontal bars, a group for each label; values may not be negative."""
    longest = max(value for bars in groups.values() for value in bars.values())
    room = WIDTH - LABEL - 150
    y, marks = 44, []
    for label, bars in groups.items():
        height = len(bars) * (BAR + 3)
        marks.append(text(0, y + height / 2 + 2, label, "font-weight='600'"))
        for way, value in bars.items():
            width = max(1, value / longest * room)
            marks.append(
                f'<rect x="{LABEL}" y="{y}" width="{width:.1f}" height="{BAR}" rx="2" '
                f'fill="var(--color-brand-primary, #0a4bff)" '
                f'opacity="{SHADES[WAYS[way]]}"/>'
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


def table(rows: Iterator[Sequence[object]]) -> str:
    """Return the rows as a table in Markdown, the first of them its head."""
    head, *rest = rows
    lines = [head, ["---"] * len(head), *rest]
    return "\n".join(f"| {' | '.join(map(str, line))} |" for line in lines) + "\n"


def starts_table(found: Mapping[str, Any]) -> Iterator[Sequence[object]]:
    yield (
        *("Project", "Server", "Workers", "Start", "First 200 (s)"),
        *("Slowest of the next 20 (ms)", "Memory (MiB)", "After 200 requests (MiB)"),
    )
    for project, servers in found["starts"].items():
        for server, counts in servers.items():
            for workers, ways in counts.items():
                for way, row in ways.items():
                    yield (project, server, workers, way, *with_ratios(row))


def with_ratios(row: Mapping[str, Any]) -> list[str]:
    pairs = zip(row["median"], row["ratio"], strict=True)
    return [
        f"{value:g}" if ratio == 1 else f"{value:g} (x {ratio:g})"
        for value, ratio in pairs
    ]


def throughput_table(found: Mapping[str, Any]) -> Iterator[Sequence[object]]:
    yield "Server", "Log", "CPU time (ms)", "to native", "Latency (ms)", "to native"
    for server, ways in found["servers"].items():
        for way, row in ways.items():
            cells = []
            for quantity in row.values():
                low, middle, high = quantity["ratio"]
                spread = "" if low == high else f" ({low:.2f} to {high:.2f})"
                cells += [f"{quantity['microseconds'] / 1000:.2f}"]
                cells += [f"x {middle:.3f}{spread}"]
            yield server, way, *cells


def containers_table(found: Mapping[str, Any]) -> Iterator[Sequence[object]]:
    yield "Image", "docker run to the first 200 (s)", "to the hand-written one"
    for way, median in found["medians"].items():
        yield way, median, f"x {found['ratios'][way]}"


def probe_table(found: Mapping[str, Any]) -> Iterator[Sequence[object]]:
    yield "Process", "Asked by", "CPU time (ms)", "Wall time (ms)", "Peak memory (MB)"
    for process, ways in found["processes"].items():
        for way, row in ways.items():
            yield (process, f"`{way}`", *(f"{value:g}" for value in row["median"]))


if __name__ == "__main__":
    sys.exit(main())
