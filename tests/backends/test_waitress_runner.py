"""prodserver-waitress: what waitress-serve is, and a stop that drops nothing."""

from __future__ import annotations

import contextlib
import http.client
import os
import re
import resource
import signal
import socket
import subprocess
import sys
import sysconfig
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import pytest
from waitress.adjustments import Adjustments, asbool

from tests.harness import Running

pytestmark = pytest.mark.process

SCRIPT = Path(sysconfig.get_path("scripts"), "prodserver-waitress")
NATIVE = Path(sysconfig.get_path("scripts"), "waitress-serve")
LIMIT = 15
# Seconds; what is not at once here takes 25 (the timeout) or 60 (the poll).
AT_ONCE = 2
BIG = 30 * 1024 * 1024

APP = """
import time
from pathlib import Path

here = Path(__file__).parent

def until(name):
    while not (here / name).exists():
        time.sleep(0.01)

def stream():
    yield b"first"
    until("gate")
    yield from [b"second" * 1000] * 100

def application(environ, start_response):
    path, _, value = environ["PATH_INFO"][1:].partition("/")
    with (here / "started").open("a") as started:
        started.write("x")
    headers, body = [], [b"ok"]
    if path == "sleep":
        time.sleep(float(value))
    elif path == "gate":
        until("gate")
    elif path == "done":
        until("gate")
        (here / "done").touch()
    elif path == "big":
        headers, body = [("Content-Length", str(30 * 2**20))], [b"x" * 2**20] * 30
    elif path == "stream":
        body = stream()
    elif path == "body":
        body = [str(len(environ["wsgi.input"].read())).encode()]
    elif path == "pid":
        body = [str(__import__("os").getpid()).encode()]
    elif path == "file":
        file = (here / "app.py").open("rb")
        wrapper = environ.get("wsgi.file_wrapper", lambda file: [file.read()])
        body = wrapper(file)
    start_response("200 OK", headers)
    return body

def factory():
    return application
"""

# It swallows whatever a signal handler may raise in it.
SLOW_IMPORT = """
import time
from contextlib import suppress
from pathlib import Path

(Path(__file__).parent / "started").touch()
while True:
    with suppress(BaseException):
        time.sleep(60)
"""

THREADED = """
import threading
from app import application, until

threading.Thread(target=until, args=["never"], name="endless").start()
"""


class Server(Running):
    """A command that runs in a folder with applications, and logs there."""

    def __init__(self, folder: Path, *command: str | Path) -> None:
        super().__init__(list(map(str, command)), os.environ, folder / "log", folder)
        self.folder = folder
        self.pid = self.process.pid

    def until_it_serves(self) -> Server:
        self.says("Serving on")
        return self

    def until_it_works_on(self, count: int) -> None:
        started = self.folder / "started"
        self.until(
            lambda: started.exists() and len(started.read_text()) >= count,
            f"{count} requests at the application",
        )

    def until_it_refuses(self) -> None:
        self.until(lambda: all(map(refused, self.addresses)), "connections refused")

    def stays_for_a_while(self) -> None:
        """Return after 0.3 s: longer than a tick of the stop, if it is there."""
        then = time.monotonic() + 0.3
        self.until(lambda: time.monotonic() > then, "a while")
        assert self.process.poll() is None

    def open_the_gate(self) -> None:
        (self.folder / "gate").touch()

    @property
    def addresses(self) -> list[tuple[str, int]]:
        found = re.findall(r"http://(\S+):(\d+)", self.output)
        return [(host.strip("[]"), int(port)) for host, port in found]

    def connect(self, index: int = 0) -> socket.socket:
        return socket.create_connection(self.addresses[index], timeout=LIMIT)

    def ask(self, path: str, index: int = 0) -> http.client.HTTPConnection:
        """Send a request on a connection that is never opened anew."""
        host, port = self.addresses[index]
        connection = http.client.HTTPConnection(host, port, timeout=LIMIT)
        connection.connect()
        connection.auto_open = 0
        connection.request("GET", path)
        return connection

    def signal(self, signum: int = signal.SIGTERM) -> None:
        os.kill(self.pid, signum)


def refused(address: tuple[str, int]) -> bool:
    try:
        socket.create_connection(address, timeout=LIMIT).close()
    except ConnectionRefusedError:
        return True
    except ConnectionResetError:
        # The kernel took it as the listener was being closed.
        return False
    return False


