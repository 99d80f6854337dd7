"""
Containers under test: start, look, stop, look.

A test asks for the fixture ``containers`` (``Containers``), and starts the test
image's processes with it; all it started is removed at its end, and if it failed,
their logs are in its report::

    pytestmark = pytest.mark.container

    def test_it_serves(containers):
        web = containers.web("gunicorn", hardened=True, env={"DRAIN_DELAY": "3"})
        request = web.in_flight("/slow?s=3")
        stopped = web.stop()
        assert request.result() == "slow done"
        assert stopped.code == 0
        web.log_is_clean()

    def test_it_works(containers):
        site = containers.site()            # a Redis and a database of its own
        worker = site.worker("db_worker")
        site.enqueue("tasks", "one", "two", seconds=1)
        worker.until(lambda: site.marks("two") == (1, 1), "the task done")

``containers.start()`` takes whatever ``docker run`` does: a command, another image,
the keywords of docker-py. ``containers.run()`` is for what ends by itself.
"""

from __future__ import annotations

import json
import time
import urllib.error
import uuid
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any, NamedTuple, Self, TypeVar

import docker.errors
from testcontainers.core.container import DockerContainer
from testcontainers.core.network import Network

from tests import harness
from tests.containers.images import LABEL, PREFIX, Images
from tests.containers.logs import problems

#: Seconds for what takes a second or two on a machine that does nothing else.
PATIENCE = 150
PORT = 8000
#: What Kubernetes' "restricted" profile and OpenShift ask for, and a bit more.
HARDENED = {
    "read_only": True,
    "cap_drop": ["ALL"],
    "security_opt": ["no-new-privileges"],
    "user": "123456:0",
    "tmpfs": {"/tmp": ""},
    "mem_limit": "256m",
}
#: The test image's processes that serve, and those that work with the queue that
#: "manage.py enqueue" has tasks for.
WEB = (
    "gunicorn",
    "uvicorn-asgi",
    "uvicorn-wsgi",
    "granian-asgi",
    "granian-wsgi",
    "waitress",
)
WORKERS = {
    "worker": "celery",
    "db_worker": "tasks",
    "qcluster": "q2",
    "dramatiq": "dramatiq",
    "procrastinate": "procrastinate",
}

T = TypeVar("T")


class Stopped(NamedTuple):
    """How a container ended: its exit code, and the seconds that it took."""

    code: int
    took: float


class Finished(NamedTuple):
    """What a command in a container ended with, and all that it said."""

    code: int
    output: str


class Process(NamedTuple):
    """A process as a container sees it; ``state`` is the kernel's letter."""

    pid: int
    ppid: int
    state: str
    command: str


# Inside: slim images have no ps. It leaves itself out.
_PROCESSES = """
import json, os
found = []
for pid in filter(str.isdecimal, os.listdir("/proc")):
    try:
        stat = open(f"/proc/{pid}/stat").read()
        words = open(f"/proc/{pid}/cmdline").read().split(chr(0))
    except OSError:
        continue
    name = stat[stat.index("(") + 1 : stat.rindex(")")]
    state, ppid = stat[stat.rindex(")") + 2 :].split()[:2]
    if int(pid) != os.getpid():
        found.append((int(pid), int(ppid), state, " ".join(words).strip() or name))
print(json.dumps(found))
"""


