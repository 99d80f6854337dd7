"""The probe: what the HEALTHCHECK says, and what it takes to say it."""

from __future__ import annotations

import signal
import statistics

from prodserver_conformance.container import Container, Wrong
from prodserver_conformance.inside import program
from prodserver_conformance.plugin import Row, named
from prodserver_conformance.site import Site

_PATIENCE = 30
_RUNS = 5
# Ten times what prodserver-probe takes; what loads Django takes more.
_MOST_CPU = 0.3
_MOST_MEMORY = 48


@named("probe-truth", 'Leave the HEALTHCHECK of the base: CMD ["prodserver-probe"].')
def row_probe_truth(row: Row, site: Site, process: str) -> None:
    """Yes while it runs, no while it is stopped, yes when it goes on."""
    container = site.running(process)

    def says() -> bool:
        return container.exec(*site.image.healthcheck).code == 0

    row.do("asked its HEALTHCHECK as it runs")
    container.until(says, "yes from its HEALTHCHECK, of a process that runs", _PATIENCE)
    row.see("yes")
    row.do("after SIGSTOP")
    try:
        _signal(container, signal.SIGSTOP)
        container.until(
            lambda: not says(), "no from its HEALTHCHECK after SIGSTOP", _PATIENCE
        )
        row.see("no")
    finally:
        _signal(container, signal.SIGCONT)
    row.do("after SIGCONT")
    container.until(says, "yes from its HEALTHCHECK after SIGCONT", _PATIENCE)
    row.see("yes")


def _signal(container: Container, signum: signal.Signals) -> None:
    """Send it to all processes in the container."""
    done = container.exec(*program("signal_all", str(int(signum))))
    if done.code:
        raise Wrong(f"{signum.name} cannot be sent in it: {done.last_words}")
    # From inside, nothing stops PID 1, which may be the process.
    container.signal(signum.name)


@named(
    "probe-cost",
    "Let the HEALTHCHECK be prodserver-probe alone: it imports neither Django nor "
    "Celery, and starts Python without site.",
)
def row_probe_cost(row: Row, site: Site, process: str) -> None:
    """The HEALTHCHECK takes little: it runs every few seconds, in each container."""
    container = site.running(process)
    row.do(f"ran its HEALTHCHECK {_RUNS} times; medians")
    runs = container.told("cost", str(_RUNS), *site.image.healthcheck)
    cpu = statistics.median(run[1] for run in runs)
    memory = statistics.median(run[2] for run in runs) / 1024
    seen = f"{cpu * 1000:.0f} ms of CPU time, {memory:.0f} MiB"
    row.require(
        cpu <= _MOST_CPU and memory <= _MOST_MEMORY,
        f"{seen}; up to {_MOST_CPU * 1000:.0f} ms and {_MOST_MEMORY} MiB is well",
    )
    row.see(seen)
