"""What the tests with real processes share."""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol

import pytest

from tests import harness
from tests.harness import MANAGE, PROJECT, Running, Web

harness.hear_signals()


@pytest.fixture(autouse=True)
def _environment_of_its_own() -> Iterator[None]:
    """What a test puts into the environment must not reach the next one."""
    before = dict(os.environ)
    yield
    # pytest's own variable changes as the test does.
    now = os.environ.keys() - {"PYTEST_CURRENT_TEST"}
    for name in now - before.keys():
        del os.environ[name]
    for name, value in before.items():
        if name != "PYTEST_CURRENT_TEST" and os.environ.get(name) != value:
            os.environ[name] = value


@pytest.fixture(scope="session")
def redis(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The URL of a Redis that was started for the tests, and stops with them."""
    program = shutil.which("redis-server")
    assert program, "redis-server is missing; make test installs it"
    port = harness.free_port()
    folder = tmp_path_factory.mktemp("redis")
    server = Running(
        [program, "--port", str(port), "--bind", "127.0.0.1", "--save", ""],
        {},
        folder / "log",
        folder,
    )
    server.says("Ready to accept connections")
    yield f"redis://127.0.0.1:{port}"
    server.kill()


@pytest.fixture
def redis_url(redis: str, request: pytest.FixtureRequest) -> str:
    """A Redis database that is empty."""
    from redis import Redis

    url = f"{redis}/0"
    with Redis.from_url(url) as client:
        client.flushall()
    return url


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """The folder that the project under test writes to."""
    folder = tmp_path / "data"
    folder.mkdir()
    return folder


@pytest.fixture
def short_folder() -> Iterator[Path]:
    """A folder whose name leaves room in the 107 bytes of a socket's path."""
    with tempfile.TemporaryDirectory(prefix="ps") as folder:
        yield Path(folder)


class Starter:
    """Starts processes of the project under test, and leaves none behind."""

    def __init__(self, data: Path, tmp_path: Path) -> None:
        self.data = data
        self._tmp_path = tmp_path
        self._started: list[Running] = []

    def environment(
        self,
        processes: Any = None,
        settings: Mapping[str, Any] | None = None,
        unset: Sequence[str] = (),
        **env: str,
    ) -> dict[str, str]:
        settings = dict(settings or {})
        if processes is not None:
            settings["PRODUCTION_PROCESSES"] = processes
        return harness.environment(self.data, settings, unset, **env)

    def command(
        self, *args: str, via: Sequence[str] = MANAGE, **env: Any
    ) -> subprocess.CompletedProcess[str]:
        """Run a command that ends by itself."""
        return harness.running([*via, *args], env=self.environment(**env))

    def process(
        self,
        argv: Sequence[str],
        env: Mapping[str, str],
        *,
        kind: type[Running] = Running,
        cwd: Path = PROJECT,
    ) -> Any:
        log = self._tmp_path / f"{len(self._started)}.log"
        started = kind(argv, env, log, cwd)
        self._started.append(started)
        return started

    def web(
        self,
        config: Mapping[str, Any],
        *args: str,
        port: int,
        via: Sequence[str] = MANAGE,
        **env: Any,
    ) -> Web:
        """Start a web process and wait for its first answer."""
        environment = self.environment({"web": config}, **env)
        server: Web = self.process([*via, "web", *args], environment, kind=Web)
        server.port = port
        server.wait_until_ready()
        return server

    def worker(
        self,
        config: Mapping[str, Any],
        *args: str,
        via: Sequence[str] = MANAGE,
        **env: Any,
    ) -> Running:
        environment = self.environment({"worker": config}, **env)
        worker: Running = self.process([*via, "worker", *args], environment)
        return worker

    def probe(self, *args: str) -> subprocess.CompletedProcess[str]:
        command = [MANAGE[0], "-m", "django_prodserver.health.probe"]
        return harness.running(
            [*command, "--timeout=10", *args], env=self.environment()
        )

    def migrate(self, **env: Any) -> None:
        done = harness.running(
            [MANAGE[0], "manage.py", "migrate", "-v0"], env=self.environment(**env)
        )
        assert done.returncode == 0, done.stderr

    def enqueue(
        self, queue: str, *names: str, seconds: float = 0, on: str = "", **env: Any
    ) -> None:
        done = harness.running(
            [
                *(MANAGE[0], "manage.py", "enqueue", queue, *names),
                f"--seconds={seconds}",
                *([f"--on={on}"] if on else []),
            ],
            env=self.environment(**env),
        )
        assert done.returncode == 0, done.stderr

    def marks(self, name: str) -> tuple[int, int]:
        """Return how often the task of that name began, and ended."""
        folder = self.data / "marks"
        return (
            len(harness.lines(folder / f"{name}.began")),
            len(harness.lines(folder / f"{name}.ended")),
        )

    def end(self) -> None:
        for started in self._started:
            started.kill()


@pytest.fixture
def start(data: Path, tmp_path: Path) -> Iterator[Starter]:
    starter = Starter(data, tmp_path)
    yield starter
    starter.end()


@pytest.fixture
def port() -> int:
    return harness.free_port()


#: The title of a table that two modules fill.
STOPS = "SIGTERM with a 3 s request or task in flight"


class Row(Protocol):
    """What the fixture ``row`` is."""

    def __call__(self, table: str, **cells: object) -> None: ...


@pytest.fixture
def row(record_property: Callable[[str, object], None]) -> Row:
    """Adds a row to a table that is printed at the end of the run."""

    def add(table: str, **cells: object) -> None:
        shown = {
            column: f"{value:.2f}" if isinstance(value, float) else str(value)
            for column, value in cells.items()
        }
        record_property("row", (table, shown))

    return add


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Print what the matrices saw, as tables."""
    tables: dict[str, list[dict[str, str]]] = {}
    for report in terminalreporter.getreports("passed"):
        for name, value in getattr(report, "user_properties", ()):
            if name == "row" and report.when == "call":
                tables.setdefault(value[0], []).append(value[1])
    for title, rows in sorted(tables.items()):
        terminalreporter.section(title)
        columns = list(rows[0])
        cells = [columns, *sorted([list(row.values()) for row in rows])]
        widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
        for line in cells:
            padded = [
                word.ljust(width) for word, width in zip(line, widths, strict=True)
            ]
            terminalreporter.write_line("  ".join(padded).rstrip())
