"""The probe, as orchestrators start it, against servers of every kind of conduct."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from django_prodserver.health import probe as module
from django_prodserver.health import state
from tests.harness import wait_for

pytestmark = pytest.mark.process

FILE = (sys.executable, "-I", "-S", module.__file__)
MODULE = (sys.executable, "-m", "django_prodserver.health.probe")
SCRIPT = (
    *(sys.executable, "-c"),
    "import sys; from django_prodserver.health.probe import main; sys.exit(main())",
)

# Takes connections and, of each, notes down the request, and sends the parts of
# an answer, with a pause after each.
SERVER = """
import ast, os, socket, ssl, sys, threading, time
address, conduct, tls = sys.argv[1], sys.argv[2], sys.argv[3:]
parts, pause = ast.literal_eval(open(conduct).read())
if address.startswith("/"):
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(address)
    listener.listen(200)
else:
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    listener = socket.create_server((address, 0), family=family, backlog=200)
    address = listener.getsockname()[1]
if tls:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(*tls)
print(address, flush=True)

def serve(connection):
    with connection:
        if tls:
            connection = context.wrap_socket(connection, server_side=True)
        request = b""
        while b"\\r\\n\\r\\n" not in request:
            received = connection.recv(4096)
            if not received:
                return
            request += received
        os.write(1, ascii(request.decode()).encode() + b"\\n")
        try:
            for part in parts:
                connection.sendall(part)
                time.sleep(pause)
        except OSError:
            os.write(1, b"the client has left\\n")
        if tls:
            connection.close()

while True:
    threading.Thread(target=serve, args=listener.accept()[:1], daemon=True).start()
"""

OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"


class Server:
    """A server of the tests' own, in a process of its own."""

    def __init__(
        self, log: Path, address: str, parts: tuple[bytes, ...], pause: float, *tls: str
    ) -> None:
        self.log = log
        conduct = log.with_suffix(".conduct")
        conduct.write_text(repr((parts, pause)))
        argv = [sys.executable, "-c", SERVER, address, str(conduct), *tls]
        with log.open("wb") as file:
            self.process = subprocess.Popen(argv, stdout=file)
        wait_for(lambda: log.read_text().endswith("\n"), "a server that listens")
        self.port = log.read_text().split()[0]

    def requests(self) -> list[str]:
        return self.log.read_text().splitlines()[1:]

    def end(self) -> None:
        self.process.kill()
        self.process.wait()


@pytest.fixture
def serve(tmp_path):
    """Start a server; return it."""
    started: list[Server] = []

    def serve(
        *parts: bytes, address: str = "127.0.0.1", pause: float = 0, tls: Any = ()
    ) -> Server:
        log = tmp_path / f"server-{len(started)}.log"
        started.append(Server(log, address, parts, pause, *tls))
        return started[-1]

    yield serve
    for server in started:
        server.end()


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """The runtime folder."""
    monkeypatch.setenv("PRODSERVER_RUNTIME_DIR", str(tmp_path / "run"))
    monkeypatch.delenv("PROCESS_NAME", raising=False)
    return tmp_path / "run"


@pytest.fixture
def runs(folder):
    """Write the state of a process, as the launcher would; return its address."""

    def runs(server: Server | None = None, address: str = "", **kwargs) -> str:
        if server:
            kwargs.setdefault("pid", server.process.pid)
            address = address or f"tcp://127.0.0.1:{server.port}"
        addresses = (address,) if address else ()
        kwargs = {"name": "web", "kind": "web", "addresses": addresses} | kwargs
        assert state.write(state.State(**kwargs))
        return address.removeprefix("tcp://")

    return runs


def probe(*args: str, via: tuple[str, ...] = FILE, **env: str) -> tuple[int, str]:
    """Return what it exits with, and its one line; on a machine with much to do."""
    return impatient("--timeout=10", *args, via=via, **env)


def impatient(*args: str, via: tuple[str, ...] = FILE, **env: str) -> tuple[int, str]:
    """Return what it exits with, and its one line."""
    done = subprocess.run(
        [*via, *args],
        env=os.environ | env,
        capture_output=True,
        text=True,
        timeout=20,
    )
    assert done.stderr == ""
    assert re.fullmatch(r".+\n", done.stdout)
    return done.returncode, re.sub(r"in \d+ ms", "in N ms", done.stdout[:-1])


