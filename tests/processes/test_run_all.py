"""``prodserver --all``: several processes in one terminal."""

from __future__ import annotations

import contextlib
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import psutil
import pytest

from tests.conftest import Starter
from tests.harness import MANAGE, MODULE, PROJECT, Web, has_ended
from tests.servers import BACKENDS, config

pytestmark = pytest.mark.process

WORKER = {"BACKEND": f"{BACKENDS}.django_tasks.DjangoTasksWorker"}
READY = "Starting worker"
#: What a process in a test is, where it is to be no server at all.
SCRIPT = "proj.thirdparty.ScriptBackend"


class Together(Web):
    """The one that runs the others; honcho gives each of these its own session."""

    data: str

    def left(self) -> list[psutil.Process]:
        found = []
        for process in psutil.process_iter():
            with contextlib.suppress(psutil.Error):
                ours = process.environ().get("TEST_DATA") == self.data
                if ours and not has_ended(process):
                    found.append(process)
        return found

    def signal_group(self, signum: int) -> None:
        """Signal it as a terminal does: what honcho forks of it gets it too."""
        os.killpg(self.process.pid, signum)


def together(
    start: Starter,
    processes: Mapping[str, Mapping[str, Any]],
    *names: str,
    port: int = 0,
    **env: Any,
) -> Together:
    environment = start.environment(processes, **env)
    started: Together = start.process(
        [*MANAGE, "--all", *names], environment, kind=Together
    )
    started.data = environment["TEST_DATA"]
    started.port = port
    return started


def script(code: str) -> dict[str, Any]:
    """Return a process that runs some Python and ends."""
    return {"BACKEND": SCRIPT, "ARGS": [code]}


UNTIL_GO = (
    "import os, pathlib, sys, time\n"
    "go = pathlib.Path(os.environ['TEST_DATA'], 'go')\n"
    "while not go.exists(): time.sleep(0.02)\n"
)
WAITS = "import time; print('waiting'); time.sleep(60)"


