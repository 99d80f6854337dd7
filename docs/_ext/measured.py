"""The tables of what was measured, out of the files in ``benchmarks/results``."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from sphinx.application import Sphinx
from sphinx.util.typing import ExtensionMetadata

from docs._ext import tables
from docs._ext.directives import Facts
from docs._ext.tables import Table

RESULTS = Path(__file__).parent.parent.parent / "benchmarks" / "results"


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
    result = _results("warm_start")
    workers = result["options"]["workers"]
    head = (
        *(f"Server, {workers} workers", "First 200, native", "Ours", ""),
        *("Memory, native", "Ours", ""),
    )
    rows = []
    for name, found in result["servers"].items():
        (seconds, mib), ours = found["medians"]["native"], found["medians"][_OURS]
        ratios = found["ratios"][_OURS]
        time = (f"{seconds:.2f} s", f"{ours[0]:.2f} s", _times(ratios[0]))
        memory = (f"{mib:.0f} MiB", f"{ours[1]:.0f} MiB", _times(ratios[1]))
        rows.append((name, *time, *memory))
    return Table(head, rows)


def signals() -> Table:
    """Return what each process does on each signal, with work in flight."""
    found = _results("signals")["processes"]
    words = list(next(iter(found.values())))
    rows = [
        (name, *(_does(name, word, seen[word]) for word in words))
        for name, seen in found.items()
    ]
    return Table(("", *(f"SIG{word}" for word in words)), rows)


_OURS = "prodserver"
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
    return f"\u00d7 {ratio:.2f}"


def _results(name: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((RESULTS / f"{name}.json").read_text())
    return found


def _directive(make: Callable[[], Table]) -> type[Facts]:
    class Directive(Facts):
        def table(self) -> Table:
            return make()

    return Directive


def setup(app: Sphinx) -> ExtensionMetadata:
    for make in (probe_costs, warm_start, signals):
        app.add_directive(make.__name__.replace("_", "-"), _directive(make))
    return {"parallel_read_safe": True, "parallel_write_safe": True}
