"""The image's entrypoint, without an image."""

from __future__ import annotations

import contextlib
import os
import re
import shutil
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from tests import schema

ROOT = Path(__file__).parents[2]
SCRIPT = ROOT / "docker" / "entrypoint.sh"
# Prints its name and each argument in a line of its own, so that what was split
# or lost on the way shows.
RECORDER = """#!/bin/sh
printf '%s\\n' "${0##*/}" "$@"
"""
DEADLINE = 20


class Entrypoint:
    """The script, with folders of its own where the image has the root's."""

    def __init__(self, folder: Path) -> None:
        self.hooks = folder / "docker-entrypoint.d"
        self.hooks.mkdir()
        self.reason = folder / "termination-log"
        self.bin = folder / "bin"
        self.bin.mkdir()
        self.runtime = folder / "runtime"
        self.runtime.mkdir()
        text = SCRIPT.read_text()
        for path, own in (
            ("/docker-entrypoint.d", self.hooks),
            ("/dev/termination-log", self.reason),
        ):
            assert path in text
            text = text.replace(path, str(own))
        self.script = add(folder / "entrypoint", text)
        add(self.bin / "prodserver", RECORDER)
        self.environment = {
            # "python" is the one of these tests, and knows the package.
            "PATH": f"{self.bin}:{Path(sys.executable).parent}:{os.environ['PATH']}",
            "PYTHONPATH": str(ROOT / "src"),
            "PRODSERVER_RUNTIME_DIR": str(self.runtime),
        }

    def start(self, *args: str, **environment: str) -> subprocess.Popen[str]:
        return subprocess.Popen(
            [self.script, *args],
            env=self.environment | environment,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )

    def __call__(
        self, *args: str, stdin: str = "", **environment: str
    ) -> subprocess.CompletedProcess[str]:
        process = self.start(*args, **environment)
        stdout, stderr = process.communicate(stdin, timeout=DEADLINE)
        return subprocess.CompletedProcess(args, process.returncode, stdout, stderr)


def add(path: Path, text: str, mode: int = 0o755) -> Path:
    path.write_text(text)
    path.chmod(mode)
    return path


@pytest.fixture
def entrypoint(tmp_path):
    return Entrypoint(tmp_path)


# Hooks


@pytest.mark.parametrize("args", [(), ("web",), ("echo", "hi"), ("--", "echo")])
def test_a_failing_hook_is_named_and_ends_the_start(entrypoint, args):
    hook = add(entrypoint.hooks / "10-fetch", "#!/bin/sh\nexit 3\n")
    add(entrypoint.hooks / "20-after", "#!/bin/sh\necho after\n")
    done = entrypoint(*args)
    assert done.returncode == 3
    assert done.stdout == ""
    assert done.stderr == f"entrypoint: {hook} failed with status 3, not starting\n"
    assert not entrypoint.reason.exists()


def test_in_json_it_says_so_in_one_object(entrypoint):
    """Whatever a file is called: the line is of the schema that all of the log has."""
    for name in ('10-"quoted"\\', "10-two\nlines\t", "10-ünï"):
        hook = add(entrypoint.hooks / name, "#!/bin/sh\nexit 3\n")
        environment = {"PRODSERVER_LOG_FORMAT": "json", "PROCESS_NAME": 'w"\\'}
        done = entrypoint(**environment)
        hook.unlink()
        assert done.returncode == 3
        assert done.stderr == ""
        told = schema.line(done.stdout.removesuffix("\n"))
        assert told["level"] == "error"
        assert told["logger"] == "entrypoint"
        assert told["process"] == 'w"\\'
        said = re.sub("[^ -~]", "?", os.fsencode(str(hook)).decode("latin-1"))
        assert told["message"] == f"{said} failed with status 3, not starting"


def test_a_hook_that_cannot_run_ends_the_start(entrypoint):
    hook = add(entrypoint.hooks / "10-fetch", "#!/bin/sh\n", mode=0o644)
    done = entrypoint()
    assert done.returncode == 126
    assert done.stdout == ""
    assert done.stderr == (
        f"entrypoint: {hook} is not executable, not starting; run chmod +x on it\n"
    )


def test_a_link_to_nothing_is_no_hook_that_may_be_left_out(entrypoint):
    (entrypoint.hooks / "10-fetch").symlink_to("gone")
    done = entrypoint()
    assert done.returncode == 126
    assert "10-fetch is not executable" in done.stderr


def test_the_last_error_is_where_kubernetes_looks(entrypoint):
    entrypoint.reason.touch()
    add(entrypoint.hooks / "10-fetch", "#!/bin/sh\nexit 3\n")
    done = entrypoint()
    assert entrypoint.reason.read_text() == done.stderr