def answer(connection: http.client.HTTPConnection) -> tuple[int, bytes]:
    response = connection.getresponse()
    body = response.read()
    connection.close()
    return response.status, body


def read_all(connection: socket.socket) -> bytes:
    with connection:
        return b"".join(iter(lambda: connection.recv(65536), b""))


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Callable[..., Server]]:
    """Return a function that starts a command in a folder with an application."""
    tmp_path.joinpath("app.py").write_text(APP)
    tmp_path.joinpath("slow.py").write_text(SLOW_IMPORT)
    tmp_path.joinpath("threaded.py").write_text(THREADED)
    servers = []

    def start(*command: str | Path) -> Server:
        servers.append(Server(tmp_path, *command))
        return servers[-1]

    yield start
    for server in servers:
        server.kill()


@pytest.fixture
def serve(start: Callable[..., Server]) -> Callable[..., Server]:
    def serve(*options: str, listen: str = "--listen=127.0.0.1:0") -> Server:
        # A poll that nobody wakes ends long after the test has failed.
        words = (listen, "--asyncore-loop-timeout=60", *options, "app:application")
        return start(SCRIPT, *words).until_it_serves()

    return serve


@pytest.mark.parametrize("signum", [signal.SIGTERM, signal.SIGINT])
def test_a_request_in_flight_is_finished(serve, signum):
    """And the wait for it is no busy one."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    server = serve()
    connection = server.ask("/sleep/3")
    server.until_it_works_on(1)
    start = psutil.Process(server.pid).cpu_times()
    server.signal(signum)
    assert answer(connection) == (200, b"ok")
    assert server.exits() == 0
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    whole = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    assert whole - start.user - start.system < 1
    assert f"{signal.Signals(signum).name}: finishing" in server.output


@pytest.mark.parametrize("path", ["/", "/big", "/file", "/done"])
def test_head_has_no_body(serve, path):
    """Which a client that keeps the connection would take for the next response."""
    server = serve()
    server.open_the_gate()
    client = server.connect()
    client.sendall(f"HEAD {path} HTTP/1.1\r\nHost: a\r\n\r\n".encode())
    client.sendall(b"GET /pid HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
    received = read_all(client)
    first, _, rest = received.partition(b"\r\n\r\n")
    assert first.startswith(b"HTTP/1.1 200 OK")
    assert rest.startswith(b"HTTP/1.1 200 OK"), rest[:200]
    assert rest.endswith(str(server.process.pid).encode())


def test_every_listener_refuses_at_once(serve):
    if not socket.has_ipv6 or not Path("/proc/net/if_inet6").exists():
        pytest.skip("this machine has no IPv6")
    server = serve("--listen=[::1]:0", "--listen=127.0.0.1:0")
    connections = [server.ask("/gate", index) for index in range(3)]
    server.until_it_works_on(3)
    server.signal()
    signalled = time.monotonic()
    server.until_it_refuses()
    assert time.monotonic() < signalled + AT_ONCE
    server.open_the_gate()
    assert [answer(connection) for connection in connections] == [(200, b"ok")] * 3
    assert server.exits() == 0


def test_what_the_kernel_has_accepted_is_answered(serve):
    server = serve()
    server.signal(signal.SIGSTOP)
    connections = [server.ask("/") for _ in range(5)]
    server.signal()
    server.signal(signal.SIGCONT)
    assert [answer(connection) for connection in connections] == [(200, b"ok")] * 5
    assert server.exits() == 0


def test_a_large_body_reaches_a_slow_reader(serve):
    server = serve()
    with socket.socket() as connection:
        connection.settimeout(LIMIT)
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        connection.connect(server.addresses[0])
        connection.sendall(b"GET /big HTTP/1.0\r\n\r\n")
        received = len(connection.recv(1024))
        server.signal()
        server.until_it_refuses()
        # It pauses for longer than an idle connection may be quiet: with the
        # application at work, and done, with 8 MiB left. The application is
        # 16 MiB ahead (--outbuf-high-watermark), the kernel 4 (tcp_wmem).
        for pause_at in (2**20, BIG - 8 * 2**20, BIG * 2):
            while received < pause_at and (chunk := connection.recv(65536)):
                received += len(chunk)
            if chunk:
                server.stays_for_a_while()
    assert received > BIG
    assert server.exits() == 0


def test_a_stream_is_sent_to_its_end(serve):
    server = serve()
    response = (connection := server.ask("/stream")).getresponse()
    assert response.read(5) == b"first"
    server.signal()
    server.until_it_refuses()
    server.open_the_gate()
    assert response.read() == b"second" * 1000 * 100
    connection.close()
    assert server.exits() == 0


def test_a_client_that_keeps_its_connection_cannot_hold_the_stop(serve):
    server = serve()
    gate = server.ask("/gate")
    server.until_it_works_on(1)
    last: list[str] = []

    def hammer() -> None:
        connection = server.ask("/")
        while not last:
            response = connection.getresponse()
            response.read()
            if response.will_close:
                last.append(response.headers["Connection"])
            else:
                connection.request("GET", "/")
        connection.close()

    client = threading.Thread(target=hammer)
    client.start()
    server.until_it_works_on(20)
    server.signal()
    client.join(LIMIT)
    assert last == ["close"]
    server.open_the_gate()
    assert answer(gate) == (200, b"ok")
    assert server.exits() == 0


def test_requests_without_a_thread_yet_are_answered(serve):
    server = serve("--threads=1")
    pipeline = server.connect()
    pipeline.sendall(b"GET /gate HTTP/1.1\r\n\r\n" * 3)
    server.until_it_works_on(1)
    connections = [server.ask("/gate") for _ in range(4)]
    server.says("queue depth is 4")
    server.signal()
    server.until_it_refuses()
    server.open_the_gate()
    assert [answer(connection) for connection in connections] == [(200, b"ok")] * 4
    answers = read_all(pipeline)
    assert answers.count(b"200 OK") == 3
    assert answers.count(b"Connection: close") == 1
    assert server.exits() == 0


def test_a_lookahead_cannot_hold_the_stop(serve):
    """What is sent behind the last request to be answered is not read."""
    server = serve("--channel-request-lookahead=5")
    with server.connect() as connection:
        connection.sendall(b"GET /gate HTTP/1.1\r\n\r\n")
        server.until_it_works_on(1)
        server.signal()
        server.until_it_refuses()
        connection.sendall(b"GET / HTTP/1.1\r\n\r\n" * 5)
        server.stays_for_a_while()
        server.open_the_gate()
        answers = b""
        with contextlib.suppress(ConnectionResetError):
            while chunk := connection.recv(65536):
                answers += chunk
    assert answers.count(b"200 OK") == answers.count(b"Connection: close") == 1
    assert server.exits() == 0


def test_the_connection_limit_is_that_of_waitress(serve):
    """It counts the listener and its trigger: this is one connection."""
    assert answer(serve("--connection-limit=3").ask("/")) == (200, b"ok")


def test_a_request_whose_client_went_away_is_finished(serve):
    # Only with a lookahead does waitress learn that a client went.
    server = serve("--channel-request-lookahead=1")
    connection = server.ask("/done")
    server.until_it_works_on(1)
    connection.close()
    process = psutil.Process(server.pid)
    server.until(lambda: len(process.net_connections()) == 1, "only the listener")
    server.signal()
    server.says("finishing")
    server.stays_for_a_while()
    server.open_the_gate()
    assert server.exits() == 0
    assert server.folder.joinpath("done").exists()


def test_idle_connections_are_closed_at_once(serve):
    server = serve()
    silent = server.connect()
    kept = server.ask("/")
    assert kept.getresponse().read() == b"ok"
    server.signal()
    signalled = time.monotonic()
    assert server.exits() == 0
    assert time.monotonic() < signalled + AT_ONCE
    assert read_all(silent) == b""
    kept.close()


def test_the_rest_of_a_request_is_waited_for(serve):
    server = serve()
    connection = server.connect()
    connection.sendall(b"POST /body HTTP/1.0\r\nContent-Length: 10\r\n\r\n01234")
    # The order of arrival: once this one is answered, the half has been read.
    assert answer(server.ask("/")) == (200, b"ok")
    server.signal()
    server.until_it_refuses()
    connection.sendall(b"56789")
    assert read_all(connection).endswith(b"\r\n\r\n10")
    assert server.exits() == 0


def test_half_a_request_and_then_nothing_is_given_up(serve):
    server = serve()
    connection = server.connect()
    connection.sendall(b"POST /body HTTP/1.0\r\nContent-Length: 10\r\n\r\n01234")
    assert answer(server.ask("/")) == (200, b"ok")
    server.signal()
    signalled = time.monotonic()
    assert server.exits() == 0
    assert 4 < time.monotonic() - signalled < 5 + AT_ONCE
    assert read_all(connection) == b""


@pytest.mark.parametrize(
    "option", [["--graceful-timeout=1"], ["--graceful-timeout", "1"]]
)
def test_what_takes_longer_is_cut(serve, option):
    server = serve(*option)
    connections = [server.ask("/sleep/5") for _ in range(2)]
    server.until_it_works_on(2)
    server.signal()
    signalled = time.monotonic()
    assert server.exits() == 1
    assert 1 <= time.monotonic() - signalled < 1 + AT_ONCE
    warnings = [x for x in server.output.splitlines() if "WARNING" in x]
    assert len(warnings) == 1
    assert "2 request(s) cut: not finished 1 s after SIGTERM" in warnings[0]
    for connection in connections:
        with pytest.raises((http.client.RemoteDisconnected, ConnectionResetError)):
            connection.getresponse()
        connection.close()


@pytest.mark.parametrize("signum", [signal.SIGTERM, signal.SIGINT])
def test_a_second_signal_ends_it_at_once(serve, signum):
    server = serve()
    connection = server.ask("/gate")
    server.until_it_works_on(1)
    server.signal()
    signalled = time.monotonic()
    # Within 0.1 s it would be the same stop, told twice.
    server.stays_for_a_while()
    server.signal(signum)
    assert server.exits() == 128 + signum
    assert time.monotonic() < signalled + AT_ONCE
    connection.close()


def test_one_stop_told_twice_is_one(serve):
    server = serve()
    connection = server.ask("/gate")
    server.until_it_works_on(1)
    server.signal(signal.SIGSTOP)
    server.signal(signal.SIGTERM)
    server.signal(signal.SIGINT)
    server.signal(signal.SIGCONT)
    server.until_it_refuses()
    server.open_the_gate()
    assert answer(connection) == (200, b"ok")
    assert server.exits() == 0


def test_a_thread_of_the_application_does_not_hold_the_exit(start):
    words = ("--listen=127.0.0.1:0", "--graceful-timeout=1", "threaded:application")
    server = start(SCRIPT, *words).until_it_serves()
    server.signal()
    assert server.exits(5) == 1
    assert "['endless']" in server.output


@pytest.mark.parametrize("replaced", [False, True])
def test_a_unix_socket(serve, tmp_path, replaced):
    """Its file goes with it, unless another server has put its own there."""
    path = tmp_path / "socket"
    server = serve(listen=f"--unix-socket={path}")
    connection = socket.socket(socket.AF_UNIX)
    connection.settimeout(LIMIT)
    connection.connect(str(path))
    connection.sendall(b"GET /gate HTTP/1.0\r\n\r\n")
    server.until_it_works_on(1)
    if replaced:
        path.unlink()
        path.touch()
    server.signal()
    server.says("finishing")
    assert path.exists() is replaced
    server.open_the_gate()
    assert read_all(connection).startswith(b"HTTP/1.0 200 OK")
    assert server.exits() == 0
    assert path.exists() is replaced


def test_a_signal_while_the_application_is_loaded_ends_it(start):
    """exits() sees that nothing is left."""
    server = start(SCRIPT, "--listen=127.0.0.1:0", "slow:application")
    server.until_it_works_on(0)
    server.signal()
    signalled = time.monotonic()
    assert server.exits() == -signal.SIGTERM
    assert time.monotonic() < signalled + AT_ONCE


@pytest.fixture
def as_pid_1(start: Callable[..., Server]) -> Callable[..., Server]:
    """Return a function that starts prodserver-waitress as PID 1."""
    unshare = ["unshare", "--pid", "--fork", "--mount-proc"]
    for command in (unshare, [*unshare, "--map-root-user"]):
        with contextlib.suppress(OSError):
            if not subprocess.run([*command, "true"], capture_output=True).returncode:
                break
    else:
        pytest.skip("no PID namespace can be made here")

    def as_pid_1(*words: str) -> Server:
        server = start(*command, "--kill-child", SCRIPT, "--listen=127.0.0.1:0", *words)
        child = psutil.Process(server.pid).children
        server.until(child, "the process in the namespace")
        server.pid = child()[0].pid
        return server

    return as_pid_1


def test_pid_1_stops(as_pid_1):
    server = as_pid_1("app:application").until_it_serves()
    assert answer(server.ask("/pid")) == (200, b"1")
    connection = server.ask("/gate")
    server.until_it_works_on(2)
    server.signal()
    server.until_it_refuses()
    server.open_the_gate()
    assert answer(connection) == (200, b"ok")
    assert server.exits() == 0


def test_pid_1_stops_while_the_application_is_loaded(as_pid_1):
    server = as_pid_1("slow:application")
    server.until_it_works_on(0)
    server.signal()
    assert server.exits() == 128 + signal.SIGTERM


def test_inside_a_process_that_has_loaded_django(start):
    """As ``manage.py prodserver`` does it: the script is run in place."""
    code = f"""
