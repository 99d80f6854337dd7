"""The heartbeat's line: who may write it, and what the probe makes of it."""

from __future__ import annotations

import json
import os
import resource
import subprocess
import sys
import threading
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from django_prodserver.config.context import VARIABLE, Context
from django_prodserver.health import heartbeat, probe, state
from django_prodserver.health.heartbeat import beat


@pytest.fixture
def started(tmp_path, monkeypatch):
    """This process, as if our launcher had started it as a worker."""
    monkeypatch.setenv("PRODSERVER_RUNTIME_DIR", str(tmp_path))

    def started(**kwargs) -> state.State:
        own: dict[str, Any] = {"name": "worker", "kind": "worker", "max_age": 30}
        file = state.write(state.State(**(own | kwargs)))
        assert file
        monkeypatch.setenv(VARIABLE, Context(state_file=file).encode())
        monkeypatch.setattr(heartbeat, "_current", heartbeat._Current())
        found = state.read(file)
        assert found
        return found

    return started


@pytest.fixture
def ask(capfd):
    """Ask the probe in this process; return its exit code and its line."""

    def ask(*args: str) -> tuple[int, str]:
        code = probe.main([*args, "worker"])
        return code, capfd.readouterr().out.strip()

    return ask


def seen(of: state.State) -> tuple[str, str] | None:
    found = heartbeat.read(of)
    return (found.condition, found.detail) if found else None


def grow_old(of: state.State, seconds: float) -> None:
    """Make the heartbeat that many seconds older, in the file itself."""
    file = Path(of.directory) / f"{of.name}.heartbeat"
    line = file.read_text()
    now = line.split()[0]
    file.write_text(line.replace(now, f"{float(now) - seconds:.3f}"))


def test_what_is_beaten_is_read(started):
    """One line, the last one; details of any kind are one line too."""
    worker = started()
    assert seen(worker) is None
    beat("starting", "waiting for\n the database")
    assert seen(worker) == ("starting", "waiting for the database")
    beat("busy", "ü" * 1000)
    condition, detail = seen(worker) or ("", "")
    assert (condition, detail[:9]) == ("busy", "ü" * 9)
    beat("ready")
    assert seen(worker) == ("ready", "")
    file = Path(worker.directory) / "worker.heartbeat"
    assert file.read_text().count("\n") == 2
    assert file.stat().st_mode & 0o777 == 0o600


def test_nothing_counts_after_draining(started):
    """The loop may go round once more before it ends."""
    worker = started()
    beat("ready")
    beat("draining")
    beat("ready")
    assert seen(worker) == ("draining", "")


# pytest-xdist has a thread, which Python 3.15 sees; the child uses nothing of it.
forks = pytest.mark.filterwarnings("ignore:.*use of fork:DeprecationWarning")


@forks
def test_only_the_process_that_was_started_has_one(started, monkeypatch):
    """Not its child, and not a process that our launcher did not start."""
    worker = started()
    if not (child := os.fork()):
        beat("ready")
        os._exit(0)
    os.waitpid(child, 0)
    code = "from django_prodserver.health.heartbeat import beat; beat('ready')"
    subprocess.run([sys.executable, "-c", code], check=True)
    monkeypatch.delenv(VARIABLE)
    beat("ready")
    monkeypatch.setenv(
        VARIABLE, Context(state_file=f"{worker.directory}/nothing.state").encode()
    )
    beat("ready")
    assert seen(worker) is None


@forks
def test_a_child_can_be_handed_its_parents(started):
    """Where the work is done in a child; it is believed as long as both run."""
    worker = started()
    writer = heartbeat.current_writer()
    if not (child := os.fork()):
        assert writer
        writer.beat("ready")
        os._exit(0)
    os.waitpid(child, 0)
    assert seen(worker) == ("ready", "")


@pytest.mark.parametrize(
    "other", [{"pid": 1, "start": "1"}, {"start": "1"}, {"namespace": "another"}]
)
def test_what_another_process_left_is_not_believed(other, started, ask):
    """Of the same name: an earlier container's, or one that shares the folder."""
    worker = started()
    beat("ready")
    assert seen(worker) == ("ready", "")
    Path(worker.directory, "worker.state").unlink()
    now = started(**other)
    assert seen(now) is None
    # Nor does it beat for that one.
    beat("ready")
    assert seen(now) is None
    assert ask("--live")[0] != 0
    assert ask("--ready")[0] != 0


@pytest.mark.parametrize(
    "content", [b"", b"\n", b"x", b"\xff" * 512, b"1 ready", b"nan ready x  nan\n"]
)
def test_what_is_no_heartbeat_is_none(content, started, ask):
    worker = started()
    (Path(worker.directory) / "worker.heartbeat").write_bytes(content)
    assert seen(worker) is None
    line = f"cannot tell: worker has no heartbeat in {worker.directory}"
    assert ask() == (2, line)


def test_one_of_the_future_is_none(started):
    worker = started()
    beat("ready")
    grow_old(worker, -60)
    assert seen(worker) is None


def test_half_of_a_line_is_not_read(started):
    """It is there twice, and both must be the same."""
    worker = started()
    beat("ready")
    file = Path(worker.directory) / "worker.heartbeat"
    content = file.read_bytes()
    file.write_bytes(content[:500] + content[500:].replace(b".", b"9"))
    assert seen(worker) is None


