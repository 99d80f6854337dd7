"""What processes go through: kills, clocks that jump, crowds, and hostile input."""

from __future__ import annotations

import contextlib
import json
import os
import re
import shlex
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Any

import psutil
import pytest
from django.test import override_settings

from django_prodserver.checks import processes as process_checks
from django_prodserver.commands import cli
from django_prodserver.health import probe
from tests import schema, servers
from tests.conftest import Starter
from tests.harness import MANAGE, PROJECT, Running, Web, running

GUNICORN = f"{servers.BACKENDS}.gunicorn.GunicornServer"
CELERY = f"{servers.BACKENDS}.celery.CeleryWorker"
RELEASE = f"{servers.BACKENDS}.management.ManagementCommands"
WORKER = {"BACKEND": CELERY, "APP": "proj.celery.app", "CONCURRENCY": 1}
# As in the image.
PROBE = [sys.executable, "-IS", probe.__file__, "--timeout=60"]
YES, NO, CANNOT_TELL = 0, 1, 2
#: Of each server, how often a start is killed. One gets most.
KILLS = {"gunicorn-2": 12, "uvicorn-2": 2, "granian-asgi-2": 2, "waitress": 2}


def has_ended(server: Running) -> None:
    """Kill all of it, as a machine that is out of memory does."""
    server.signal_all(signal.SIGKILL)
    server.exits()


def cpu_time(server: Running) -> float:
    """Return the CPU time of a process: how far it has come, on any machine."""
    used = psutil.Process(server.process.pid).cpu_times()
    return float(used.user + used.system)


def has_come_to(server: Running, moment: float, port: int) -> bool:
    # A start may need less than the one that was measured.
    return cpu_time(server) >= moment or listens(port)


def listens(port: int) -> bool:
    with contextlib.suppress(OSError):
        socket.create_connection(("127.0.0.1", port), 1).close()
        return True
    return False


@pytest.mark.process
@pytest.mark.parametrize("name", KILLS)
def test_a_start_that_is_killed_is_not_in_the_way(
    name: str, start: Starter, port: int
) -> None:
    """At moments spread over the whole of a start, with one folder for all of them."""
    entry = servers.config(name, port)
    environment = start.environment({"web": entry})
    server = start.web(entry, port=port)
    whole = cpu_time(server)
    has_ended(server)
    for part in range(KILLS[name]):
        server = start.process([*MANAGE, "web"], environment, kind=Web)
        moment = (part + 0.5) / KILLS[name] * whole
        reached = partial(has_come_to, server, moment, port)
        server.until(reached, f"{moment:.2f} of {whole:.2f} s of its start")
        has_ended(server)
        assert "Traceback" not in server.output, server.output
        # It is not running, or it never came so far as to be known.
        asked = start.probe("web")
        assert asked.returncode in (NO, CANNOT_TELL), asked
        assert len(asked.stdout.splitlines()) == 1, asked
        assert not asked.stderr
    server = start.web(entry, port=port)
    assert start.probe("web").returncode == YES
    assert server.stop() == 0
    assert "Traceback" not in server.output
    assert start.probe("web").returncode == NO
    # One that was killed just as it wrote has left a hidden one, which nobody reads.
    names = {path.name for path in start.data.iterdir() if path.name[0] != "."}
    assert names == {"web.state", "web.heartbeat", "web.preload"}


@pytest.mark.process
def test_a_start_that_is_killed_leaves_a_socket_that_is_taken_over(
    start: Starter, short_folder: Path
) -> None:
    path = short_folder / "web.sock"
    entry = {"BACKEND": GUNICORN, "BIND": f"unix:{path}", "WORKERS": 2}
    environment = start.environment({"web": entry})

    def up() -> Running:
        server: Running = start.process([*MANAGE, "web"], environment)
        server.until(lambda: start.probe("web").returncode == YES, "ready")
        return server

    has_ended(up())
    assert path.exists()
    assert start.probe("web").returncode == NO
    server = up()
    assert "Traceback" not in server.output
    assert server.stop() == 0