class Container:
    """A container that was started."""

    #: The one whose network it has, if it has not its own.
    pod: Container | None = None

    def __init__(self, container: DockerContainer) -> None:
        self.testcontainer = container
        self.started = time.monotonic()
        container.start()
        self.docker = container.get_wrapped_container()
        self._threads = ThreadPoolExecutor()

    # What it says of itself

    @property
    def log(self) -> str:
        """All that it wrote, to both streams."""
        return str(self.docker.logs().decode(errors="replace"))

    @property
    def state(self) -> Mapping[str, Any]:
        """``docker inspect``'s State."""
        self.docker.reload()
        return dict(self.docker.attrs["State"])

    @property
    def health(self) -> str:
        """``starting``, ``healthy``, ``unhealthy``; empty without a HEALTHCHECK."""
        return str(self.state.get("Health", {}).get("Status", ""))

    @property
    def address(self) -> str:
        """Its address on its (last) network."""
        if self.pod:
            return self.pod.address
        self.docker.reload()
        networks = self.docker.attrs["NetworkSettings"]["Networks"].values()
        return str([network["IPAddress"] for network in networks][-1])

    def processes(self) -> list[Process]:
        """Return the processes in it, without the one that looks."""
        done = self.exec("python", "-IS", "-c", _PROCESSES)
        assert done.code == 0, done.output
        found = [Process(*row) for row in json.loads(done.output)]
        return sorted(found)

    def log_is_clean(self, *allowed: str) -> None:
        """
        Fail if it logged a warning, an error or a traceback.

        Args:
            allowed: Regular expressions for lines that are no problem here.
        """
        found = problems(self.log, allowed)
        assert not found, "in its log:\n" + "\n".join(found)

    def report(self) -> str:
        """Return its state and the end of its log, for people to read."""
        try:
            state = dict(self.state)
            checks = state.pop("Health", {}).get("Log", [])
            lines = self.log.splitlines()[-60:]
        except docker.errors.APIError as error:
            return f"{self.docker.name}: {error}"
        probes = [f"health {c['ExitCode']}: {c['Output'].strip()}" for c in checks[-3:]]
        facts = [f"{key}={value}" for key, value in state.items() if value]
        return "\n".join([f"{self.docker.name}: {' '.join(facts)}", *probes, *lines])

    # Waiting

    def until(self, look: Callable[[], T], what: str, seconds: float = PATIENCE) -> T:
        """
        Return the first true value of ``look``; fail at once when the container ends.

        Raises:
            AssertionError: It is not true in time; with the state and the log's end.
        """
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            if found := look():
                return found
            # Restarting is what only those are that have a restart policy.
            if self.state["Status"] not in ("created", "running", "restarting"):
                if found := look():
                    return found
                message = f"{what}: it ended\n{self.report()}"
                raise AssertionError(message)
            time.sleep(0.1)
        message = f"{what}: not within {seconds} s\n{self.report()}"
        raise AssertionError(message)

    def says(self, text: str, seconds: float = PATIENCE) -> None:
        self.until(lambda: text in self.log, f"{text!r} in the log", seconds)

    def healthy(self, seconds: float = PATIENCE) -> float:
        """Wait for the HEALTHCHECK's yes; return the seconds since the start."""
        self.until(lambda: self.health == "healthy", "healthy", seconds)
        return time.monotonic() - self.started

    def ready(self, *command: str) -> Self:
        """Wait until a command in it succeeds."""
        self.until(lambda: self.exec(*command).code == 0, " ".join(command))
        return self

    def exits(self, seconds: float = PATIENCE) -> int:
        """Wait for its end and return its exit code."""
        ended = ("exited", "dead")
        try:
            harness.wait_for(
                lambda: self.state["Status"] in ended, "the container's end", seconds
            )
        except AssertionError as error:
            raise AssertionError(f"{error}\n{self.report()}") from None
        return int(self.state["ExitCode"])

    # Using

    def url(self, path: str = "/", port: int = PORT) -> str:
        return f"http://localhost:{self.testcontainer.get_exposed_port(port)}{path}"

    def get(self, path: str, timeout: float = PATIENCE) -> str:
        return harness.fetch(self.url(path), timeout)

    def answers(self, path: str = "/about") -> bool:
        """Whether it answers at all."""
        try:
            self.get(path, timeout=5)
        except urllib.error.HTTPError as error:
            message = f"{path}: {error}\n{self.report()}"
            raise AssertionError(message) from None
        except OSError:
            return False
        return True

    def in_flight(self, path: str) -> Future[str]:
        """Start a request to ``/slow``, and return when its view has begun."""
        before = self.log.count("slow began")
        future = self._threads.submit(self.get, path)
        self.until(lambda: self.log.count("slow began") > before, "a request in flight")
        return future

    def exec(self, *command: str, user: str = "", **env: str) -> Finished:
        """Run a command in it, as ``docker exec`` does."""
        done = self.docker.exec_run(list(command), user=user, environment=env)
        return Finished(int(done.exit_code), done.output.decode(errors="replace"))

    def probe(self, *args: str) -> Finished:
        return self.exec("prodserver-probe", "--timeout=30", *args)

    def signal(self, name: str) -> None:
        """Send a signal, ``SIGTERM``, to the container's first process."""
        self.docker.kill(name)

    def stop(self, seconds: int = PATIENCE) -> Stopped:
        """``docker stop``; 137 is the code of one that did not stop in time."""
        began = time.monotonic()
        self.docker.stop(timeout=seconds)
        return Stopped(int(self.state["ExitCode"]), time.monotonic() - began)

    def restart(self) -> Self:
        """Stop it, and start it again with the disk that it has."""
        self.docker.stop(timeout=PATIENCE)
        self.docker.start()
        return self

    def remove(self) -> None:
        self.testcontainer.stop()
        self._threads.shutdown(wait=False, cancel_futures=True)


