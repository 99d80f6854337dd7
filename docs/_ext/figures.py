"""The directives that put what was measured onto a page: tables, and plots."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from docutils import nodes
from sphinx.application import Sphinx
from sphinx.util.docutils import SphinxDirective
from sphinx.util.typing import ExtensionMetadata

from benchmarks import plots
from docs._ext import measured
from docs._ext.directives import Facts
from docs._ext.tables import Table


class Starts(Facts):
    """A table of starts: the project, and what of it, a key of QUANTITIES."""

    required_arguments = 2

    def table(self) -> Table:
        return measured.starts(*self.arguments)


class HeldStops(Facts):
    """A table of stops that clients hold up: of these servers."""

    required_arguments = 1
    optional_arguments = 3

    def table(self) -> Table:
        return measured.held_stops(*self.arguments)


class Compared(Facts):
    """A table of what ``--compare`` prints: of a project."""

    required_arguments = 1

    def table(self) -> Table:
        return measured.compared(*self.arguments)


def _directive(make: Callable[[], Table]) -> type[Facts]:
    class Directive(Facts):
        def table(self) -> Table:
            return make()

    return Directive


class Plot(SphinxDirective):
    """A plot: a key of PLOTS, and what its function takes."""

    required_arguments = 1
    optional_arguments = 2

    def run(self) -> list[nodes.Node]:
        name, *arguments = self.arguments
        # In the page itself, whose colours it takes.
        return [nodes.raw("", PLOTS[name](*arguments), format="html")]


PLOTS: Mapping[str, Callable[..., str]] = {
    "starts": plots.starts,
    "growth": plots.growth,
    "load": plots.load,
    "containers": plots.containers,
    "probe": plots.probes,
    "stops": plots.stops,
}
TABLES = {
    "applications": measured.applications,
    "blocked-log": measured.blocked_log,
    "celery-stops": measured.celery_stops,
    "containers": measured.containers,
    "growth": measured.growth,
    "image-sizes": measured.image_sizes,
    "lazy-imports": measured.lazy_imports,
    "load": measured.load,
    "log-line": measured.log_line,
    "measured-with": measured.measured_with,
    "renewals": measured.renewals,
    "published-starts": measured.published_starts,
    "probe-costs": measured.probe_costs,
    "signals": measured.signals,
    "stops": measured.stops,
    "throughput": measured.throughput,
    "warm-start": measured.warm_start,
}


def setup(app: Sphinx) -> ExtensionMetadata:
    app.add_directive("plot", Plot)
    app.add_directive("starts", Starts)
    app.add_directive("held-stops", HeldStops)
    app.add_directive("compared", Compared)
    for name, make in TABLES.items():
        app.add_directive(name, _directive(make))
    return {"parallel_read_safe": True, "parallel_write_safe": True}
