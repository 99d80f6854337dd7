"""Start the test project with one backend, send it requests or tasks, and stop it."""

from __future__ import annotations

import collections
import contextlib
import http.client
import itertools
import shlex
import shutil
import signal
import socket
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, NamedTuple

from django_prodserver.backends import loader
from django_prodserver.backends.base import CommandBackend
from django_prodserver.backends.web import WebBackend
from django_prodserver.config.keys import Unsupported
from django_prodserver.config.processes import Process
from tests import harness, schema
from tests.conftest import Starter
from tests.harness import MANAGE, Running, Web, free_port, wait_for
from tests.servers import BACKENDS

#: The logger of the access log.
ACCESS = "django_prodserver.access"
#: An app that records the processes it is loaded in.
RECORDED = '["proj.recorded.RecordedConfig"]'
#: Exit codes of the probe.
YES, NO, CANNOT_TELL = 0, 1, 2
#: "Seconds" of a task that runs until ``release_tasks``; the second one also ignores
#: exceptions that are raised in it.
HOLD, HOLD_IGNORING_EXCEPTIONS = -1, -2
#: The kernel may queue connections between the last look and the close: a client
#: comes every 20 ms, and on a busy machine, the server may not run for that long.
MAX_RESETS_AT_CLOSE = 4


def log_records(process: Running) -> list[dict[str, Any]]:
    """Return the output of a process; fail if a line does not follow the schema."""
    return [schema.line(text) for text in process.output.splitlines()]


def matching(records: list[dict[str, Any]], **fields: Any) -> list[dict[str, Any]]:
    """Return the records that have all of these fields."""
    return [record for record in records if fields.items() <= record.items()]


def entry(path: str, *layers: Mapping[str, Any]) -> dict[str, Any]:
    """Return an entry of PRODUCTION_PROCESSES; later keys and ARGS win."""
    merged: dict[str, Any] = {"BACKEND": f"{BACKENDS}.{path}"}
    args: dict[str, Any] = {}
    for layer in layers:
        args |= layer.get("ARGS", {})
        merged |= layer
    return merged | ({"ARGS": args} if args else {})


def load(config: Mapping[str, Any]) -> CommandBackend:
    """Return the backend of an entry; tests read expected exit codes from it."""
    backend = loader.load(Process("web", dict(config)))
    assert isinstance(backend, CommandBackend)
    return backend


def unsupported(backend: CommandBackend) -> set[str]:
    """Return the portable settings that a backend does not support."""
    return {
        key
        for key, translation in backend.keys.items()
        if isinstance(translation, Unsupported)
    }


class Response(NamedTuple):
    """A response, as a client sees it."""

    status: int
    request_id: str | None
    body: str


class Client(Web):
    """A web server, and an HTTP client for it."""

    def request(self, path: str, method: str = "GET", **headers: str) -> Response:
        """Send a request; return the response whatever its status."""
        url = f"http://127.0.0.1:{self.port}{path}"
        request = urllib.request.Request(url, headers=headers, method=method)
        try:
            with urllib.request.urlopen(request, timeout=30) as answer:
                body = answer.read().decode()
                return Response(answer.status, answer.headers["X-Request-ID"], body)
        except urllib.error.HTTPError as error:
            with error:
                body = error.read().decode()
            return Response(error.code, error.headers["X-Request-ID"], body)

    def health(self, path: str, method: str = "GET") -> tuple[int, str]:
        """Send a request like a kubelet's: its Host is not in ALLOWED_HOSTS."""
        response = self.request(path, method, Host="10.0.0.7:8000")
        return response.status, response.body

    def workers(self, count: int) -> set[int]:
        """Wait until so many workers have answered; return their process ids."""
        pids: set[int] = set()

        def all_answered() -> bool:
            # In parallel, or a single worker could answer all of them.
            futures = [self._threads.submit(self.get, "/who?s=0.2") for _ in range(8)]
            pids.update(int(future.result()) for future in futures)
            return len(pids) >= count

        self.until(all_answered, f"answers of {count} workers")
        return pids

    def disconnect_mid_stream(self, path: str) -> None:
        """Disconnect after the first byte of a stream."""
        client = http.client.HTTPConnection("127.0.0.1", self.port, timeout=30)
        with contextlib.closing(client):
            client.request("GET", path)
            assert client.getresponse().read(1)