def test_hooks_run_in_the_order_of_their_names_before_the_process(entrypoint):
    for name in ("20-b", "10-a", "30 c"):
        add(entrypoint.hooks / name, f"#!/bin/sh\necho {name!r}\n")
    (entrypoint.hooks / "15-folder").mkdir()
    done = entrypoint("web")
    assert done.returncode == 0
    assert done.stdout.splitlines() == ["10-a", "20-b", "30 c", "prodserver", "web"]
    assert done.stderr == ""


def test_it_starts_without_a_folder_of_hooks(entrypoint):
    entrypoint.hooks.rmdir()
    done = entrypoint("web")
    assert (done.returncode, done.stderr) == (0, "")


# What the project installs


@pytest.fixture
def project(tmp_path, entrypoint):
    """The project's packages, with a django-prodserver in them."""
    packages = tmp_path / "venv" / "lib" / "python3.13" / "site-packages"
    (packages / "django_prodserver").mkdir(parents=True)
    (packages / "django_prodserver" / "__init__.py").touch()
    (packages / "django_prodserver-3.0.0.dist-info").mkdir()
    entrypoint.environment["VIRTUAL_ENV"] = str(tmp_path / "venv")
    return packages


@pytest.mark.parametrize("args", [(), ("web",), ("-w8",), ("prodserver", "web")])
def test_a_django_prodserver_before_4_is_one_message(entrypoint, project, args):
    add(entrypoint.hooks / "10-release", "#!/bin/sh\nprodserver release\n")
    done = entrypoint(*args)
    assert (done.returncode, done.stdout) == (78, "")
    message = "entrypoint: the project installs django-prodserver 3.0.0, which hides "
    assert done.stderr.startswith(message)
    assert "require django-prodserver>=4.0.0.dev0" in done.stderr
    assert len(done.stderr.splitlines()) == 1
    (project / "django_prodserver" / "__main__.py").touch()
    assert entrypoint(*args).returncode == 0


@pytest.mark.parametrize("args", [("command",), ("--", "command")])
def test_other_commands_run_beside_an_old_one(entrypoint, project, args):
    add(entrypoint.bin / "command", RECORDER)
    assert entrypoint(*args).stdout == "command\n"


# What is started


@pytest.mark.parametrize(
    ("args", "started"),
    [
        pytest.param([], ["prodserver"], id="nothing-is-the-default-process"),
        pytest.param([""], ["prodserver", ""], id="an-empty-word-is-nothing"),
        pytest.param(
            ["--workers", "8"],
            ["prodserver", "--workers", "8"],
            id="options-are-the-default-process's",
        ),
        pytest.param(
            ["--config=/etc/a"], ["prodserver", "--config=/etc/a"], id="with-a-path"
        ),
        pytest.param(["-w8"], ["prodserver", "-w8"], id="short-options-too"),
        pytest.param(["--list"], ["prodserver", "--list"], id="the-launcher's-own"),
        pytest.param(["worker"], ["prodserver", "worker"], id="a-name-is-a-process"),
        pytest.param(
            ["worker", "--queues", "a b", "", "*"],
            ["prodserver", "worker", "--queues", "a b", "", "*"],
            id="its-options-keep-spaces",
        ),
        pytest.param(
            ["web", "--", "--help"],
            ["prodserver", "web", "--", "--help"],
            id="a-later--is-the-launcher's",
        ),
        pytest.param(["jobs"], ["prodserver", "jobs"], id="no-builtin-of-the-shell"),
        pytest.param(["wbe"], ["prodserver", "wbe"], id="the-launcher-knows-the-names"),
        pytest.param(["notes"], ["prodserver", "notes"], id="no-file-without-x"),
        pytest.param(["folder"], ["prodserver", "folder"], id="no-folder"),
        pytest.param(
            ["command", "a b", "--c"],
            ["command", "a b", "--c"],
            id="a-command-is-itself",
        ),
        pytest.param(
            ["prodserver", "command"],
            ["prodserver", "command"],
            id="a-process-with-the-name-of-a-command",
        ),
        pytest.param(
            ["--", "command", "a b"],
            ["command", "a b"],
            id="whatever-comes-behind--",
        ),
        pytest.param(
            ["--", "command", "--", "x"],
            ["command", "--", "x"],
            id="only-the-first--goes",
        ),
    ],
)
def test_what_is_started(entrypoint, args, started):
    add(entrypoint.bin / "command", RECORDER)
    add(entrypoint.bin / "notes", RECORDER, mode=0o644)
    (entrypoint.bin / "folder").mkdir()
    done = entrypoint(*args)
    assert done.stdout == "".join(f"{word}\n" for word in started)
    assert (done.returncode, done.stderr) == (0, "")


