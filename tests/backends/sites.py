"""A backend under test, with the settings of one variant: start it, ask it, stop it."""

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
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, NamedTuple

import psutil

from django_prodserver.backends import loader
from django_prodserver.backends.base import CommandBackend
from django_prodserver.backends.web import WebBackend
from django_prodserver.config.keys import Unsupported
from django_prodserver.config.processes import Process
from tests import schema
from tests.conftest import Starter
from tests.harness import MANAGE, Running, Web, free_port, wait_for
from tests.servers import BACKENDS

#: The logger of the access lines.
ACCESS = "django_prodserver.access"
#: One more app of the project, which notes the processes that it is loaded in.
RECORDED = '["proj.recorded.RecordedConfig"]'
#: Answers of the probe.
YES, NO, CANNOT_TELL = 0, 1, 2
#: "Seconds" of a task that goes on until the test says so, or whatever is raised.
HOLD, STUBBORN = -1, -2
#: Where a socket is closed, the kernel may make a connection in that very moment.
IN_THAT_MOMENT = 2


def lines(process: Running) -> list[dict[str, Any]]:
    """Return all that a process has written; fail if a line is not of the schema."""
    return [schema.line(text) for text in process.output.splitlines()]


def of(found: list[dict[str, Any]], **fields: Any) -> list[dict[str, Any]]:
    """Return the lines that have all of these fields."""
    return [one for one in found if fields.items() <= one.items()]


def entry(path: str, *layers: Mapping[str, Any]) -> dict[str, Any]:
    """Return an entry of PRODUCTION_PROCESSES; later keys and ARGS win."""
    found: dict[str, Any] = {"BACKEND": f"{BACKENDS}.{path}"}
    args: dict[str, Any] = {}
    for layer in layers:
        args |= layer.get("ARGS", {})
        found |= layer
    return found | ({"ARGS": args} if args else {})


def load(config: Mapping[str, Any]) -> CommandBackend:
    """Return the backend of an entry, to read from it what a test may expect."""
    backend = loader.load(Process("web", dict(config)))
    assert isinstance(backend, CommandBackend)
    return backend


def unsupported(backend: CommandBackend) -> set[str]:
    """Return the portable settings that a server cannot honour."""
    return {
        key for key, becomes in backend.keys.items() if isinstance(becomes, Unsupported)
    }


class Answer(NamedTuple):
    """What a client gets."""

    status: int
    request_id: str | None
    body: str


class Client(Web):
    """A web server, and ways to ask it."""

    def ask(self, path: str, method: str = "GET", **headers: str) -> Answer:
        """Ask as a client of any kind does; the status may be any."""
        url = f"http://127.0.0.1:{self.port}{path}"
        request = urllib.request.Request(url, headers=headers, method=method)
        try:
            with urllib.request.urlopen(request, timeout=30) as answer:
                body = answer.read().decode()
                return Answer(answer.status, answer.headers["X-Request-ID"], body)
        except urllib.error.HTTPError as error:
            body = error.read().decode()
            return Answer(error.code, error.headers["X-Request-ID"], body)

    def health(self, path: str, method: str = "GET") -> tuple[int, str]:
        """Ask by the address, as a kubelet does, which is in no ALLOWED_HOSTS."""
        answer = self.ask(path, method, Host="10.0.0.7:8000")
        return answer.status, answer.body

    def workers(self, count: int) -> set[int]:
        """Return the processes that answer, once there are that many."""
        found: set[int] = set()

        def ask() -> bool:
            # At once: one after another, they could all be taken by the same.
            asked = [self._threads.submit(self.get, "/who?s=0.2") for _ in range(8)]
            found.update(int(future.result()) for future in asked)
            return len(found) >= count

        self.until(ask, f"answers of {count} workers")
        return found

    def leave_in_mid_stream(self, path: str) -> None:
        """Hang up once the first bytes of a stream have come."""
        client = http.client.HTTPConnection("127.0.0.1", self.port, timeout=30)
        with contextlib.closing(client):
            client.request("GET", path)
            assert client.getresponse().read(1)


class UnixClient(Client):
    """A web server on a unix socket."""

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