class Containers:
    """
    Starts containers, and removes all that it started.

    Args:
        images: The images under test.
        network: Where they see each other.
        folder: Where tasks leave their marks; ``/data`` in each container.
        databases: Makes databases; see ``site``.
    """

    def __init__(
        self,
        images: Images,
        network: Network,
        folder: Path,
        databases: Callable[[], Databases],
    ) -> None:
        self.images = images
        self.network = network
        self.folder = folder
        self.started: list[Container] = []
        self._databases = databases
        # Any uid may be the one that writes there.
        for path in (folder, folder / "marks"):
            path.mkdir(parents=True)
            path.chmod(0o777)

    def start(
        self,
        *command: str,
        image: str = "",
        env: Mapping[str, str] | None = None,
        alias: str = "",
        ports: Sequence[int] = (),
        mounts: Mapping[str, Path] | None = None,
        hardened: bool = False,
        **options: Any,
    ) -> Container:
        """
        Start a container of the test image.

        Args:
            command: Its arguments.
            image: Another image.
            env: Its variables.
            alias: The name that others on the network know it by.
            ports: What to publish; ``Container.url`` knows where.
            mounts: Files and folders of this machine, by their paths in it.
            hardened: With ``HARDENED``.
            options: Keywords of docker-py's ``containers.create``.
        """
        container = DockerContainer(image or self.images.test)
        container.with_envs(TEST_DATA="/data", **(env or {}))
        container.with_exposed_ports(*ports)
        for path, source in {"/data": self.folder, **(mounts or {})}.items():
            container.with_volume_mapping(source, path, "rw")
        options = {**(HARDENED if hardened else {}), **options}
        # testcontainers has words of its own for these.
        for path, size in options.pop("tmpfs", {}).items():
            container.with_tmpfs_mount(path, size or None)
        container.with_kwargs(labels={LABEL: PREFIX}, **options)
        if command:
            container.with_command(list(command))
        if "network_mode" not in options:
            container.with_network(self.network)
            container.with_network_aliases(*([alias] if alias else []))
        self.started.append(Container(container))
        return self.started[-1]

    def run(self, *command: str, seconds: float = PATIENCE, **options: Any) -> Finished:
        """Start one that ends by itself, and return its code and its log."""
        container = self.start(*command, **options)
        return Finished(container.exits(seconds), container.log)

    def process(self, name: str, *args: str, **options: Any) -> Container:
        """Start a process of ``proj/image.py``, with more options for its server."""
        # Not as an argument, which would be the command of that name.
        env = {**options.pop("env", {}), "PROCESS_NAME": name}
        return self.start(*args, env=env, **options)

    def web(self, name: str, *args: str, **options: Any) -> Container:
        """Start a web process of ``proj/image.py``, and wait for its first answer."""
        container = self.process(name, *args, ports=[PORT], **options)
        container.until(container.answers, "the first answer")
        return container

    def redis(self) -> Container:
        """Start a Redis that keeps its data and its address when it is restarted."""
        server = self._service("--appendonly", "yes", image=self.images.redis)
        return server.ready("redis-cli", "ping")

    def postgres(self) -> Container:
        """Start a PostgreSQL, as Redis; its user and its password are postgres."""
        env = {"POSTGRES_PASSWORD": "postgres"}
        server = self._service(image=self.images.postgres, env=env)
        return server.ready("pg_isready", "--quiet", "--host=127.0.0.1")

    def _service(self, *command: str, **options: Any) -> Container:
        # A container that is restarted gets another address, and the names that a
        # busy engine serves get lost at times. So its network is that of another
        # container, which stays, as in a pod.
        pod = self.idle()
        server = self.start(
            *command, network_mode=f"container:{pod.docker.id}", **options
        )
        server.pod = pod
        return server

    def idle(self, **options: Any) -> Container:
        """Start a container of the test image that does nothing."""
        none = {"test": ["NONE"]}
        return self.start("sleep", "infinity", healthcheck=none, **options)

    def site(self, env: Mapping[str, str] | None = None) -> Site:
        """
        Return the project with a Redis and a migrated database of its own.

        Args:
            env: More variables, or others, for all its containers.
        """
        redis = self.redis()
        services = {"TEST_REDIS_URL": f"redis://{redis.address}:6379/0"}
        services |= self._databases().create()
        return Site(self, redis, {**services, **(env or {})})

    def remove(self) -> None:
        while self.started:
            self.started.pop().remove()