class UnixClient(Client):
    """A web server on a Unix socket."""

    socket: Path

    def get(self, path: str, timeout: float = 10) -> str:
        connection = http.client.HTTPConnection("localhost", timeout=timeout)
        connection.sock = socket.socket(socket.AF_UNIX)
        connection.sock.settimeout(timeout)
        with connection.sock:
            connection.sock.connect(str(self.socket))
            connection.request("GET", path)
            response = connection.getresponse()
            body = response.read().decode()
        assert response.status == 200, body
        return body


class LoadGenerator:
    """Send requests without a pause, each on a new connection, while a block runs."""

    def __init__(self, web: Web) -> None:
        self.answers: list[Any] = []
        self.errors: list[Exception] = []
        self._web = web
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run)

    def __enter__(self) -> LoadGenerator:
        self._thread.start()
        return self

    def __exit__(self, *error: object) -> None:
        self._stopping.set()
        self._thread.join()

    def _run(self) -> None:
        while not self._stopping.is_set():
            try:
                self.answers.append(self._web.about()["pid"])
            except Exception as error:  # of any kind: the test reports it
                self.errors.append(error)


class WebSite:
    """The test project, served by one backend with the keys of a variant."""

    def __init__(
        self, start: Starter, port: int, path: str, variant: Mapping[str, Any]
    ) -> None:
        self.start = start
        self.port = port
        self.path = path
        self.variant = variant

    def entry(self, **keys: Any) -> dict[str, Any]:
        bind = {"BIND": f"127.0.0.1:{self.port}"}
        return entry(self.path, bind, self.variant, keys)

    @property
    def backend(self) -> CommandBackend:
        return load(self.entry())

    @property
    def stop_code(self) -> int:
        """The exit code after SIGTERM."""
        backend = self.backend
        return backend.clean_exit_code(signal.SIGTERM, backend.args)

    @property
    def cut_code(self) -> int:
        """The exit code after a stop that cut a request."""
        backend = self.backend
        return backend.cut_exit_code(backend.args)

    def finishes_on(self, signum: int) -> bool:
        backend = self.backend
        return backend.finishes_on(signum, backend.args)

    @property
    def worker_count(self) -> int:
        """The number of processes that answer requests."""
        return int(self.variant.get("WORKERS", 1))

    def serve(
        self,
        *,
        via: Sequence[str] = MANAGE,
        settings: Mapping[str, Any] | None = None,
        env: Mapping[str, str] | None = None,
        **keys: Any,
    ) -> Client:
        """Start the server and wait for its first response."""
        environment = self.start.environment(
            {"web": self.entry(**keys)}, settings, **(env or {})
        )
        web: Client = self.start.process([*via, "web"], environment, kind=Client)
        web.port = self.port
        web.wait_until_ready()
        return web

    def run_until_exit(
        self, settings: Mapping[str, Any] | None = None, **keys: Any
    ) -> Running:
        """Start the server, which is expected to fail, and wait until it exits."""
        environment = self.start.environment({"web": self.entry(**keys)}, settings)
        web: Running = self.start.process([*MANAGE, "web"], environment)
        web.exits(20)
        return web

    def dry_run(self, settings: Mapping[str, Any] | None = None, **keys: Any) -> str:
        """Return the output of --dry-run."""
        done = self.start.command(
            "web", "--dry-run", processes={"web": self.entry(**keys)}, settings=settings
        )
        assert done.returncode == 0, done.stderr
        return done.stdout

    def serve_dry_run_command(
        self, settings: Mapping[str, Any] | None = None, **keys: Any
    ) -> Client:
        """Start the server with the command that --dry-run prints, in a shell."""
        line = self.dry_run(settings, **keys)
        environment = self.start.environment({"web": self.entry(**keys)}, settings)
        del environment["DJANGO_SETTINGS_MODULE"]
        pasted = ["sh", "-c", f"exec env {line}"]
        web: Client = self.start.process(pasted, environment, kind=Client)
        web.port = self.port
        web.wait_until_ready()
        return web

    @property
    def interface(self) -> str:
        """The interface of the application: "wsgi" or "asgi"."""
        backend = self.backend
        assert isinstance(backend, WebBackend)
        return backend.interface_for(backend.args)

    def native_argv(
        self, settings: Mapping[str, Any] | None = None, **keys: Any
    ) -> list[str]:
        """Return the native command without the environment variables before it."""
        words = shlex.split(self.dry_run(settings, **keys))
        return list(itertools.dropwhile(lambda word: "=" in word, words))

    def probe(self, *args: str) -> tuple[int, str]:
        """Return the probe's exit code, and its output without the duration."""
        done = self.start.probe(*args)
        assert done.stderr == ""
        return done.returncode, done.stdout.partition(" in ")[0].strip()

    def loading_processes(self) -> list[int]:
        """Return the ids of the processes that have loaded the application."""
        return sorted(int(pid) for pid in self._ready.read_text().split())

    def clear_loads(self) -> None:
        self._ready.unlink()

    @property
    def _ready(self) -> Path:
        return self.start.data / "ready"


