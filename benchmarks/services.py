"""The services that published applications need: Redis and PostgreSQL."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
from collections.abc import Collection, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path

from tests import postgres
from tests.harness import Running, free_port, wait_for

#: The variables that tell a project's settings the ports.
REDIS, POSTGRES = "BENCH_REDIS_PORT", "BENCH_POSTGRES_PORT"


@contextmanager
def started(names: Collection[str], folder: Path) -> Iterator[None]:
    """
    Run services, and put their ports into the environment of what starts meanwhile.

    Args:
        names: Of "redis" and "postgres", those that are needed.
        folder: Where the data is kept for the next run.
    """
    folder.mkdir(parents=True, exist_ok=True)
    with ExitStack() as services:
        if "redis" in names:
            services.enter_context(_redis(folder))
        if "postgres" in names:
            services.enter_context(_postgres(folder))
        yield


@contextmanager
def _redis(folder: Path) -> Iterator[None]:
    program = shutil.which("redis-server")
    assert program, "redis-server is missing; make test installs it"  # noqa: S101
    port = str(free_port())
    argv = [program, "--port", port, "--bind", "127.0.0.1", "--save", ""]
    server = Running(argv, os.environ, _log(folder / "redis.log"), folder)
    try:
        server.says("Ready to accept connections")
        os.environ[REDIS] = port
        yield
    finally:
        os.environ.pop(REDIS, None)
        server.kill()


@contextmanager
def _postgres(folder: Path) -> Iterator[None]:
    data = folder / "postgres"
    # It refuses to run as root.
    user: list[str] = []
    if os.geteuid() == 0:
        user = ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups"]
    if not (data / "PG_VERSION").exists():
        shutil.rmtree(data, ignore_errors=True)
        data.mkdir(mode=0o700)
        if user:
            os.chown(data, 65534, 65534)
        subprocess.run(
            [
                *(*user, postgres.program("initdb"), "--pgdata", str(data)),
                *("--username=postgres", "--auth=trust", "--encoding=UTF8"),
            ],
            env=_environment(),
            cwd="/",
            stdout=subprocess.DEVNULL,
            check=True,
        )
    port = free_port()
    argv = [
        *(*user, postgres.program("postgres"), "-D", str(data), "-p", str(port)),
        *("-c", "listen_addresses=127.0.0.1", "-c", "unix_socket_directories="),
    ]
    # A crash may have left it; the server looks whether its process is there.
    log = _log(folder / "postgres.log")
    server = Running(argv, _environment(), log, Path("/"))
    try:
        server.says("ready to accept connections")
        os.environ[POSTGRES] = str(port)
        yield
    finally:
        os.environ.pop(POSTGRES, None)
        server.process.send_signal(signal.SIGINT)
        wait_for(lambda: server.process.poll() is not None, "the end of PostgreSQL")
        server.kill()


def create_database(name: str) -> None:
    """Make an empty PostgreSQL database, in place of the one that may be there."""
    for statement in (f"DROP DATABASE IF EXISTS {name}", f"CREATE DATABASE {name}"):
        _psql(["--dbname=postgres", f"--command={statement}"])


def _psql(words: Sequence[str]) -> None:
    subprocess.run(
        [
            *(postgres.program("psql"), "--host=127.0.0.1", "--username=postgres"),
            *(f"--port={os.environ[POSTGRES]}", "--quiet", *words),
        ],
        check=True,
    )


def _environment() -> dict[str, str]:
    return {"PATH": os.environ["PATH"], "LC_ALL": "C.UTF-8"}


def _log(path: Path) -> Path:
    path.unlink(missing_ok=True)
    return path