class Hammer:
    """A client that asks without a pause, one connection each, until it is told."""

    def __init__(self, web: Web) -> None:
        self.answers: list[Any] = []
        self.errors: list[Exception] = []
        self._web = web
        self._enough = threading.Event()
        self._thread = threading.Thread(target=self._run)

    def __enter__(self) -> Hammer:
        self._thread.start()
        return self

    def __exit__(self, *error: object) -> None:
        self._enough.set()
        self._thread.join()

    def _run(self) -> None:
        while not self._enough.is_set():
            try:
                self.answers.append(self._web.about()["pid"])
            except Exception as error:  # whatever it is, the test is to say so
                self.errors.append(error)


class WebSite:
    """The project, served by one backend with the settings of a variant."""

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
        """The exit code after a stop that was cut."""
        backend = self.backend
        return backend.cut_exit_code(backend.args)

    def finishes_on(self, signum: int) -> bool:
        backend = self.backend
        return backend.finishes_on(signum, backend.args)

    @property
    def count(self) -> int:
        """How many processes answer requests."""
        return int(self.variant.get("WORKERS", 1))

    def serve(
        self,
        *,
        via: Sequence[str] = MANAGE,
        settings: Mapping[str, Any] | None = None,
        env: Mapping[str, str] | None = None,
        **keys: Any,
    ) -> Client:
        """Start it, and wait for its first answer."""
        environment = self.start.environment(
            {"web": self.entry(**keys)}, settings, **(env or {})
        )
        web: Client = self.start.process([*via, "web"], environment, kind=Client)
        web.port = self.port
        web.wait_until_ready()
        return web

    def fails(self, settings: Mapping[str, Any] | None = None, **keys: Any) -> Running:
        """Start it, and return it once it has ended."""
        environment = self.start.environment({"web": self.entry(**keys)}, settings)
        web: Running = self.start.process([*MANAGE, "web"], environment)
        web.exits(20)
        return web

    def printed(self, settings: Mapping[str, Any] | None = None, **keys: Any) -> str:
        """Return what --dry-run prints."""
        done = self.start.command(
            "web", "--dry-run", processes={"web": self.entry(**keys)}, settings=settings
        )
        assert done.returncode == 0, done.stderr
        return done.stdout

    def serve_pasted(
        self, settings: Mapping[str, Any] | None = None, **keys: Any
    ) -> Client:
        """Paste what --dry-run prints into a shell: it is the whole command."""
        line = self.printed(settings, **keys)
        environment = self.start.environment({"web": self.entry(**keys)}, settings)
        del environment["DJANGO_SETTINGS_MODULE"]
        pasted = ["sh", "-c", f"exec env {line}"]
        web: Client = self.start.process(pasted, environment, kind=Client)
        web.port = self.port
        web.wait_until_ready()
        return web

    @property
    def interface(self) -> str:
        """Which of the two the application is: "wsgi" or "asgi"."""
        backend = self.backend
        assert isinstance(backend, WebBackend)
        return backend.interface_for(backend.args)

    def native_argv(
        self, settings: Mapping[str, Any] | None = None, **keys: Any
    ) -> list[str]:
        """Return the native command without the variables before it."""
        words = shlex.split(self.printed(settings, **keys))
        return list(itertools.dropwhile(lambda word: "=" in word, words))

    def probed(self, *args: str) -> tuple[int, str]:
        """Return the probe's exit code, and what it says but for the time it took."""
        done = self.start.probe(*args)
        assert done.stderr == ""
        return done.returncode, done.stdout.partition(" in ")[0].strip()

    def loaded_by(self) -> list[int]:
        """Return the processes that the application was loaded in."""
        return sorted(int(pid) for pid in self._ready.read_text().split())

    def forget_loads(self) -> None:
        self._ready.unlink()

    @property
    def _ready(self) -> Path:
        return self.start.data / "ready"


class Stopped(NamedTuple):
    """A stop, while clients come and go."""

    code: int
    seconds: float
    #: The body of the request that was in flight.
    in_flight: str
    #: What became of a client that connected before the stop, and spoke after it.
    quiet: str
    #: What became of those that came later, by their number.
    came: collections.Counter[str]