class Stopped(NamedTuple):
    """The results of a stop under load."""

    code: int
    seconds: float
    #: The body of the request that was in flight.
    in_flight: str
    #: The result of a client that connected before the stop and sent after it.
    quiet: str
    #: How often each result occurred among clients that connected after the stop.
    late_clients: collections.Counter[str]


def stop_under_load(web: Client, idle_clients: int, silence: float) -> Stopped:
    """
    Stop a server that has idle, quiet and waiting clients, and gets new ones.

    Args:
        web: The server.
        idle_clients: How many clients keep a connection after their response.
        silence: Seconds, at most, until the quiet client sends its request; it does so
            earlier if new connections are refused.
    """
    idle = [
        http.client.HTTPConnection("127.0.0.1", web.port) for _ in range(idle_clients)
    ]
    for client in idle:
        client.request("GET", "/about")
        client.getresponse().read()
    request = web.in_flight("/slow?s=2")
    with ThreadPoolExecutor(100) as clients:
        quiet = socket.create_connection(("127.0.0.1", web.port), 30)
        signalled = time.monotonic()
        web.process.send_signal(signal.SIGTERM)
        quiet_result = clients.submit(_request_once_refused, quiet, web.port, silence)
        late = []
        while not request.done():
            late.append(clients.submit(_connect_and_request, web.port))
            time.sleep(0.02)  # limits the number of clients
        late_clients = collections.Counter(client.result() for client in late)
    code = web.exits()
    took = time.monotonic() - signalled
    for client in idle:
        client.close()
    return Stopped(code, took, request.result(), quiet_result.result(), late_clients)


def _request_once_refused(quiet: socket.socket, port: int, silence: float) -> str:
    """Send a request once new connections are refused; return the result."""
    # A busy worker goes on listening and does not refuse; then send it anyway.
    with contextlib.suppress(AssertionError):
        wait_for(lambda: is_refused(port), "no listener", silence)
    client = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
    client.sock = quiet
    return _request_about(client)


def is_refused(port: int) -> bool:
    try:
        socket.create_connection(("127.0.0.1", port), 1).close()
    except OSError:
        return True
    return False


def _connect_and_request(port: int) -> str:
    """Return the result of a new client: "refused", a status or an error."""
    client = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
    try:
        client.connect()
    except ConnectionError:  # or reset, at the moment of the close
        return "refused"
    return _request_about(client)


def _request_about(client: http.client.HTTPConnection) -> str:
    with contextlib.closing(client):
        try:
            client.request("GET", "/about", headers={"Connection": "close"})
            return str(client.getresponse().status)
        except (OSError, http.client.HTTPException) as error:
            return repr(error)


def children(pid: int) -> set[int]:
    return {child.pid for child in harness.children(pid)}