@pytest.mark.process
def test_a_worker_whose_start_is_killed(start: Starter, redis_url: str) -> None:
    env = start.environment({"worker": WORKER}, TEST_REDIS_URL=redis_url)
    state = start.data / "worker.state"
    moments: list[Callable[[Running], bool]] = [
        lambda worker: state.exists(),
        lambda worker: "celery@" in worker.output,
        lambda worker: start.probe("worker").returncode == YES,
    ]
    # Before it has written anything.
    has_ended(start.process([*MANAGE, "worker"], env))
    assert start.probe("worker").returncode == CANNOT_TELL
    for number, reached in enumerate(moments):
        worker = start.process([*MANAGE, "worker"], env)
        worker.until(partial(reached, worker), f"moment {number} of its start")
        has_ended(worker)
        assert start.probe("worker").returncode == NO
    worker = start.process([*MANAGE, "worker"], env)
    worker.until(lambda: start.probe("worker").returncode == YES, "ready")
    assert worker.stop() == 0
    assert "Traceback" not in worker.output


#: In place of the C library's: faketime's takes monotonic sleeps for wrong ones.
_CLOCK = """
#define _GNU_SOURCE
#include <fcntl.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

int clock_gettime(clockid_t clock, struct timespec *now) {
    int done = syscall(SYS_clock_gettime, clock, now);
    if (clock == CLOCK_REALTIME && done == 0) {
        char text[32] = "";
        int file = open(getenv("TEST_CLOCK"), O_RDONLY | O_CLOEXEC);
        if (file >= 0) {
            if (read(file, text, sizeof text - 1) > 0)
                now->tv_sec += atol(text);
            close(file);
        }
    }
    return done;
}

time_t time(time_t *to) {
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    if (to)
        *to = now.tv_sec;
    return now.tv_sec;
}

int gettimeofday(struct timeval *now, void *zone) {
    struct timespec found;
    clock_gettime(CLOCK_REALTIME, &found);
    now->tv_sec = found.tv_sec;
    now->tv_usec = found.tv_nsec / 1000;
    return 0;
}
"""


class Clock:
    """The wall clock of some processes, which a test sets; no other clock of theirs."""

    def __init__(self, folder: Path) -> None:
        compiler = shutil.which("gcc")
        assert compiler, "gcc is missing; make test installs it"
        library = folder / "clock.so"
        subprocess.run(
            [compiler, "-shared", "-fPIC", "-o", str(library), "-xc", "-"],
            input=_CLOCK,
            text=True,
            check=True,
        )
        self._file = folder / "clock"
        self.set(0)
        self.environment = {"LD_PRELOAD": str(library), "TEST_CLOCK": str(self._file)}

    def set(self, seconds: int) -> None:
        """Let it be so many seconds ahead, or behind."""
        # Renamed when it is complete: a process may read it at any time.
        unfinished = self._file.with_suffix(".new")
        unfinished.write_text(str(seconds))
        unfinished.rename(self._file)

    def shown(self) -> float:
        """Return what a process with that clock takes for now."""
        show = "import time; print(time.time())"
        done = subprocess.run(
            [sys.executable, "-c", show],
            env=os.environ | self.environment,
            capture_output=True,
            text=True,
            check=True,
        )
        return float(done.stdout)


DAY = 86_400


@pytest.mark.process
@pytest.mark.parametrize("process", ["web", "worker", "beat"])
def test_a_clock_that_jumps_changes_no_answer(
    process: str, start: Starter, port: int, tmp_path: Path, request: Any
) -> None:
    clock = Clock(tmp_path)
    env: dict[str, Any] = {**clock.environment}
    entry: dict[str, Any] = servers.config("gunicorn-2", port)
    if process != "web":
        env["TEST_REDIS_URL"] = request.getfixturevalue("redis_url")
        beat = {"BACKEND": f"{servers.BACKENDS}.celery.CeleryBeat"}
        entry = {**WORKER, "HEALTH": {"MAX_AGE": 5}}
        if process == "beat":
            schedule = {"schedule": str(tmp_path / "schedule")}
            entry = {**entry, **beat, "ARGS": schedule}
            del entry["CONCURRENCY"]
    environment = start.environment({process: entry}, **env)
    worker: Running = start.process([*MANAGE, process], environment)

    def ask() -> Mapping[str, Any]:
        done = subprocess.run(
            [*PROBE, "--json", process],
            env=environment,
            cwd=PROJECT,
            capture_output=True,
            text=True,
        )
        return {"code": done.returncode, **json.loads(done.stdout)}

    worker.until(lambda: ask()["code"] == YES, "ready")
    file = start.data / f"{process}.heartbeat"
    for jump in (2 * DAY, -2 * DAY, 0):
        clock.set(jump)
        assert abs(clock.shown() - time.time() - jump) < DAY / 2
        before = file.read_bytes()

        def next_beat(before: bytes = before) -> bool:
            return file.read_bytes() != before

        if process != "web":
            worker.until(next_beat, "the next heartbeat")
            assert ask()["heartbeat"]["seconds"] < 3600
        # A machine that is busy lets a heartbeat come late, as no clock does.
        worker.until(lambda: ask()["code"] == YES, f"ready, {jump} s off")
        assert ask()["condition"] == "running"
    assert worker.stop() == 0
    assert ask()["code"] == NO


