"""The probe: check the HEALTHCHECK's answers and its cost."""

from __future__ import annotations

import signal
import statistics

import pytest

from prodserver_conformance.container import CheckFailed, Container
from prodserver_conformance.environment import Environment
from prodserver_conformance.plugin import Record, check
from prodserver_conformance.programs import command_line

_TIMEOUT = 30
_RUNS = 5
# Seconds in which a second start has failed, or else is ended.
_SECOND_START = 20
# Ten times what prodserver-probe takes. A command that loads Django takes more.
_MOST_CPU = 0.3
_MOST_MEMORY = 48


@check("probe-truth", 'Leave the HEALTHCHECK of the base: CMD ["prodserver-probe"].')
def check_probe_truth(record: Record, environment: Environment, process: str) -> None:
    """Healthy while it runs, unhealthy while it is stopped, healthy when resumed."""
    container = environment.shared(process)

    def says_yes() -> bool:
        return container.exec(*environment.image.healthcheck).code == 0

    record.add_action("asked its HEALTHCHECK as it runs")
    container.wait_until(
        says_yes, "yes from its HEALTHCHECK, of a process that runs", _TIMEOUT
    )
    record.add_observation("yes")
    record.add_action("after SIGSTOP")
    try:
        _signal(container, signal.SIGSTOP)
        container.wait_until(
            lambda: not says_yes(), "no from its HEALTHCHECK after SIGSTOP", _TIMEOUT
        )
        record.add_observation("no")
    finally:
        _signal(container, signal.SIGCONT)
    record.add_action("after SIGCONT")
    container.wait_until(says_yes, "yes from its HEALTHCHECK after SIGCONT", _TIMEOUT)
    record.add_observation("yes")


@check(
    "second-start",
    "Leave PRODSERVER_RUNTIME_DIR and the HEALTHCHECK of the base: the files of a "
    "process are its own until it ends.",
)
def check_second_start(record: Record, environment: Environment, process: str) -> None:
    """Yes after a second start in its container, as by docker exec."""
    container = environment.shared(process)
    if not environment.is_web(process):
        pytest.skip("it is no web process: a second one would run beside it")
    record.add_action(f"docker exec CONTAINER prodserver {process}")
    # A server that shares its address, as Granian does, would serve beside the first.
    done = container.exec("timeout", str(_SECOND_START), "prodserver", process)
    record.add_observation(f"exit code {done.code}")
    record.add_action("asked its HEALTHCHECK")
    container.wait_until(
        lambda: container.exec(*environment.image.healthcheck).code == 0,
        "yes from its HEALTHCHECK after a second start",
        _TIMEOUT,
    )
    record.add_observation("yes")


def _signal(container: Container, signum: signal.Signals) -> None:
    """Send a signal to all processes in the container."""
    done = container.exec(*command_line("signal_all", str(int(signum))))
    if done.code:
        raise CheckFailed(f"{signum.name} cannot be sent in it: {done.last_lines}")
    # Nothing inside the container can stop PID 1, which may be the process.
    container.signal(signum.name)


@check(
    "probe-cost",
    "Let the HEALTHCHECK be prodserver-probe alone: it imports neither Django nor "
    "Celery, and starts Python without site.",
)
def check_probe_cost(record: Record, environment: Environment, process: str) -> None:
    """The HEALTHCHECK is cheap, because it runs every few seconds in each container."""
    container = environment.shared(process)
    record.add_action(f"ran its HEALTHCHECK {_RUNS} times; medians")
    runs = container.run_program("cost", str(_RUNS), *environment.image.healthcheck)
    cpu = statistics.median(run[1] for run in runs)
    memory = statistics.median(run[2] for run in runs) / 1024
    seen = f"{cpu * 1000:.0f} ms of CPU time, {memory:.0f} MiB"
    record.require(
        cpu <= _MOST_CPU and memory <= _MOST_MEMORY,
        f"{seen}; the limits are {_MOST_CPU * 1000:.0f} ms and {_MOST_MEMORY} MiB",
    )
    record.add_observation(seen)
