"""A management command that runs until it is stopped."""

from __future__ import annotations

import signal
from collections.abc import Callable
from typing import Any

import pytest

from tests.backends.contract import GRACE, MAX_AGE
from tests.backends.sites import NO, YES, ProbedProcess, log_records, matching
from tests.conftest import Starter
from tests.harness import MANAGE, MODULE, SCRIPT, Running
from tests.servers import BACKENDS

pytestmark = pytest.mark.process

Run = Callable[..., Running]


def entry(way: str, **keys: Any) -> dict[str, Any]:
    backend = f"{BACKENDS}.management.LongRunningCommand"
    return {"BACKEND": backend, "COMMAND": ["run_bot", way], **keys}


@pytest.fixture
def run(start: Starter) -> Run:
    """Start the command in one of its ways, and wait until it runs."""

    def run(way: str, via: Any = MANAGE, **keys: Any) -> Running:
        worker = start.worker(entry(way, **keys), via=via)
        worker.says("running")
        return worker

    return run


@pytest.mark.parametrize("preload", ["auto", False])
def test_full_lifecycle(run: Run, start: Starter, preload: Any) -> None:
    """It is live and ready while it runs, drains, and cleans up as with Ctrl-C."""
    worker = run("loop", LOG_FORMAT="json", PRELOAD=preload)
    probed = ProbedProcess(start, worker)
    probed.wait_for_readiness(YES, "its command writes no heartbeat")
    worker.process.send_signal(signal.SIGSTOP)
    probed.wait_until_not_live("is stopped")
    worker.process.send_signal(signal.SIGCONT)
    # Both the process and its group, as "timeout" does.
    worker.process.send_signal(signal.SIGTERM)
    worker.signal_all(signal.SIGTERM)
    worker.says("stopping")
    probed.wait_for_readiness(NO, "draining")
    (start.data / "go").touch()
    assert worker.exits() == 0
    probed.wait_until_not_live("is not running")
    records = log_records(worker)
    assert {record["process"] for record in records} == {"worker"}
    assert matching(records, message="cleaned up", logger="stdout")
    assert "Traceback" not in worker.output


@pytest.mark.parametrize("via", [MODULE, SCRIPT], ids=["-m", "script"])
def test_ctrl_c_is_the_same_stop(run: Run, start: Starter, via: Any) -> None:
    (start.data / "go").touch()
    worker = run("loop", via=via)
    assert worker.stop(signal.SIGINT) == 0
    assert "cleaned up" in worker.output
    assert "Traceback" not in worker.output


def test_own_heartbeat_counts_by_its_age(run: Run, start: Starter) -> None:
    worker = run("beating", HEALTH={"MAX_AGE": MAX_AGE})
    probed = ProbedProcess(start, worker)
    probed.wait_for_readiness(YES, "is ready")
    (start.data / "hang").touch()
    probed.wait_until_not_live("is not live: last heartbeat")


def test_command_that_handles_sigterm_is_left_to_it(run: Run, start: Starter) -> None:
    """Its handler, its exit code; and the probe knows that it drains."""
    worker = run("handling")
    probed = ProbedProcess(start, worker)
    worker.process.send_signal(signal.SIGTERM)
    worker.says("stopping")
    probed.wait_for_readiness(NO, "draining")
    (start.data / "go").touch()
    assert worker.exits() == 5
    assert f"received [{signal.SIGTERM.value}]" in worker.output


@pytest.mark.parametrize(
    ("way", "text"), [("asynchronous", "cancelled"), ("listening", "asyncio was told")]
)
def test_coroutine(run: Run, way: str, text: str) -> None:
    worker = run(way)
    assert worker.stop() == 0
    assert text in worker.output
    assert "Traceback" not in worker.output


@pytest.mark.parametrize("way", ["stubborn", "handling"])
def test_deadline_ends_it_and_its_children(run: Run, way: str) -> None:
    worker = run(way, GRACEFUL_TIMEOUT=GRACE)
    assert worker.stop() == 1
    assert f"not finished within {GRACE} s (GRACEFUL_TIMEOUT)" in worker.output


def test_second_signal_ends_it_at_once(run: Run) -> None:
    worker = run("stubborn", GRACEFUL_TIMEOUT=600)
    worker.process.send_signal(signal.SIGTERM)
    worker.says("ignored")

    def signal_again() -> bool:
        worker.process.send_signal(signal.SIGTERM)
        return "second signal" in worker.output

    worker.until(signal_again, "the second signal heard")
    assert worker.exits() == 1


def test_forked_child_has_the_native_handlers(start: Starter) -> None:
    worker = start.worker(entry("forking"))
    assert worker.exits() == 0
    assert f"the child ended with {-signal.SIGTERM}" in worker.output


def test_exec_of_the_dry_run_command(start: Starter) -> None:
    processes = {"worker": entry("early")}
    done = start.command("worker", "--dry-run", processes=processes)
    assert done.stdout.strip().endswith("manage.py run_bot early")


@pytest.mark.parametrize("preload", ["auto", False])
@pytest.mark.parametrize("via", [MANAGE, SCRIPT], ids=["manage.py", "script"])
def test_unknown_command(start: Starter, via: Any, preload: Any) -> None:
    backend = entry("loop", PRELOAD=preload)
    done = start.command(
        "worker", via=via, processes={"worker": {**backend, "COMMAND": "run_bto loop"}}
    )
    assert done.returncode == 78
    assert (
        "PRODUCTION_PROCESSES['worker']: COMMAND names 'run_bto', but no app has that "
        "command.\nDid you mean 'run_bot'?" in done.stderr
    )
    assert "Traceback" not in done.stderr
