"""Plots out of the committed results, for the documentation.

A plot is an SVG that takes its colours from the page it stands in, light or dark.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from html import escape

from benchmarks.growth import LAUNCHER
from benchmarks.starts import CONSOLE, MANAGE, NATIVE, PRELOADED, THEIRS
from benchmarks.subject import read

PROJECTS = {"small": "the example", "big": "Wagtail's starter project, 300 pages"}
#: What is measured of a start, by the plot's name: the column, and the title.
COLUMNS = {
    "first-200": (0, "From the start to the first 200, seconds"),
    "slowest": (1, "The slowest of the 20 requests after it, ms"),
    "memory": (2, "Memory of all processes when idle, MiB"),
}
#: The ways that are plotted of a start.
PLOTTED = (NATIVE, PRELOADED, THEIRS, MANAGE)
GROWS = {"apps": "applications", "processes": "processes", "workers": "workers"}
WIDTH, BAR, GAP, LABEL = 720, 16, 14, 190
COLOUR = "var(--color-brand-primary, #0a4bff)"


def starts(name: str, project: str) -> str:
    """Return the plot of that name, with as many workers as were measured."""
    column, title = COLUMNS[name]
    found = read("starts")["starts"][project]
    bars = {}
    for server, counts in found.items():
        workers = max(counts, key=int)
        label = server if workers == "1" else f"{server}, {workers} workers"
        bars[label] = {
            way: row["median"][column]
            for way, row in counts[workers].items()
            if way in PLOTTED
        }
    return plot(f"{title}: {PROJECTS[project]}", bars)


def containers(name: str) -> str:
    """Return the plot of that name, of what runs in a container."""
    column, title = {**COLUMNS, "memory": (1, COLUMNS["memory"][1])}[name]
    bars = {
        server: {way: row["median"][column] for way, row in ways.items()}
        for server, ways in read("containers")["servers"].items()
    }
    return plot(f"{title}: the example in a container", bars)


def load() -> str:
    """Return the plot of the requests a second."""
    bars = {
        server: {way: row["requests per second"]["median"] for way, row in ways.items()}
        for server, ways in read("load")["servers"].items()
    }
    return plot("Requests a second", bars)


def stops() -> str:
    """Return the plot of the requests that are lost."""
    bars = {
        server: {way: row["lost of 10000"] for way, row in ways.items()}
        for server, ways in read("stops")["servers"].items()
    }
    return plot("Requests that restarts under load lose, of 10,000", bars)


def probes() -> str:
    """Return the plot of what it takes to ask, for the processes with other means."""
    bars = {
        process: {way: row["median"][0] for way, row in ways.items()}
        for process, ways in read("probe")["processes"].items()
        if process in ("gunicorn", "worker")
    }
    return plot("CPU time of asking once, ms", bars)


def growth(what: str) -> str:
    """Return the curves of "apps", "processes" or "workers"."""
    found = sorted(read("growth")["growth"][what].items(), key=lambda row: int(row[0]))

    def line(way: str, column: int) -> Mapping[int, float]:
        return {int(size): row["median"][way][column] for size, row in found}

    seconds = {way: line(way, 0) for way in (NATIVE, CONSOLE)}
    for words in LAUNCHER:
        seconds[words] = {int(size): row["launcher"][words] for size, row in found}
    memory = {way: line(way, 1) for way in (NATIVE, CONSOLE)}
    return curves(f"By {GROWS[what]}", {"Seconds": seconds, "MiB": memory})


def strength(way: str) -> float:
    """Return how strong the mark of a way is: ours is full."""
    ours = ("prodserver", "manage.py prodserver", "ours", "--live", "--ready")
    return 1.0 if way.startswith(ours) else 0.4


def plot(title: str, groups: Mapping[str, Mapping[str, float]]) -> str:
    """Return horizontal bars, a group for each label; values may not be negative."""
    longest = max(value for bars in groups.values() for value in bars.values()) or 1
    room = WIDTH - LABEL - 215  # beside it the longest name of a way
    y, marks = 44, []
    for label, bars in groups.items():
        height = len(bars) * (BAR + 3)
        marks.append(text(0, y + height / 2 + 2, label, "font-weight='600'"))
        for way, value in bars.items():
            width = max(1, value / longest * room)
            marks.append(
                f'<rect x="{LABEL}" y="{y}" width="{width:.1f}" height="{BAR}" rx="2" '
                f'fill="{COLOUR}" opacity="{strength(way)}"/>'
            )
            marks.append(text(LABEL + width + 6, y + 12, f"{value:g}  {way}"))
            y += BAR + 3
        y += GAP
    spoken = "; ".join(
        f"{label}: " + ", ".join(f"{way} {value:g}" for way, value in bars.items())
        for label, bars in groups.items()
    )
    return figure(title, spoken, y, marks)


def curves(title: str, panels: Mapping[str, Mapping[str, Mapping[int, float]]]) -> str:
    """Return panels side by side, each with lines of values by their sizes."""
    marks: list[str] = []
    spoken = []
    for number, (unit, lines) in enumerate(panels.items()):
        marks += panel(30 + number * WIDTH / len(panels), unit, lines)
        for way, line in lines.items():
            values = ", ".join(f"{value:g} at {size}" for size, value in line.items())
            spoken.append(f"{unit}, {way}: {values}")
    return figure(title, "; ".join(spoken), 240, marks)


def panel(
    left: float, unit: str, lines: Mapping[str, Mapping[int, float]]
) -> Iterator[str]:
    """Yield the marks of a panel: its axes begin at 0."""
    width, top, bottom = 210.0, 60.0, 210.0
    sizes = sorted({size for line in lines.values() for size in line})
    highest = max(value for line in lines.values() for value in line.values())

    def at(size: int, value: float) -> tuple[float, float]:
        up = value / highest * (bottom - top)
        return left + size / sizes[-1] * width, bottom - up

    yield text(left, top - 18, unit, "font-weight='600'")
    yield (
        f'<path d="M{left:.1f} {top} V{bottom} H{left + width:.1f}" fill="none" '
        f'stroke="currentColor" opacity="0.4"/>'
    )
    for size in sizes:
        yield text(at(size, 0)[0] - 4, bottom + 17, str(size), "font-size='11'")
    lowest = 0.0
    # From the top down, so that a name that would cover another can make room.
    for way, line in sorted(lines.items(), key=lambda each: -each[1][sizes[-1]]):
        points = [at(size, value) for size, value in line.items()]
        path = " ".join(f"{x:.1f},{y:.1f}" for x, y in points)
        shade = f'"{COLOUR}" opacity="{strength(way)}"'
        yield f'<polyline points="{path}" fill="none" stroke-width="2" stroke={shade}/>'
        for x, y in points:
            yield f'<circle cx="{x:.1f}" cy="{y:.1f}" r="3" fill={shade}/>'
        x, y = points[-1]
        lowest = max(y + 4, lowest + 14)
        yield text(x + 8, lowest, f"{line[sizes[-1]]:g}  {way}")


def figure(title: str, spoken: str, height: float, marks: list[str]) -> str:
    """Return the whole, with its title and what it shows in words."""
    return "\n".join(
        [
            f'<svg class="figure" viewBox="0 0 {WIDTH} {height:g}" role="img" '
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
