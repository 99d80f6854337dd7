"""The tables of what was measured, out of the files in ``benchmarks/results``."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any

from docutils import nodes
from sphinx.application import Sphinx
from sphinx.util.docutils import SphinxDirective
from sphinx.util.typing import ExtensionMetadata

from benchmarks import plots
from benchmarks.plots import PROJECTS
from benchmarks.plots import result as _results
from benchmarks.starts import CONSOLE, NATIVE
from docs._ext import tables
from docs._ext.directives import Facts
from docs._ext.tables import Table


def probe_costs() -> Table:
    """Return what asking a process takes, and what it takes by other means."""
    rows = [
        (_NAMES.get(name, name), tables.code(way), f"{cpu:.0f} ms", f"{memory:.0f} MB")
        for name, ways in _results("probe")["processes"].items()
        for way, (cpu, _, memory) in ((w, found["median"]) for w, found in ways.items())
    ]
    return Table(("Process", "Asked by", "CPU time", "Peak memory"), rows)


def warm_start() -> Table:
    """Return what a warm start saves against the native command."""
    head = ("", "First 200, native", "Ours", "", "Memory, native", "Ours", "")
    rows = []
    for project, servers in _results("starts")["starts"].items():
        for server, counts in servers.items():
            workers = max(counts, key=int)
            if workers == "1":
                continue  # one process shares nothing
            native, ours = (counts[workers][way]["median"] for way in (NATIVE, CONSOLE))
            ratios = counts[workers][CONSOLE]["ratio"]
            time = (f"{native[0]:.2f} s", f"{ours[0]:.2f} s", _times(ratios[0]))
            memory = (f"{native[2]:.0f} MiB", f"{ours[2]:.0f} MiB", _times(ratios[2]))
            label = f"{server}, {workers} workers: {PROJECTS[project]}"
            rows.append((label, *time, *memory))
    return Table(head, rows)


def starts() -> Table:
    """Return all that was measured of starts."""
    head = (
        *("Project", "Server, workers", "Start", "First 200"),
        *("Slowest of the next 20", "Memory", "After 200 requests"),
    )
    units = ("s", "ms", "MiB", "MiB")
    rows = [
        (project, f"{server}, {workers}", tables.code(way), *cells)
        for project, servers in _results("starts")["starts"].items()
        for server, counts in servers.items()
        for workers, ways in counts.items()
        for way, row in ways.items()
        for cells in [
            [
                _value(value, unit) + (f" ({_times(ratio)})" if way != NATIVE else "")
                for value, ratio, unit in zip(
                    row["median"], row["ratio"], units, strict=True
                )
            ]
        ]
    ]
    return Table(head, rows)


def throughput() -> Table:
    """Return what a request costs, with the interval of the ratios to native."""
    head = ("Server", "Log", "CPU time", "to native", "Latency", "to native")
    return Table(head, list(_throughput()))


def _throughput() -> Iterator[tuple[str, ...]]:
    for server, ways in _results("throughput")["servers"].items():
        for way, row in ways.items():
            cells: list[str] = []
            for quantity in row.values():
                low, middle, high = quantity["ratio"]
                spread = "" if low == high else f" ({low:.3f} to {high:.3f})"
                cells += [f"{quantity['microseconds'] / 1000:.2f} ms"]
                cells += [f"\u00d7 {middle:.3f}{spread}"]
            yield server, way, *cells


def containers() -> Table:
    """Return what it takes from ``docker run`` to the first 200."""
    found = _results("containers")
    rows = [
        (way, f"{median:g} s", _times(found["ratios"][way]))
        for way, median in found["medians"].items()
    ]
    return Table(("Image", "To the first 200", "to the hand-written one"), rows)


def signals() -> Table:
    """Return what each process does on each signal, with work in flight."""
    found = _results("signals")["processes"]
    words = list(next(iter(found.values())))
    rows = [
        (name, *(_does(name, word, seen[word]) for word in words))
        for name, seen in found.items()
    ]
    return Table(("", *(f"SIG{word}" for word in words)), rows)


#: As other pages call them; the tests' project has names of its own.
_NAMES = {"worker": "celery"}
#: What it does where it goes on, as far as that does not show in its processes.
_MORE = {
    ("gunicorn", "USR1"): "reopens its log files",
    ("gunicorn", "USR2"): "starts a new master beside it",
    ("celery", "HUP"): "finishes, starts again",
}


def _does(name: str, word: str, seen: Mapping[str, Any]) -> str:
    """Return in words what was seen."""
    code, done = seen["code"], seen["work"] == "done"
    if code is None:
        plain = "replaces its workers" if seen["replaced"] else "goes on"
        return _MORE.get((name.partition(" ")[0], word), plain)
    # As a shell shows a signal.
    shown = code if code >= 0 else 128 - code
    what = "orphans" if seen["left"] else "finishes" if done else "cut"
    return f"{what}, {shown}"


def _times(ratio: float) -> str:
    return f"\u00d7\u00a0{ratio:.2f}"


def _value(number: float, unit: str) -> str:
    # Not to be broken between the two.
    return f"{number:g}\u00a0{unit}"


def _directive(make: Callable[[], Table]) -> type[Facts]:
    class Directive(Facts):
        def table(self) -> Table:
            return make()

    return Directive


class StartsPlot(SphinxDirective):
    """A plot of starts: ``memory`` or ``first-200``, and the project."""

    required_arguments = 2

    def run(self) -> list[nodes.Node]:
        # In the page itself, whose colours it takes.
        return [nodes.raw("", plots.starts(*self.arguments), format="html")]


def setup(app: Sphinx) -> ExtensionMetadata:
    app.add_directive("starts-plot", StartsPlot)
    for make in (probe_costs, warm_start, starts, throughput, containers, signals):
        app.add_directive(make.__name__.replace("_", "-"), _directive(make))
    return {"parallel_read_safe": True, "parallel_write_safe": True}