class Databases:
    """One PostgreSQL for many tests, each with a copy of a migrated database."""

    def __init__(self, containers: Containers) -> None:
        self.server = containers.postgres()
        self._psql("CREATE DATABASE migrated")
        env = self._variables("migrated")
        done = containers.run("python", "manage.py", "migrate", "-v0", env=env)
        assert done.code == 0, done.output

    def create(self) -> dict[str, str]:
        """Return the variables of a new database."""
        name = f"proj_{uuid.uuid4().hex[:8]}"
        self._psql(f"CREATE DATABASE {name} TEMPLATE migrated")
        return self._variables(name)

    def _variables(self, name: str) -> dict[str, str]:
        return {"TEST_DATABASE_HOST": self.server.address, "TEST_DATABASE": name}

    def _psql(self, statement: str) -> None:
        url = "postgresql://postgres:postgres@127.0.0.1/postgres"
        done = self.server.exec("psql", url, "--command", statement)
        assert done.code == 0, done.output


class Site:
    """The project with its services: start its workers, give them tasks, look."""

    def __init__(
        self, containers: Containers, redis: Container, env: Mapping[str, str]
    ) -> None:
        self.containers = containers
        self.redis = redis
        self.env = dict(env)
        # For commands: starting a container for each would take seconds.
        self.shell = containers.idle(env=self.env)

    def start(self, name: str, *args: str, **options: Any) -> Container:
        """Start a process of ``proj/image.py`` with the site's services."""
        env = {**self.env, **options.pop("env", {})}
        return self.containers.process(name, *args, env=env, **options)

    def manage(self, *args: str) -> str:
        """Run a command of manage.py to its end; return what it printed."""
        done = self.shell.exec("python", "manage.py", *args)
        assert done.code == 0, done.output
        return done.output

    def enqueue(self, queue: str, *names: str, seconds: float = 0) -> None:
        """Put a task for each name on a queue: celery, celery-late, tasks or q2."""
        self.manage("enqueue", queue, *names, f"--seconds={seconds}")

    def marks(self, name: str) -> tuple[int, int]:
        """Return how often the task of that name began, and ended."""
        marks = self.containers.folder / "marks"
        began, ended = (marks / f"{name}.{what}" for what in ("began", "ended"))
        return len(harness.lines(began)), len(harness.lines(ended))