# Ready


@pytest.mark.parametrize("via", [FILE, MODULE, SCRIPT], ids=["file", "module", "main"])
def test_a_server_that_answers_is_ready(via, serve, runs):
    where = runs(serve(OK))
    assert probe(via=via) == (0, f"web is ready: 200 from {where} in N ms")
    assert probe("--ready", "web", via=via)[0] == 0
    code, line = probe("worker", via=via)
    assert (code, line[:44]) == (2, "cannot tell: there is no state file of worke")
    assert probe("--drain", "0", via=via)[0] == 0
    assert probe(via=via) == (1, "web is not ready: it is draining")


@pytest.mark.parametrize(
    ("status", "code", "line"),
    [
        (200, 0, "web is ready: 200 from {} in N ms"),
        (204, 0, "web is ready: 204 from {} in N ms"),
        (301, 0, "web is ready: 301 from {} in N ms"),
        (401, 0, "web is ready: 401 from {} in N ms"),
        (404, 0, "web is ready: 404 from {} in N ms"),
        (499, 0, "web is ready: 499 from {} in N ms"),
        (400, 2, "cannot tell: 400 from {} in N ms; is localhost in ALLOWED_HOSTS?"),
        (500, 1, "web is not ready: 500 from {} in N ms"),
        (503, 1, "web is not ready: 503 from {} in N ms"),
    ],
)
def test_each_status_has_an_answer(status, code, line, serve, runs):
    where = runs(serve(b"HTTP/1.1 %d Some Reason\r\n\r\n" % status))
    assert probe() == (code, line.format(where))


@pytest.mark.parametrize(
    ("parts", "code"),
    [
        pytest.param([b"HTTP/1.0 200\r\n\r\n"], 0, id="no-reason"),
        pytest.param([b"HTTP/1.1 200 OK\n\n"], 0, id="bare-newlines"),
        pytest.param([bytes([byte]) for byte in OK], 0, id="byte-by-byte"),
        pytest.param([OK[:-2] + b"X-A: " + b"a" * 300_000], 0, id="huge-headers"),
        pytest.param([OK + b"a" * 3_000_000], 0, id="huge-page"),
        pytest.param([b"HTTP/1.1 103 Early Hints\r\n\r\n" + OK], 0, id="interim"),
        pytest.param(
            [b"HTTP/1.1 103 Early Hints\r\nLi", b"nk: a\r\n\r\n", b"HTTP/1.1 503 \r\n"],
            1,
            id="interim-and-then-no",
        ),
    ],
)
def test_an_answer_counts_in_every_shape(parts, code, serve, runs):
    runs(serve(*parts, pause=0.002))
    assert probe("--timeout", "5")[0] == code


@pytest.mark.parametrize(
    "answer",
    [b"SSH-2.0-OpenSSH_9.2\r\n", b"HTTP/1.1 ok\r\n", b"HTTP/2 200\r\n", b"x" * 99_999],
    ids=["ssh", "no-status", "http-2", "endless-line"],
)
def test_what_is_not_http_is_not_ready(answer, serve, runs):
    where = runs(serve(answer, pause=1))
    assert probe() == (1, f"web is not ready: the response from {where} is not HTTP")


@pytest.mark.parametrize("parts", [(), (b"HTTP/1.1 2",)], ids=["nothing", "half"])
def test_hanging_up_without_an_answer_is_not_ready(parts, serve, runs):
    where = runs(serve(*parts))
    line = f"web is not ready: {where} closed the connection without a response"
    assert probe() == (1, line)


@pytest.mark.parametrize(
    ("parts", "pause"),
    [
        pytest.param([b""], 60, id="hangs"),
        pytest.param([b"HTTP", *[b" "] * 600], 0.1, id="trickles"),
    ],
)
def test_no_answer_in_time_is_not_ready(parts, pause, serve, runs):
    """The time is that of the whole: a trickle would go on for a minute."""
    where = runs(serve(*parts, pause=pause))
    line = f"web is not ready: no answer from {where} within 0.4 s"
    assert probe("--timeout=0.4") == (1, line)
    line = f"web is not ready: no answer from {where} within 1 s"
    assert impatient() == (1, line)


def test_a_page_that_never_ends_is_an_answer(serve, runs):
    """A stream of events, which outlasts any patience, this test's too."""
    runs(serve(OK, b"data: tick\n\n", pause=60))
    assert probe("--timeout=60")[0] == 0


