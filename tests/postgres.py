"""A PostgreSQL that is started for the tests, and stops with them."""

from __future__ import annotations

import os
import shutil
import signal
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from tests import harness
from tests.harness import Running

# It refuses to run as root; Debian's own user for it may not be there.
_NOBODY = 65534


class Postgres:
    """Where it listens; ``database`` makes a new one."""

    def __init__(self, port: int) -> None:
        self.port = port

    def connect(self, name: str = "postgres") -> Any:
        import psycopg

        return psycopg.connect(
            host="127.0.0.1",
            port=self.port,
            user="postgres",
            dbname=name,
            autocommit=True,
        )

    def database(self, name: str) -> dict[str, Any]:
        """Make an empty database; return its entry for ``DATABASES``."""
        with self.connect() as connection:
            connection.execute(f'CREATE DATABASE "{name}"')
        return {
            "ENGINE": "django.db.backends.postgresql",
            "HOST": "127.0.0.1",
            "PORT": self.port,
            "USER": "postgres",
            "NAME": name,
        }


@contextmanager
def pooled(server: Postgres, log: Path, pool_size: int) -> Iterator[int]:
    """Start a PgBouncer in front of it, in transaction mode; yield its port."""
    pgbouncer = shutil.which("pgbouncer", path=f"{os.environ['PATH']}:/usr/sbin")
    assert pgbouncer, "pgbouncer is missing; make test installs it"
    port = harness.free_port()
    folder = Path(tempfile.mkdtemp(prefix="prodserver-pgbouncer-"))
    configuration = folder / "pgbouncer.ini"
    configuration.write_text(
        f"""[databases]
* = host=127.0.0.1 port={server.port} user=postgres
[pgbouncer]
listen_addr = 127.0.0.1
listen_port = {port}
unix_socket_dir =
auth_type = any
pool_mode = transaction
default_pool_size = {pool_size}
idle_transaction_timeout = 7
client_idle_timeout = 7
"""
    )
    if os.geteuid() == 0:  # it refuses to run as root, too
        folder.chmod(0o755)
    pooler = Running(
        [*_as_nobody(), pgbouncer, str(configuration)],
        {"PATH": os.environ["PATH"]},
        log,
        folder,
    )
    try:
        pooler.says("process up")
        yield port
    finally:
        pooler.kill()
        shutil.rmtree(folder)


def program(name: str) -> str:
    """Return where a program of the server's is, that no PATH has on Debian."""
    found = sorted(Path("/usr/lib/postgresql").glob(f"*/bin/{name}"))
    path = shutil.which(name) or (str(found[-1]) if found else "")
    assert path, f"{name} is missing; make test installs it"
    return path


def _add_certificate(data: Path) -> None:
    """Copy the tests' certificate; the server wants a key of its own user's."""
    source = Path(__file__).with_name("tls")
    for name, copy in (("certificate", "server.crt"), ("key", "server.key")):
        file = data / copy
        shutil.copyfile(source / f"{name}.pem", file)
        file.chmod(0o600)
        if os.geteuid() == 0:
            os.chown(file, _NOBODY, _NOBODY)


def _as_nobody() -> list[str]:
    """Return the command that drops the rights of root; nothing for other users."""
    if os.geteuid():
        return []
    return ["setpriv", f"--reuid={_NOBODY}", f"--regid={_NOBODY}", "--clear-groups"]


@contextmanager
def started(log: Path) -> Iterator[Postgres]:
    # Not in pytest's folder, which is root's alone.
    folder = Path(tempfile.mkdtemp(prefix="prodserver-postgres-"))
    user = _as_nobody()
    if user:
        os.chown(folder, _NOBODY, _NOBODY)
    env = {"PATH": os.environ["PATH"], "LC_ALL": "C.UTF-8"}
    data = folder / "data"
    made = Running(
        [
            *(*user, program("initdb"), "--pgdata", str(data), "--username=postgres"),
            *("--auth=trust", "--no-sync", "--encoding=UTF8"),
        ],
        env,
        log,
        folder,
    )
    assert made.exits(120) == 0, made.output
    _add_certificate(data)
    port = harness.free_port()
    server = Running(
        [
            *(*user, program("postgres"), "-D", str(data), "-p", str(port)),
            *("-c", "listen_addresses=127.0.0.1", "-c", "fsync=off"),
            *("-c", "unix_socket_directories=", "-c", "max_connections=50"),
            # Two processes that share a connection break it at once.
            *("-c", "ssl=on"),
        ],
        env,
        log,
        folder,
    )
    try:
        server.says("ready to accept connections", 60)
        yield Postgres(port)
    finally:
        server.process.send_signal(signal.SIGQUIT)
        server.process.wait(30)
        server.kill()
        shutil.rmtree(folder)