def stop_in_use(web: Client, idle_clients: int) -> Stopped:
    """Stop a server that idle, quiet, waiting and new clients use."""
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
        spoken = clients.submit(_speak_once_it_refuses, quiet, web.port)
        came = []
        while not request.done():
            came.append(clients.submit(_come, web.port))
            time.sleep(0.02)  # so many clients, not as many as there can be
        answers = collections.Counter(client.result() for client in came)
    code = web.exits()
    took = time.monotonic() - signalled
    for client in idle:
        client.close()
    return Stopped(code, took, request.result(), spoken.result(), answers)


def _speak_once_it_refuses(quiet: socket.socket, port: int) -> str:
    """Send a request as soon as nobody listens any more, and return the status."""
    # A worker that is busy listens for as long, so it does not refuse.
    with contextlib.suppress(AssertionError):
        wait_for(lambda: is_refused(port), "no listener", 1)
    client = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
    client.sock = quiet
    return _answer(client)


def is_refused(port: int) -> bool:
    try:
        socket.create_connection(("127.0.0.1", port), 1).close()
    except OSError:
        return True
    return False


def _come(port: int) -> str:
    """Return what became of a client: refused, or the status it got."""
    client = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
    try:
        client.connect()
    except ConnectionError:  # or reset, in the moment of the close
        return "refused"
    return _answer(client)


def _answer(client: http.client.HTTPConnection) -> str:
    with contextlib.closing(client):
        try:
            client.request("GET", "/about", headers={"Connection": "close"})
            return str(client.getresponse().status)
        except (OSError, http.client.HTTPException) as error:
            return repr(error)


def children(pid: int) -> set[int]:
    return {child.pid for child in psutil.Process(pid).children()}


class Broker:
    """A Redis of the test's own, on a port of its own, that can go and come back."""

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


class WorkerSite:
    """The project with a database and a broker, for one worker."""

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
        #: What "manage.py enqueue" calls the queue.
        self.queue = queue
        self.env: dict[str, Any] = {
            "settings": dict(settings),
            "TEST_REDIS_URL": redis_url,
        }
        start.migrate(**self.env)

    def worker(
        self, *, via: Sequence[str] = MANAGE, env: Mapping[str, Any] = {}, **keys: Any
    ) -> Running:
        config = {**self.config, **keys}
        return self.start.worker(config, via=via, **{**self.env, **env})

    def pasted(self, **keys: Any) -> Running:
        """Paste what --dry-run prints into a shell: it is the whole command."""
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

    def begun(self, worker: Running, *names: str) -> None:
        """Return when the tasks of those names have begun."""
        worker.until(
            lambda: all(self.start.marks(name)[0] for name in names), "tasks begun"
        )

    def done(self, worker: Running, *names: str) -> None:
        """Return when the tasks of those names have ended."""
        worker.until(
            lambda: all(self.start.marks(name)[1] for name in names), "tasks done"
        )

    def hold(self, worker: Running, *names: str, seconds: float = HOLD) -> None:
        """Put tasks on the queue that end when ``go`` says; return when they began."""
        self.enqueue(*names, seconds=seconds)
        self.begun(worker, *names)

    def go(self) -> None:
        """Let all tasks come to their end."""
        (self.start.data / "go").touch()

    def marks(self, *names: str) -> list[tuple[int, int]]:
        """Return how often each task began, and ended."""
        return [self.start.marks(name) for name in names]


class Watched:
    """What the probe says of a process that was started."""

    def __init__(self, start: Starter, worker: Running, name: str = "worker") -> None:
        self.start = start
        self.worker = worker
        self.name = name

    def ask(self, question: str) -> tuple[int, str]:
        done = self.start.probe(question, self.name)
        return done.returncode, done.stdout.strip()

    def is_live(self) -> bool:
        return self.ask("--live")[0] == YES

    def becomes(self, ready: int, words: str, seconds: float = 60) -> None:
        """Wait until the readiness is that, for that reason, and it is alive."""

        def said() -> bool:
            code, line = self.ask("--ready")
            return code == ready and words in line and self.is_live()

        self.worker.until(said, f"ready is {ready} for {words!r}", seconds)

    def dies(self, words: str) -> None:
        """Wait until it is not alive, for that reason; then it is not ready."""

        def said() -> bool:
            code, line = self.ask("--live")
            return code == NO and words in line

        wait_for(said, f"dead for {words!r}", 60)
        assert self.ask("--ready")[0] == NO