def test_the_server_is_not_left_in_the_middle_of_a_page(serve, runs):
    server = serve(OK, b"a" * 100_000, b"b" * 100_000, pause=0.01)
    runs(server)
    assert probe()[0] == 0
    wait_for(server.requests, "the request in the log")
    assert "the client has left" not in server.requests()


def test_a_stopped_server_is_neither_ready_nor_alive(serve, runs):
    server = serve(OK)
    where = runs(server)
    server.process.send_signal(signal.SIGSTOP)
    assert impatient() == (1, f"web is not ready: no answer from {where} within 1 s")
    pid = server.process.pid
    assert probe("--live") == (1, f"web is not live: process {pid} is stopped")
    server.process.send_signal(signal.SIGCONT)
    assert probe()[0] == 0


# What is asked, and where


def test_the_request(serve, runs):
    server = serve(OK)
    runs(server, host="shop.example", path="/-/ready?a=b")
    assert probe()[0] == 0
    request = (
        "GET /-/ready?a=b HTTP/1.1\r\n"
        "Host: shop.example\r\n"
        "User-Agent: prodserver-probe\r\n"
        "Accept: */*\r\n"
        "Connection: close\r\n"
        "\r\n"
    )
    assert server.requests() == [ascii(request)]


def test_no_header_is_sent_that_the_state_does_not_have(serve, runs):
    server = serve(OK)
    runs(server)
    assert probe()[0] == 0
    assert "Forwarded" not in server.requests()[0]


@pytest.mark.parametrize(
    ("bound", "written"),
    [
        ("127.0.0.1", "tcp://127.0.0.1:{}"),
        ("127.0.0.2", "tcp://127.0.0.2:{}"),
        ("0.0.0.0", "tcp://0.0.0.0:{}"),
        ("0.0.0.0", "tcp://:{}"),
        ("0.0.0.0", "tcp://*:{}"),
        ("127.0.0.1", "tcp://localhost:{}"),
        ("::1", "tcp://[::1]:{}"),
        ("::", "tcp://[::]:{}"),
    ],
)
def test_it_asks_at_the_address_as_bound(bound, written, serve, runs):
    server = serve(OK, address=bound)
    where = runs(server, written.format(server.port))
    assert probe() == (0, f"web is ready: 200 from {where} in N ms")
    assert probe("--live") == (0, f"web is live: it listens on {where}")
    server.end()
    # Of the same address, and a process that is there.
    runs(None, written.format(server.port))
    assert probe() == (1, f"web is not ready: nothing listens on {where}")
    assert probe("--live") == (1, f"web is not live: nothing listens on {where}")


def test_it_asks_at_a_unix_socket(tmp_path, serve, runs):
    server = serve(OK, address=f"{tmp_path}/web.sock")
    where = runs(server, f"unix://{tmp_path}/web.sock")
    assert probe() == (0, f"web is ready: 200 from {where} in N ms")
    assert probe("--live") == (0, f"web is live: it listens on {where}")
    server.end()
    runs(None, where)
    for _ in range(2):
        assert probe() == (1, f"web is not ready: nothing listens on {where}")
        assert probe("--live") == (1, f"web is not live: nothing listens on {where}")
        (tmp_path / "web.sock").unlink(missing_ok=True)


@pytest.fixture(scope="session")
def certificate(tmp_path_factory):
    """A certificate of nobody in particular, and its key."""
    openssl = shutil.which("openssl")
    if not openssl:
        pytest.skip("openssl is not installed")
    folder = tmp_path_factory.mktemp("tls")
    files = (f"{folder}/certificate.pem", f"{folder}/key.pem")
    command = (
        "req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes"
        f" -subj /CN=nobody -days 2 -out {files[0]} -keyout {files[1]}"
    )
    subprocess.run([openssl, *command.split()], check=True, capture_output=True)
    return files


def test_it_asks_through_tls(certificate, serve, runs):
    server = serve(OK, tls=certificate)
    where = runs(server, tls=True, host="shop.example")
    assert probe("--timeout=5") == (0, f"web is ready: 200 from {where} in N ms")
    assert "Host: shop.example\\r\\n" in server.requests()[0]
    assert probe("--live") == (0, f"web is live: it listens on {where}")