def test_a_misspelled_command_is_said_to_be_none(entrypoint):
    done = entrypoint("pyhton", "manage.py")
    assert done.stdout == "prodserver\npyhton\nmanage.py\n"
    assert done.stderr == (
        "entrypoint: 'pyhton' is not a command here; starting it as a process\n"
    )


def test_a_path_is_a_command(entrypoint, tmp_path):
    elsewhere = add(tmp_path / "elsewhere", RECORDER)
    assert entrypoint(str(elsewhere), "a b").stdout == "elsewhere\na b\n"


def test_a_path_to_nothing_is_no_process(entrypoint):
    done = entrypoint("./nothing")
    assert done.returncode == 127
    assert done.stdout == ""


def test_a_command_is_missing_behind_the_dashes(entrypoint):
    done = entrypoint("--")
    assert done.returncode == 2
    assert done.stderr == "entrypoint: a command is missing after --\n"


def test_folders_of_the_path_are_no_patterns(entrypoint, tmp_path):
    (tmp_path / "a b").mkdir()
    folder = tmp_path / "a [b]"
    folder.mkdir()
    add(folder / "command", RECORDER)
    path = f"{folder}:{entrypoint.environment['PATH']}"
    assert entrypoint("command", PATH=path).stdout == "command\n"


@pytest.mark.parametrize("args", [("web",), ("command",), ("--", "command")])
def test_it_becomes_what_it_starts(entrypoint, args):
    for name in ("prodserver", "command"):
        add(entrypoint.bin / name, "#!/bin/sh\necho $$\ncat\nexit 7\n")
    process = entrypoint.start(*args)
    stdout, stderr = process.communicate("from stdin", timeout=DEADLINE)
    assert stdout == f"{process.pid}\nfrom stdin"
    assert (process.returncode, stderr) == (7, "")


# DRAIN_DELAY


# Tells the probe of itself, as the launcher does. os.write and not print, which a
# signal's handler must not interrupt.
SERVER = f"""#!{sys.executable}
import os, signal, sys, time
from django_prodserver.health import state

state.write(state.State("web", "web"))

def say(*words):
    os.write(1, (" ".join(words) + "\\n").encode())

def handle(number, frame):
    say(signal.Signals(number).name)
    if number == signal.SIGTERM:
        sys.exit(5)

for number in (signal.SIGTERM, signal.SIGHUP, signal.SIGUSR1):
    signal.signal(number, handle)
say(str(os.getpid()))
say(str(signal.getsignal(signal.SIGINT) is signal.default_int_handler))
say(sys.stdin.readline().strip(), repr(sys.argv[1:]))
while True:
    time.sleep(0.05)
"""


class Drained:
    def __init__(self, entrypoint: Entrypoint, delay: str, server: str) -> None:
        add(entrypoint.bin / "prodserver", server)
        self.marker = entrypoint.runtime / "web.draining"
        self.process = entrypoint.start("web", "--a b", DRAIN_DELAY=delay)
        # Ends the reading of a line that never comes.
        self.timer = threading.Timer(DEADLINE, self.kill)
        self.timer.start()
        assert self.process.stdin
        self.process.stdin.write("input\n")
        self.process.stdin.flush()
        self.pid = int(self.line())
        assert [self.line(), self.line()] == ["True", "input ['web', '--a b']"]

    def kill(self) -> None:
        # The whole session: the server would outlive a parent that is killed.
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.process.pid, signal.SIGKILL)

    def line(self) -> str:
        assert self.process.stdout
        return self.process.stdout.readline().strip()

    def wait_for_marker(self) -> None:
        deadline = time.monotonic() + DEADLINE
        while not self.marker.exists():
            assert time.monotonic() < deadline, "no marker"
            assert self.process.poll() is None
            time.sleep(0.01)


@pytest.fixture
def drained(entrypoint):
    started = []

    def start(delay, server=SERVER):
        started.append(Drained(entrypoint, delay, server))
        return started[-1]

    yield start
    for one in started:
        one.timer.cancel()
        one.kill()
        one.process.communicate()


@pytest.mark.parametrize("delay", ["soon", "-1", "1s", "1.2.3", "."])
def test_a_delay_that_is_no_number(entrypoint, delay):
    done = entrypoint(DRAIN_DELAY=delay)
    assert done.returncode == 78
    assert done.stdout == ""
    assert done.stderr == (
        f"entrypoint: DRAIN_DELAY is '{delay}'; set it to a number of seconds\n"
    )