def descriptors(pid: int) -> int:
    parent = psutil.Process(pid)
    tree = [parent, *parent.children(recursive=True)]
    return sum(process.num_fds() for process in tree)


def settled_descriptors(server: Running) -> int:
    """Return how many files the server has open, once that stops changing."""
    seen = [descriptors(server.process.pid)]

    def settled() -> bool:
        time.sleep(0.2)
        seen.append(descriptors(server.process.pid))
        return len(set(seen[-10:])) == 1 and len(seen) >= 10

    server.until(settled, "the number of open files settles")
    return seen[-1]


def ask_at_once(probes: int, process: str, environment: Mapping[str, str]) -> None:
    asked = [
        subprocess.Popen(
            [*PROBE, question, process],
            env=environment,
            cwd=PROJECT,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for question in ["--ready", "--live"] * (probes // 2)
    ]
    for each in asked:
        out, err = each.communicate(timeout=120)
        assert (each.returncode, out.count("\n"), err) == (YES, 1, ""), out


@pytest.mark.process
@pytest.mark.parametrize("process", ["web", "worker"])
def test_a_hundred_probes_at_once(
    process: str, start: Starter, port: int, request: Any
) -> None:
    settings: dict[str, Any] = {}
    entry: dict[str, Any] = servers.config("gunicorn-2", port)
    if process == "worker":
        entry = {**WORKER, "HEALTH": {"MAX_AGE": 300}}
        settings["TEST_REDIS_URL"] = request.getfixturevalue("redis_url")
    environment = start.environment({process: entry}, **settings)
    server: Running = start.process([*MANAGE, process], environment)
    server.until(lambda: start.probe(process).returncode == YES, "ready")
    # The first worker makes it ready. The second one, and what is opened for
    # the first request, must be there before the files are counted.
    ask_at_once(20, process, environment)
    before = settled_descriptors(server)

    ask_at_once(100, process, environment)
    server.until(
        lambda: descriptors(server.process.pid) <= before, "as many files as before"
    )
    hidden = [path.name for path in start.data.iterdir() if path.name[0] == "."]
    assert not hidden
    assert server.stop() == 0
    assert "Traceback" not in server.output


def texts(pwned: Path) -> list[bytes]:
    """Return what ends a line, a quotation or a buffer, or runs a command."""
    command = f"$(touch {pwned})`touch {pwned}`; touch {pwned}"
    return [
        command.encode(),
        b"\"quotes' and \\ backslashes",
        b"\xff\xfe\xc3\x28 no UTF-8",
        b"\xc2\x85\xe2\x80\xa8next line",
        b"\x1b[2J\x07\x08",
        b"1.2.3.4, 5.6.7.8\t, unix:, [::1]:99999999, %s{}",
        b'"}\n{"level": "critical", "message": "forged"}',
        b"x\r\n2026-01-01T00:00:00.000Z critical web[1] forged: line",
        b"x" * 7_000,
        b"x" * 200_000,
    ]


def ask(port: int, head: bytes) -> bytes:
    """Send a request as it is, and return what comes back until the end."""
    answer = b""
    with socket.create_connection(("127.0.0.1", port), 60) as connection:
        try:
            connection.sendall(head)
            while received := connection.recv(65536):
                answer += received
        except ConnectionError:
            pass  # it has had enough
    return answer


TEXT = re.compile(r"\S+Z (debug|info|warning|error|critical) +web\[\d+\] \S+: ")


@pytest.mark.process
@pytest.mark.parametrize("form", ["text", "json"])
@pytest.mark.parametrize(
    "name", ["gunicorn", "uvicorn", "uvicorn-wsgi", "granian-asgi", "waitress"]
)
def test_hostile_requests_are_a_line_each(
    name: str, form: str, start: Starter, port: int, tmp_path: Path
) -> None:
    entry = servers.config(name, port, TRUSTED_PROXIES=["127.0.0.1"])
    server = start.web(entry, port=port, PRODSERVER_LOG_FORMAT=form)
    pwned = tmp_path / "pwned"
    told = 0
    for text in texts(pwned):
        quoted = "".join(f"%{byte:02x}" for byte in text).encode()
        for path, headers in (
            (b"/about", (b"X-Request-ID: ", text)),
            (b"/about", (b"X-Forwarded-For: ", text)),
            (b"/about", (b"User-Agent: ", text, b"\r\nReferer: ", text)),
            (b"/about", (b"X-Forwarded-Proto: ", text, b"\r\nForwarded: for=", text)),
            (b"/" + quoted, ()),
            (b"/about?" + text.replace(b" ", b""), ()),
            (b"/" + text, (b"Cookie: ", text)),
        ):
            lines = [b"GET " + path + b" HTTP/1.1", b"Host: 127.0.0.1"]
            lines += [b"Connection: close", b"".join(headers)]
            answer = ask(port, b"\r\n".join(filter(None, lines)) + b"\r\n\r\n")
            # The id is on all that comes from Django; the rest is the server's no.
            told += b"x-request-id" in answer.partition(b"\r\n\r\n")[0].lower()
    assert told > len(texts(pwned))
    # Before Django decodes it where it is, it is bytes in text.
    lines = [b"GET /%e6%bc%a2%c3%a9 HTTP/1.1", b"Host: 127.0.0.1", b"Connection: close"]
    assert b" 404 " in ask(port, b"\r\n".join(lines) + b"\r\n\r\n")[:20]
    assert server.get("/about")
    assert server.stop() in (0, -signal.SIGTERM)
    written = server.log.read_bytes().decode()
    for line in written.split("\n")[:-1]:
        if form == "json":
            schema.line(line)
        else:
            assert TEXT.match(line), line
            assert line.splitlines() == [line], line
            assert line.isprintable() or "\t" in line, line
    shown = "/漢é 404" if form == "text" else '"path": "/\\u6f22\\u00e9"'
    assert written.count(shown) == 1
    assert "Traceback" not in written
    assert not pwned.exists()
    # As are those of the start, whose number depends on when it was ready.
    assert written.count("django_prodserver.access") > told


def nested(inner: Callable[[Any], Any]) -> Any:
    """Return what is deeper than Python writes, or compares."""
    made: Any = inner("x")
    for _ in range(20_000):
        made = inner(made)
    return made


class Unspeakable:
    def __repr__(self) -> str:
        raise RuntimeError("no words for it")


BIG = "x" * 10_000_000
LONG = "x" * 200_000
DEEP = nested(lambda inner: [inner])
DEEPER = nested(lambda inner: {"a": inner})
CIRCLE: dict[str, Any] = {}
CIRCLE["a"] = CIRCLE
RING: list[Any] = []
RING.append(RING)
VALUES = {
    "deep-list": DEEP,
    "deep-dict": DEEPER,
    "circle": CIRCLE,
    "ring": RING,
    "unspeakable": Unspeakable(),
    "number": 10**6000,
    "half": "\ud800",
    "nul": "a\0b",
    "line": "a\nb",
    "shell": "$(touch pwned)`touch pwned`; '\"",
    "path": "../../../etc/passwd",
}
KEYS_OF = {
    GUNICORN: ("ARGS", "BIND", "WORKERS", "ENV", "PREFIX", "WAIT_FOR", "HEALTH", "X"),
    CELERY: ("APP", "QUEUES", "CONCURRENCY"),
    RELEASE: ("COMMANDS", "LOCK"),
}
COMMANDS = (("--list",), ("web", "--dry-run"), ("web", "--explain"))
#: What takes long where each character is looked at more than once.
HUGE = {
    "name": {BIG: {"BACKEND": GUNICORN}},
    "key": {"web": {"BACKEND": GUNICORN, BIG: 1}},
    "backend": {"web": {"BACKEND": BIG}},
    "env": {"web": {"BACKEND": GUNICORN, "ENV": {"A": BIG}}},
    "option": {"web": {"BACKEND": GUNICORN, "ARGS": {"name": "?a=" * 300_000}}},
}


def is_clean(table: Any, capsys: pytest.CaptureFixture[str], *args: str) -> str:
    """Return what a command says of a table: a command line, or a clean error."""
    with (
        override_settings(PRODUCTION_PROCESSES=table),
        pytest.raises(SystemExit) as ended,
    ):
        cli.main(args)
    found = capsys.readouterr()
    assert ended.value.code in (0, 78), found
    if ended.value.code:
        assert not found.out
        # The message and the hint, for people to read.
        assert len(found.err.rstrip("\n").split("\n")) <= 2, found.err
        assert len(found.err) < 2000, found.err
    return found.out


@pytest.fixture
def settings_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DJANGO_SETTINGS_MODULE", "proj.settings")
    monkeypatch.delenv("PROCESS_NAME", raising=False)
    monkeypatch.setattr(sys, "path", list(sys.path))


@pytest.mark.process  # for the time that they take
@pytest.mark.usefixtures("settings_named")
@pytest.mark.parametrize("value", VALUES)
def test_hostile_values_are_a_start_or_a_clean_error(
    value: str, capsys: pytest.CaptureFixture[str]
) -> None:
    hostile = VALUES[value]
    tables = [hostile, {"web": hostile}, {"web": {"BACKEND": hostile}}]
    for backend, keys in KEYS_OF.items():
        entry = {"BACKEND": backend}
        entry |= {"APP": "proj.celery.app"} if backend == CELERY else {}
        tables += [{"web": {**entry, key: hostile}} for key in keys]
        if not value.startswith("deep"):  # deeper is the same, and takes long
            tables += [{"web": {**entry, key: [hostile]}} for key in keys]
        tables += [{"web": {**entry, "ARGS": {"name": hostile}}}]
        tables += [{"web": {**entry, "ENV": {"A": hostile}}}]
    if isinstance(hostile, str):
        tables += [{hostile: {"BACKEND": GUNICORN}}]
        tables += [{"web": {"BACKEND": GUNICORN, "ARGS": {hostile: 1}}}]
    for table in tables:
        as_json = is_clean(table, capsys, "--list", "--format=json")
        if as_json:
            json.loads(as_json)
        for args in () if value.startswith("deep") else COMMANDS:
            out = is_clean(table, capsys, *args)
            out.encode()  # a terminal takes it
            if args[-1] == "--dry-run" and out and not out.startswith("#"):
                assert shlex.split(out)
        with override_settings(PRODUCTION_PROCESSES=table):
            for message in process_checks.check_processes():
                assert str(message).encode()
                assert len(str(message)) < 2000
    assert not Path("pwned").exists()


@pytest.mark.process  # for the time that they take
@pytest.mark.usefixtures("settings_named")
@pytest.mark.parametrize("where", HUGE)
def test_ten_megabytes_are_a_start_or_a_clean_error(
    where: str, capsys: pytest.CaptureFixture[str]
) -> None:
    table = HUGE[where]
    is_clean(table, capsys, "--list")
    is_clean(table, capsys, "web", "--dry-run")
    with override_settings(PRODUCTION_PROCESSES=table):
        for message in process_checks.check_processes():
            assert len(str(message)) < 2000


@pytest.mark.process
def test_a_hostile_value_reaches_the_server_as_it_is(
    start: Starter, port: int, tmp_path: Path
) -> None:
    """And so it does by what --dry-run prints, run by a shell."""
    pwned = tmp_path / "pwned"
    hostile = f"a'b\"c\n$(touch {pwned})`touch {pwned}`; touch {pwned}\\ ../../é -x"
    entry = servers.config("gunicorn", port, {"name": hostile}, ENV={"X": hostile})
    server = start.web(entry, port=port)
    first = server.about()
    assert f"--name={hostile}" in first["argv"]
    assert first["environ"]["X"] == hostile
    assert server.stop() == 0
    env = start.environment({"web": entry})
    printed = running([*MANAGE, "web", "--dry-run"], env=env)
    shell = ["sh", "-c", f"exec env {printed.stdout}"]
    again: Web = start.process(shell, env, kind=Web)
    again.port = port
    again.wait_until_ready()
    second = again.about()
    assert second["argv"] == first["argv"]
    assert second["environ"]["X"] == hostile
    assert again.stop() == 0
    assert not pwned.exists()


@pytest.mark.process
@pytest.mark.parametrize(
    "keys",
    [{"ENV": {"A": LONG}}, {"PRELOAD": False, "ARGS": {"name": LONG}}],
    ids=["ENV", "ARGS"],
)
def test_what_no_exec_takes_is_told(
    keys: Mapping[str, Any], start: Starter, tmp_path: Path
) -> None:
    """Linux takes 128 KiB a word, so that these cannot come by the environment."""
    table = {"web": {"BACKEND": GUNICORN, **keys}}
    module = f"from proj.settings import *\nPRODUCTION_PROCESSES = {table!r}\n"
    (tmp_path / "hostile.py").write_text(module)
    env = start.environment(DJANGO_SETTINGS_MODULE="hostile", PYTHONPATH=str(tmp_path))
    done = running([*MANAGE, "web"], env=env)
    assert done.returncode == 78, done
    said = done.stderr[-500:]
    assert "cannot be started: Argument list too long." in said
    assert "ENV or ARGS is too long" in said
    assert "Traceback" not in done.stderr