@pytest.fixture(scope="module")
def migrated(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A database with its tables, to be copied."""
    folder = tmp_path_factory.mktemp("migrated")
    Starter(folder, folder).migrate()
    return folder / "db.sqlite3"


class TestAWebServerAndAWorker:
    """The usual pair."""

    @pytest.fixture
    def pair(self, start: Starter, port: int, migrated: Path) -> Together:
        shutil.copy(migrated, start.data)
        processes = {"web": config("gunicorn-2", port), "worker": WORKER}
        pair = together(start, processes, port=port)
        pair.wait_until_ready()
        pair.says(READY)
        return pair

    def test_both_run_and_their_lines_are_prefixed(
        self, start: Starter, pair: Together
    ) -> None:
        start.enqueue("tasks", "one")
        pair.until(lambda: start.marks("one")[1], "the task done")
        words = [line.split() for line in pair.output.splitlines() if line]
        prefixes = {f"{word[0]} {word[1]}" for word in words}
        assert {"system |", "web |", "worker |"} == prefixes
        assert pair.stop() == 0

    @pytest.mark.parametrize(
        ("signum", "group"),
        [(signal.SIGTERM, False), (signal.SIGINT, False), (signal.SIGINT, True)],
    )
    def test_a_signal_finishes_what_is_in_flight(
        self, start: Starter, pair: Together, signum: int, group: bool
    ) -> None:
        """Ctrl-C too, which would cut the request if it reached gunicorn itself."""
        start.enqueue("tasks", "long", seconds=2)
        pair.until(lambda: start.marks("long")[0], "the task begun")
        request = pair.in_flight("/slow?s=2")
        send = pair.signal_group if group else pair.process.send_signal
        send(signum)
        assert pair.exits() == 0
        assert request.result() == "slow done"
        assert start.marks("long") == (1, 1)
        assert "Traceback" not in pair.output

    def test_a_stop_told_twice_is_one(self, start: Starter, pair: Together) -> None:
        """As timeout(1) tells it: to its child, and to the group of its child."""
        start.enqueue("tasks", "long", seconds=1)
        pair.until(lambda: start.marks("long")[0], "the task begun")
        pair.process.send_signal(signal.SIGINT)
        pair.process.send_signal(signal.SIGTERM)
        assert pair.exits() == 0
        assert start.marks("long") == (1, 1)

    def test_a_second_signal_kills(self, start: Starter, pair: Together) -> None:
        start.enqueue("tasks", "long", seconds=30)
        pair.until(lambda: start.marks("long")[0], "the task begun")
        pair.process.send_signal(signal.SIGINT)
        pair.says("sending SIGTERM to worker")
        pair.says("web stopped")
        signalled = time.monotonic()
        pair.process.send_signal(signal.SIGINT)
        assert pair.exits() == 128 + signal.SIGKILL
        assert time.monotonic() - signalled < 5
        assert start.marks("long") == (1, 0)


@pytest.mark.parametrize("code", [0, 3])
def test_the_first_to_end_stops_the_rest(start: Starter, code: int) -> None:
    """And what it ended with is what all end with."""
    processes = {"ends": script(f"{UNTIL_GO}sys.exit({code})"), "waits": script(WAITS)}
    running = together(start, processes)
    running.says("waiting")
    (start.data / "go").touch()
    assert running.exits() == code
    assert "sending SIGTERM to waits" in running.output


def test_the_rest_may_take_longer_than_honcho_waits(start: Starter) -> None:
    """Honcho itself kills what is not gone after 5 seconds."""
    stops_late = (
        "import signal, sys, time\n"
        "def late(*_): time.sleep(6); print('tidied up'); sys.exit()\n"
        "signal.signal(signal.SIGTERM, late)\n"
        "print('waiting'); time.sleep(60)"
    )
    processes = {"ends": script(UNTIL_GO), "late": script(stops_late)}
    running = together(start, processes)
    running.says("waiting")
    (start.data / "go").touch()
    assert running.exits() == 0
    assert "tidied up" in running.output


def test_names_choose(start: Starter) -> None:
    processes = {name: script(f"print('I am {name}')") for name in ("a", "b", "c")}
    for name in ("b", "c"):
        processes[name]["ARGS"] = [f"print('I am {name}'); {WAITS}"]
    running = together(start, processes, "b", "c")
    running.says("I am b")
    running.says("I am c")
    assert running.stop() == 0
    assert "I am a" not in running.output
    assert " a " not in running.output


def test_a_fault_in_one_starts_none(start: Starter) -> None:
    processes = {
        "fine": script("print('started')"),
        "faulty": {"BACKEND": "no.such.Backend"},
    }
    running = together(start, processes)
    assert running.exits() == 78
    assert "PRODUCTION_PROCESSES['faulty']" in running.output
    assert "started" not in running.output
    assert "Traceback" not in running.output


@pytest.mark.parametrize("group", [False, True], ids=["alone", "group"])
@pytest.mark.parametrize("moment", ["no child", "a child", "all children", "all run"])
def test_ctrl_c_while_they_start(start: Starter, moment: str, group: bool) -> None:
    """From the moment on when honcho is about to fork the first of them."""
    processes = {str(number): script(WAITS) for number in range(3)}
    running = together(start, processes)
    status = Path(f"/proc/{running.process.pid}/status")

    def listens() -> int:
        caught = int(re.search(r"SigCgt:\s*(\w+)", status.read_text())[1], 16)  # type: ignore[index]
        return caught & 1 << signal.SIGTERM - 1

    def children() -> int:
        return len(psutil.Process(running.process.pid).children())

    reached = {
        "no child": listens,
        "a child": children,
        "all children": lambda: children() >= len(processes),
        "all run": lambda: running.output.count("waiting") == len(processes),
    }
    running.until(listens, "handlers for signals")
    running.until(reached[moment], moment)
    send = running.signal_group if group else running.process.send_signal
    send(signal.SIGINT)
    code = running.exits(10)
    assert code == 0, running.output
    assert "_terminate" not in running.output


def test_without_honcho_it_says_what_to_install(start: Starter) -> None:
    blocked = (
        "import sys; sys.modules['honcho'] = None; "
        "from django_prodserver.commands.cli import main; main(['--all'])"
    )
    done = subprocess.run(
        [sys.executable, "-c", blocked],
        env=start.environment({"web": config("waitress", 8000)}),
        cwd=PROJECT,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 78
    assert done.stderr == (
        "prodserver: --all needs honcho, which is not installed.\n"
        'Install it: python -m pip install "django-prodserver[honcho]"\n'
    )


def test_the_package_runs_it_too(start: Starter) -> None:
    processes = {"one": script("print('I am one')")}
    done = start.command("--all", via=MODULE, processes=processes)
    assert done.returncode == 0
    assert "I am one" in done.stdout