import django, runpy, sys
from django.conf import settings
settings.configure()
django.setup()
sys.argv = [{str(SCRIPT)!r}, "--listen=127.0.0.1:0", "--call", "app:factory"]
runpy.run_path(sys.argv[0], run_name="__main__")
"""
    server = start(sys.executable, "-c", code).until_it_serves()
    connection = server.ask("/gate")
    server.until_it_works_on(1)
    server.signal()
    server.until_it_refuses()
    server.open_the_gate()
    assert answer(connection) == (200, b"ok")
    assert server.exits() == 0


def run(script: Path, *words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([script, *words], capture_output=True, text=True, timeout=30)


def every_option() -> list[str]:
    words = []
    for name, kind in Adjustments._params:
        option = name.replace("_", "-")
        both = [f"--{option}", f"--no-{option}"]
        words += both if kind is asbool else [f"--{option}", "1"]
    return ["--call", *words]


@pytest.mark.parametrize(
    "words",
    [
        pytest.param([], id="no-application"),
        pytest.param(["--prot=1", "app:application"], id="unknown-option"),
        pytest.param(["nothing:application"], id="no-module"),
        pytest.param(["os:nothing"], id="no-attribute"),
        pytest.param([*every_option(), "nothing:here"], id="every-option"),
    ],
)
def test_what_is_wrong_is_told_as_waitress_serve_tells_it(words):
    native, ours = run(NATIVE, *words), run(SCRIPT, *words)
    told = native.stderr.replace("waitress-serve [OPTS]", "prodserver-waitress [OPTS]")
    assert ours.stderr == told
    assert ours.returncode == native.returncode == 1


def test_help_is_that_of_waitress_serve_and_our_option():
    native, ours = run(NATIVE, "--help"), run(SCRIPT, "--help")
    told = native.stdout.replace("waitress-serve", "prodserver-waitress")
    assert ours.stdout.startswith(told)
    assert "--graceful-timeout=SECONDS" in ours.stdout[len(told) :]
    assert ours.returncode == 0


@pytest.mark.parametrize("value", ["soon", "-1", "nan", "inf", ""])
def test_a_wrong_timeout_is_one_line(value):
    done = run(SCRIPT, f"--graceful-timeout={value}", "app:application")
    wrong = f"argument --graceful-timeout: {value!r} is not a number of seconds."
    assert done.stderr == f"prodserver-waitress: {wrong}\n"
    assert done.returncode == 1


@pytest.mark.parametrize(
    ("family", "host", "text"),
    [
        (socket.AF_INET, "127.0.0.1", "127.0.0.1:{}"),
        (socket.AF_INET6, "::1", "[::1]:{}"),
    ],
)
def test_an_address_in_use_is_one_line(start, family, host, text):
    with socket.socket(family) as taken:
        try:
            taken.bind((host, 0))
        except OSError as error:
            pytest.skip(f"no {host} here: {error}")
        taken.listen()
        address = text.format(taken.getsockname()[1])
        words = ("--listen=127.0.0.1:0", f"--listen={address}", "app:application")
        server = start(SCRIPT, *words)
        assert server.exits() == 1
    told = f"prodserver-waitress: cannot listen on {address}: Address already in use\n"
    assert server.output == told


@pytest.mark.parametrize(
    ("name", "wrong"),
    [
        pytest.param("missing/socket", "No such file or directory", id="no-folder"),
        # Before waitress binds it, when it removes the last one.
        pytest.param("app.py/socket", "Not a directory", id="not-a-folder"),
    ],
)
def test_a_socket_file_that_cannot_be_made_is_one_line(start, tmp_path, name, wrong):
    path = tmp_path / name
    server = start(SCRIPT, f"--unix-socket={path}", "app:application")
    assert server.exits() == 1
    told = f"prodserver-waitress: cannot listen on {path}: {wrong}\n"
    assert server.output == told