def test_a_reader_sees_one_line_whatever_is_written(started):
    """A thousand times, while it is written as fast as can be."""
    worker = started()
    writer = heartbeat.current_writer()
    assert writer
    done = threading.Event()

    def write() -> None:
        words = [("ready", "r" * 300), ("busy", "b" * 300)]
        while not done.is_set():
            for condition, detail in words:
                writer.beat(condition, detail)

    writer.beat("ready", "r" * 300)
    thread = threading.Thread(target=write)
    thread.start()
    try:
        found = {seen(worker) for _ in range(1000)}
    finally:
        done.set()
        thread.join()
    assert found <= {("ready", "r" * 300), ("busy", "b" * 300)}


def test_what_cannot_be_written_is_no_error(started):
    """The folder removed, its place taken, a device that is full."""
    worker = started()
    file = Path(worker.directory) / "worker.heartbeat"
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (0, limits[1]))
    try:
        beat("ready")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert seen(worker) is None
    file.unlink(missing_ok=True)
    file.mkdir()
    beat("busy")
    file.rmdir()
    for left in Path(worker.directory).iterdir():
        left.unlink()
    Path(worker.directory).rmdir()
    beat("ready")
    assert not Path(worker.directory).exists()


def test_a_link_in_its_place_is_not_followed(started):
    """It could be anybody's file."""
    worker = started()
    target = Path(worker.directory) / "target"
    target.write_text("precious")
    (Path(worker.directory) / "worker.heartbeat").symlink_to(target)
    beat("ready")
    assert target.read_text() == "precious"
    assert seen(worker) == ("ready", "")


def test_it_overwrites_where_it_is(started):
    """So that a device that has no room left does not silence it."""
    worker = started()
    beat("ready")
    file = Path(worker.directory) / "worker.heartbeat"
    before = file.stat()
    beat("busy")
    after = file.stat()
    assert (before.st_ino, before.st_size) == (after.st_ino, after.st_size)


AGE = "last heartbeat 0.0 s ago"
OLD = "last heartbeat 90.0 s ago"


@pytest.mark.parametrize(
    ("told", "old", "live", "ready"),
    [
        (
            ("starting", ""),
            0,
            "0 worker is live: it is starting",
            "1 worker is not ready: it is starting",
        ),
        # Alive as long as it runs: the broker may be away for long.
        (
            ("starting", "no broker"),
            90,
            "0 worker is live: it is starting: no broker",
            "1 worker is not ready: it is starting: no broker",
        ),
        (
            ("ready", ""),
            0,
            "0 worker is live: it is ready",
            f"0 worker is ready ({AGE})",
        ),
        (
            ("ready", ""),
            90,
            f"1 worker is not live: {OLD}, limit 30 s",
            f"1 worker is not ready: {OLD}, limit 30 s",
        ),
        (
            ("busy", ""),
            90,
            "0 worker is live: it is busy",
            f"0 worker is ready: it is busy ({OLD})",
        ),
        (
            ("waiting", "no answer"),
            0,
            "0 worker is live: it is waiting: no answer",
            "1 worker is not ready: it is waiting: no answer",
        ),
        (
            ("waiting", "no answer"),
            90,
            f"1 worker is not live: {OLD}, limit 30 s",
            f"1 worker is not ready: {OLD}, limit 30 s",
        ),
        (
            ("draining", ""),
            90,
            "0 worker is live: it is draining",
            "1 worker is not ready: it is draining",
        ),
        (
            ("silent", "do this"),
            0,
            "2 cannot tell: worker has no heartbeat: do this",
            "2 cannot tell: worker has no heartbeat: do this",
        ),
    ],
)
def test_what_the_probe_makes_of_it(told, old, live, ready, started, ask, monkeypatch):
    started()
    clock = SimpleNamespace(monotonic=lambda: 1000.0)
    monkeypatch.setattr(heartbeat, "time", clock)
    beat(*told)
    clock.monotonic = lambda: 1000.0 + old
    for question, expected in (("--live", live), ("--ready", ready)):
        code, line = ask(question)
        assert f"{code} {line}" == expected
    found = json.loads(ask("--json")[1])["heartbeat"]
    assert (found["condition"], found["detail"]) == told
    assert (found["seconds"], found["max_age"]) == (old, 30)


def test_a_worker_that_has_no_heartbeat_cannot_be_judged(started, ask):
    """A backend whose loop nobody joined."""
    started(max_age=0)
    beat("ready")
    line = "cannot tell: worker is a worker without a heartbeat"
    assert ask("--live") == ask("--ready") == (2, line)


def test_a_web_process_that_waits_is_judged_by_what_it_waits_for(started, ask):
    """It listens only when the wait is over, and nothing is said to wait for."""
    started(kind="web", addresses=("tcp://127.0.0.1:1",), max_age=0)
    beat("starting", "waiting for database")
    reason = "it is starting: waiting for database"
    assert ask("--live") == (0, f"worker is live: {reason}")
    assert ask("--ready") == (1, f"worker is not ready: {reason}")
    beat("starting")
    nothing = "nothing listens on 127.0.0.1:1"
    assert ask("--live") == (1, f"worker is not live: {nothing}")
