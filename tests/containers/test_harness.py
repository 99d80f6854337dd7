"""The harness itself: what it calls a problem, and how a wait fails."""

from __future__ import annotations

import pytest

from tests.containers.harness import Containers
from tests.containers.logs import problems


@pytest.mark.parametrize(
    "line",
    [
        "[2026-11-25 22:06:16 +0000] [7] [WARNING] Worker with pid 8 was terminated",
        "[2026-11-25 22:06:16,123: ERROR/MainProcess] Connection reset by peer",
        "WARNING:  Invalid HTTP request received.",
        "[ERROR] Application callable raised an exception",
        "22:06:16 [Q] CRITICAL reincarnated worker",
        '{"level": "error", "message": "x"}',
        "2026-11-25T23:49:20.662Z error    web[9] gunicorn.error: Worker failed",
        "Traceback (most recent call last):",
        "/app/x.py:1: DeprecationWarning: old",
    ],
)
def test_a_problem_in_a_log(line):
    assert problems(f"Listening at: x\n{line}\nmore\n") == [line]
    assert problems(line, [r"WARN|ERR|CRIT|error|Trace|Dep"]) == []


def test_no_problem_in_a_log():
    log = (
        "[2026-11-25 22:06:16 +0000] [7] [INFO] Shutting down: Master\n"
        "web is ready: 200\n"
        "2026-11-25T23:49:20.662Z info     web[9] gunicorn.error: Starting\n"
        "  File errors.py was loaded\n"
        "slow began\n"
    )
    assert problems(log) == []


@pytest.mark.container
def test_a_wait_says_what_it_saw(containers: Containers) -> None:
    container = containers.start("sh", "-c", "echo a last word; sleep 60")
    with pytest.raises(AssertionError) as error:
        container.says("never", seconds=2)
    assert "'never' in the log: not within 2 s" in str(error.value)
    assert "Status=running" in str(error.value)
    assert "a last word" in str(error.value)
    container.docker.kill()
    with pytest.raises(
        AssertionError, match=r"it ended[^$]*ExitCode=137[^$]*last word"
    ):
        container.says("never")