@pytest.mark.parametrize("delay", ["86400", "9" * 30, "100000.5"])
def test_a_delay_above_the_limit(entrypoint, delay):
    done = entrypoint(DRAIN_DELAY=delay)
    assert done.returncode == 78
    assert done.stdout == ""
    assert "set it to a number of seconds below 86400\n" in done.stderr


@pytest.mark.parametrize("delay", ["", "0"])
def test_without_a_delay_there_is_no_other_process(entrypoint, delay):
    add(entrypoint.bin / "prodserver", "#!/bin/sh\necho $$\n")
    process = entrypoint.start("web", DRAIN_DELAY=delay)
    assert process.communicate(timeout=DEADLINE)[0] == f"{process.pid}\n"


def test_a_command_has_no_delay(entrypoint):
    add(entrypoint.bin / "command", "#!/bin/sh\necho $$\n")
    process = entrypoint.start("command", DRAIN_DELAY="5")
    assert process.communicate(timeout=DEADLINE)[0] == f"{process.pid}\n"


def test_a_stop_marks_waits_and_passes_on(drained):
    server = drained("1")
    assert not server.marker.exists()
    began = time.monotonic()
    server.process.terminate()
    server.wait_for_marker()
    assert server.line() == "SIGTERM"
    assert time.monotonic() - began >= 1
    assert server.process.wait(DEADLINE) == 5
    line = "entrypoint: web is draining: it is not ready but keeps serving\n"
    assert server.process.stderr.read() == line


def test_a_stop_that_cannot_be_marked_waits_and_passes_on(drained):
    server = drained("1", SERVER.replace("state.write", "id"))
    began = time.monotonic()
    server.process.terminate()
    assert server.line() == "SIGTERM"
    assert time.monotonic() - began >= 1
    assert server.process.wait(DEADLINE) == 5
    line = "entrypoint: cannot mark it as draining: there is no state file of web; "
    assert server.process.stderr.read().startswith(line)


@pytest.mark.parametrize(
    ("args", "asked"),
    [
        (["web", "--x"], ["web"]),
        (["prodserver", "web"], ["web"]),
        (["--x"], []),
        ([], []),
    ],
    ids=["name", "prodserver", "option", "nothing"],
)
def test_the_probe_is_asked_to_drain_what_was_started(
    entrypoint, args, asked, tmp_path
):
    add(entrypoint.bin / "prodserver", "#!/bin/sh\necho started\nexec sleep 60\n")
    record = tmp_path / "record"
    recorder = f"#!/bin/sh\nprintf '%s\\n' \"$@\" >{record}\n"
    add(entrypoint.bin / "prodserver-probe", recorder)
    process = entrypoint.start(*args, DRAIN_DELAY="2.5")
    assert process.stdout.readline() == "started\n"
    process.terminate()
    assert process.wait(DEADLINE) == 128 + signal.SIGTERM
    process.communicate()
    assert record.read_text().splitlines() == ["--drain", "2.5", *asked]


def test_a_second_stop_does_not_wait(drained):
    server = drained("60")
    server.process.terminate()
    server.wait_for_marker()
    server.process.terminate()
    assert server.line() == "SIGTERM"
    assert server.process.wait(DEADLINE) == 5


def test_a_server_that_ends_while_draining_is_not_waited_for(drained):
    server = drained("60")
    server.process.terminate()
    server.wait_for_marker()
    os.kill(server.pid, signal.SIGKILL)
    assert server.process.wait(DEADLINE) == 128 + signal.SIGKILL


def test_other_signals_reach_the_server_at_once(drained):
    server = drained("60")
    for number in (signal.SIGHUP, signal.SIGUSR1, signal.SIGHUP):
        server.process.send_signal(number)
        assert server.line() == number.name
    assert server.process.poll() is None
    assert not server.marker.exists()


def test_its_exit_status_is_the_server_s(entrypoint):
    add(entrypoint.bin / "prodserver", "#!/bin/sh\nexit 78\n")
    assert entrypoint("wbe", DRAIN_DELAY="1").returncode == 78


# The scripts themselves


@pytest.mark.skipif(not shutil.which("shellcheck"), reason="needs shellcheck")
@pytest.mark.parametrize(
    "script",
    [
        "docker/entrypoint.sh",
        "docker/offline/build",
        "docker/offline/choose",
        "docker/offline/postgres/entrypoint.sh",
        "scripts/engine",
        "scripts/find-python",
        "scripts/need",
        "scripts/test",
        "scripts/test-python",
        "tests/in-container",
    ],
)
def test_shellcheck_has_nothing_to_say(script):
    done = subprocess.run(
        ["shellcheck", ROOT / script], capture_output=True, text=True, check=False
    )
    assert done.stdout + done.stderr == ""