class Broker:
    """A Redis on its own port, for one test, which can be killed and restarted."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._port = free_port()
        self._servers: list[Running] = []
        self.url = f"redis://127.0.0.1:{self._port}/0"

    def start(self) -> None:
        program = shutil.which("redis-server")
        assert program, "redis-server is missing; make test installs it"
        words = ["--port", str(self._port), "--bind", "127.0.0.1", "--save", ""]
        log = self._folder / f"redis-{len(self._servers)}.log"
        self._servers.append(Running([program, *words], {}, log, self._folder))
        self._servers[-1].says("Ready to accept connections")

    def kill(self) -> None:
        for server in self._servers:
            server.kill()

    @contextlib.contextmanager
    def frozen(self) -> Iterator[None]:
        """Let it accept connections and answer nothing, as long as the block runs."""
        self._servers[-1].process.send_signal(signal.SIGSTOP)
        yield
        self._servers[-1].process.send_signal(signal.SIGCONT)


class WorkerSite:
    """The test project with a database and a broker, for one worker."""

    def __init__(
        self,
        start: Starter,
        redis_url: str,
        config: Mapping[str, Any],
        settings: Mapping[str, Any],
        queue: str,
    ) -> None:
        self.start = start
        self.config = config
        #: The queue's name in "manage.py enqueue".
        self.queue = queue
        self.env: dict[str, Any] = {
            "settings": dict(settings),
            "TEST_REDIS_URL": redis_url,
        }
        start.migrate(**self.env)

    def start_worker(
        self, *, via: Sequence[str] = MANAGE, env: Mapping[str, Any] = {}, **keys: Any
    ) -> Running:
        config = {**self.config, **keys}
        return self.start.worker(config, via=via, **{**self.env, **env})

    def start_dry_run_command(self, **keys: Any) -> Running:
        """Start the worker with the command that --dry-run prints, in a shell."""
        processes = {"worker": {**self.config, **keys}}
        done = self.start.command(
            "worker", "--dry-run", processes=processes, **self.env
        )
        assert done.returncode == 0, done.stderr
        environment = self.start.environment(processes, **self.env)
        del environment["DJANGO_SETTINGS_MODULE"]
        pasted = ["sh", "-c", f"exec env {done.stdout}"]
        worker: Running = self.start.process(pasted, environment)
        return worker

    def enqueue(
        self, *names: str, seconds: float = 0, on: str = "", queue: str = ""
    ) -> None:
        self.start.enqueue(
            queue or self.queue, *names, seconds=seconds, on=on, **self.env
        )

    def wait_until_begun(self, worker: Running, *names: str) -> None:
        """Wait until the tasks of those names have begun."""
        worker.until(
            lambda: all(self.start.marks(name)[0] for name in names), "tasks begun"
        )

    def wait_until_done(self, worker: Running, *names: str) -> None:
        """Wait until the tasks of those names have ended."""
        worker.until(
            lambda: all(self.start.marks(name)[1] for name in names), "tasks done"
        )

    def start_held_tasks(
        self, worker: Running, *names: str, seconds: float = HOLD
    ) -> None:
        """Enqueue tasks that run until ``release_tasks``; wait until they begin."""
        self.enqueue(*names, seconds=seconds)
        self.wait_until_begun(worker, *names)

    def release_tasks(self) -> None:
        """Let the held tasks end."""
        (self.start.data / "go").touch()

    def marks(self, *names: str) -> list[tuple[int, int]]:
        """Return how often each task has begun, and how often it has ended."""
        return [self.start.marks(name) for name in names]


class ProbedProcess:
    """A started process, and the probe's answers about it."""

    def __init__(self, start: Starter, worker: Running, name: str = "worker") -> None:
        self.start = start
        self.worker = worker
        self.name = name

    def probe(self, question: str) -> tuple[int, str]:
        done = self.start.probe(question, self.name)
        return done.returncode, done.stdout.strip()

    def is_live(self) -> bool:
        return self.probe("--live")[0] == YES

    def wait_for_readiness(self, ready: int, reason: str, seconds: float = 60) -> None:
        """Wait until the probe gives this readiness and reason for a live process."""

        def matches() -> bool:
            code, line = self.probe("--ready")
            return code == ready and reason in line and self.is_live()

        self.worker.until(matches, f"ready is {ready} for {reason!r}", seconds)

    def wait_until_not_live(self, reason: str) -> None:
        """Wait until it is not live, for this reason; check that it is not ready."""

        def matches() -> bool:
            code, line = self.probe("--live")
            return code == NO and reason in line

        wait_for(matches, f"not live for {reason!r}", 60)
        assert self.probe("--ready")[0] == NO