def test_tls_has_its_time_too(serve, runs):
    """A server that takes the connection, and never says a word."""
    with socket.create_server(("127.0.0.1", 0)) as silent:
        where = runs(None, f"tcp://127.0.0.1:{silent.getsockname()[1]}", tls=True)
        line = f"web is not ready: no answer from {where} within 1 s"
        assert impatient() == (1, line)


def test_tls_that_is_none_is_not_told(serve, runs):
    """Such as by a proxy in front of it that was taken for the server."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        where = runs(None, f"tcp://127.0.0.1:{listener.getsockname()[1]}", tls=True)
        argv = [*FILE, "--timeout=10"]
        for word, start in (
            (b"HTTP/1.1 400 Bad Request\r\n\r\n", "cannot tell: SSLError: "),
            (
                b"",
                f"web is not ready: {where} closed the connection without a response",
            ),
        ):
            asking = subprocess.Popen(argv, stdout=subprocess.PIPE, text=True)
            connection, _ = listener.accept()
            connection.recv(4096)
            connection.sendall(word)
            connection.close()
            line, _ = asking.communicate(timeout=20)
            assert line.startswith(start)
            assert line.count("\n") == 1
            assert asking.returncode == (2 if word else 1)


def test_no_proxy_is_asked(serve, runs, monkeypatch):
    server = serve(OK)
    runs(server)
    dead = "http://127.0.0.1:9"
    names = ("http_proxy", "https_proxy", "all_proxy")
    for name in (*names, *map(str.upper, names)):
        monkeypatch.setenv(name, dead)
    assert probe()[0] == 0
    assert len(server.requests()) == 1


# Alive


def test_a_server_that_never_answers_is_alive(serve, runs):
    """It may have more to do than it can; being restarted would not help it."""
    server = serve(b"", pause=60)
    where = runs(server)
    assert probe("--live") == (0, f"web is live: it listens on {where}")
    # Nothing was asked, which might have had to wait in line.
    assert server.requests() == []


@pytest.mark.parametrize("family", [socket.AF_INET, socket.AF_UNIX])
def test_a_queue_that_is_full_is_alive_and_not_ready(family, tmp_path, runs):
    with socket.socket(family) as listener:
        inet = family == socket.AF_INET
        listener.bind(("127.0.0.1", 0) if inet else f"{tmp_path}/web.sock")
        listener.listen(0)
        there = listener.getsockname()
        waiting = [socket.socket(family) for _ in range(4)]
        for client in waiting:
            client.setblocking(False)
            client.connect_ex(there)
        where = runs(None, f"tcp://127.0.0.1:{there[1]}" if inet else f"unix://{there}")
        full = f"web is live: the connection queue at {where} is full"
        assert impatient("--live") == (0, full)
        assert impatient() == (
            1,
            f"web is not ready: no answer from {where} within 1 s",
        )
        for client in waiting:
            client.close()


# Drain


DRAINING = "web is draining: it is not ready but keeps serving"


def test_draining_is_alive(folder, serve, runs):
    runs(serve(OK))
    assert probe("--drain=0") == (0, DRAINING)
    assert probe() == (1, "web is not ready: it is draining")
    assert probe("--live")[0] == 0
    (folder / "web.draining").unlink()
    assert probe()[0] == 0


def test_another_run_of_the_process_does_not_drain(serve, runs):
    first = serve(OK)
    runs(first)
    assert probe("--drain=0", "web")[0] == 0
    first.end()
    runs(serve(OK))
    assert probe()[0] == 0


def test_a_drain_takes_its_time_and_readiness_fails_before(serve, runs):
    runs(serve(OK))
    began = time.monotonic()
    draining = subprocess.Popen([*FILE, "--drain", "3"], stdout=subprocess.PIPE)
    wait_for(lambda: probe()[0] == 1, "not ready")
    assert draining.communicate(timeout=60)[0].decode() == f"{DRAINING}\n"
    assert draining.returncode == 0
    assert time.monotonic() - began >= 3


def test_what_cannot_be_marked_is_waited_for_nevertheless(folder, runs):
    """Kubernetes takes it out of its Services by itself, and needs the time too."""
    folder.mkdir()  # or it would look where other processes of this machine are
    began = time.monotonic()
    code, line = probe("--drain", "1", "web")
    assert code == 2
    assert line.startswith("cannot mark it as draining: there is no state file of web")
    runs(namespace="another")
    code, line = probe("--drain", "1", "web")
    assert code == 2
    assert line.endswith("the state of web is from another container or boot")
    assert time.monotonic() - began >= 2


def test_a_marker_that_cannot_be_written(folder, runs):
    runs()
    (folder / "web.draining").mkdir()
    code, line = probe("--drain=0")
    assert code == 2
    assert line.startswith(f"cannot mark it as draining: {folder}/.web.draining.")
    assert line.endswith(": Is a directory")


def test_what_has_ended_is_not_waited_for(serve, runs):
    server = serve(OK)
    runs(server)
    server.end()
    line = f"web is not running: process {server.process.pid} has ended"
    assert probe("--drain", "86400", "web") == (1, line)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_drain_that_is_ended_early_says_nothing(number, runs):
    runs()
    draining = subprocess.Popen(
        [*FILE, "--drain=3600"], stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )
    assert draining.stdout
    assert draining.stdout.readline().decode() == f"{DRAINING}\n"
    draining.send_signal(number)
    assert draining.communicate(timeout=60) == (b"", b"")
    assert draining.returncode == -number


@pytest.mark.parametrize("question", ["--live", "--ready"])
def test_a_process_that_has_ended_is_neither(question, serve, runs):
    server = serve(OK)
    port = server.port
    runs(server)
    server.end()
    line = f"web is not running: process {server.process.pid} has ended"
    assert probe(question, "web") == (1, line)
    assert probe(question, PROCESS_NAME="web") == (1, line)
    code, line = probe(question)
    assert code == 2
    assert line.startswith("cannot tell: there is no state file of a running process; ")
    # Its place taken, by another process or its pid.
    other = serve(OK)
    runs(other, f"tcp://127.0.0.1:{port}", start="1")
    line = f"web is not running: process {other.process.pid} has ended"
    assert probe(question, "web") == (1, line)
    runs(other, namespace="another")
    line = "cannot tell: the state of web is from another container or boot"
    assert probe(question, "web") == (2, line)


# Cannot tell


@pytest.mark.parametrize("question", ["--live", "--ready"])
def test_workers_are_not_probed_yet(question, runs):
    """Never a false yes."""
    runs(name="worker", kind="worker")
    line = "cannot tell: worker is a worker without a heartbeat"
    assert probe(question) == (2, line)


def test_a_worker_that_has_ended_does_not_run(runs):
    runs(name="worker", kind="worker", pid=os.getpid(), start="1")
    line = f"worker is not running: process {os.getpid()} has ended"
    assert probe("worker") == (1, line)


def test_an_address_that_is_not_known(runs):
    runs()
    assert probe() == (2, "cannot tell: the address of web is unknown")
    assert probe("--live") == (0, f"web is live: process {os.getpid()} is running")


@pytest.mark.parametrize("question", ["--live", "--ready"])
@pytest.mark.parametrize(
    "address", ["tcp://127.0.0.1:x", "tcp://a:1", "unix:///" + "a" * 200]
)
def test_what_keeps_it_from_asking_is_no_answer(question, address, runs):
    """Least of all a traceback, which exits with 1."""
    runs(None, address)
    code, line = probe(question)
    assert code == 2
    assert re.match(r"cannot tell: \w+: .", line)


def test_which_of_several(serve, runs):
    runs(serve(OK))
    runs(name="worker", kind="worker")
    several = "several processes are running, name one of them: web, worker"
    assert probe() == (2, f"cannot tell: {several}")
    assert probe("web")[0] == 0
    assert probe(PROCESS_NAME="web")[0] == 0
    assert probe("worker", PROCESS_NAME="web")[0] == 2


# The command line


@pytest.mark.parametrize(
    ("args", "line"),
    [
        (["--alive"], "unknown option --alive"),
        (["-x"], "unknown option -x"),
        (["--a\nb"], "unknown option --a b"),
        (["--\udcff"], "unknown option --\\udcff"),
        (["web", "worker"], "'worker' is not a process name, or a second one"),
        (["../web"], "'../web' is not a process name, or a second one"),
        ([""], "'' is not a process name, or a second one"),
        (["--timeout"], "--timeout is '', not a number of seconds"),
        (["--timeout", "soon"], "--timeout is 'soon', not a number of seconds"),
        (["--timeout=0"], "--timeout is '0', not a number of seconds"),
        (["--timeout=-1"], "--timeout is '-1', not a number of seconds"),
        (["--timeout=nan"], "--timeout is 'nan', not a number of seconds"),
        (["--timeout=inf"], "--timeout is 'inf', not a number of seconds"),
        (["--drain"], "--drain is '', not a number of seconds"),
        (["--drain=-1"], "--drain is '-1', not a number of seconds"),
        (["--drain=86401"], "--drain is '86401', not a number of seconds"),
        (["--drain", "--live"], "--drain is '--live', not a number of seconds"),
    ],
    ids=ascii,
)
def test_wrong_usage_cannot_tell(args, line, serve, runs):
    runs(serve(OK))
    assert probe(*args) == (2, f"{line}; {module.USAGE}")


def test_help():
    assert probe("--help") == (0, module.USAGE)


def test_json(serve, runs):
    server = serve(OK)
    where = runs(server, backend="shop.Server")
    code, line = probe("--json", "--ready")
    told = json.loads(line)
    assert code == 0
    assert isinstance(told.pop("milliseconds"), int)
    assert told == {
        "question": "ready",
        "answer": "yes",
        "reason": f"web is ready: 200 from {where} in N ms",
        "name": "web",
        "kind": "web",
        "backend": "shop.Server",
        "pid": server.process.pid,
        "condition": "running",
        "draining": False,
        "addresses": [f"tcp://{where}"],
    }
    server.end()
    code, line = probe("--json", "--live", "web")
    assert code == 1
    told = json.loads(line)
    assert (told["question"], told["answer"]) == ("live", "no")
    assert told["condition"] == "gone"
    code, line = probe("--json")
    assert code == 2
    assert json.loads(line)["answer"] == "unknown"


@pytest.mark.parametrize("output", [">&-", ">/dev/full"], ids=["closed", "full"])
@pytest.mark.parametrize("via", [FILE, MODULE], ids=["file", "module"])
def test_an_answer_nobody_can_read_is_the_same_answer(output, via, serve, runs):
    server = serve(OK)
    runs(server)
    argv = ["sh", "-c", f'exec "$@" {output}', "sh", *via, "web"]
    assert subprocess.run(argv, timeout=20, check=False).returncode == 0
    server.end()
    assert subprocess.run(argv, timeout=20, check=False).returncode == 1


# What it costs


FORBIDDEN = (
    *("argparse", "collections", "contextlib", "dataclasses", "enum", "functools"),
    *("importlib", "inspect", "json", "logging", "pathlib", "re", "select"),
    *("selectors", "signal", "site", "socket", "ssl", "subprocess", "tempfile"),
    *("traceback", "types", "typing", "urllib", "django", "django_prodserver"),
)


@pytest.mark.parametrize("question", ["--live", "--ready"])
def test_it_imports_next_to_nothing(question, serve, runs):
    runs(serve(OK))
    argv = [*FILE[:3], "-X", "importtime", FILE[3], question]
    done = subprocess.run(argv, capture_output=True, text=True, timeout=20)
    assert done.returncode == 0, done.stderr
    imported = {line.split("|")[-1].strip() for line in done.stderr.splitlines()[1:]}
    assert {"os", "time", "_socket", "state"} & imported >= {"os", "state"}
    assert imported & set(FORBIDDEN) == set()


def test_of_the_package_it_imports_only_what_it_reads():
    code = "import django_prodserver.health.probe, sys; print(*sys.modules)"
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=20
    )
    ours = {name for name in done.stdout.split() if name.startswith("django")}
    health = "django_prodserver.health"
    modules = {f"{health}.{name}" for name in ("heartbeat", "probe", "state")}
    expected = {"django_prodserver", health, *modules}
    assert ours == expected


def test_a_hundred_at_once(serve, runs):
    server = serve(OK)
    runs(server)
    argv = [*FILE, "--timeout", "60"]
    asking = [
        subprocess.Popen(argv, stdout=subprocess.PIPE, text=True) for _ in range(100)
    ]
    lines = [process.communicate(timeout=60)[0] for process in asking]
    assert {process.returncode for process in asking} == {0}
    assert all(line.startswith("web is ready: 200 ") for line in lines)
    assert len(server.requests()) == 100
