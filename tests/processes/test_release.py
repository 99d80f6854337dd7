"""The release, for real: its commands, their ends, and the lock of the database."""

from __future__ import annotations

import re
import subprocess
import uuid
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from tests import postgres
from tests.conftest import Starter
from tests.harness import MANAGE, MODULE, SCRIPT, Running, lines, running
from tests.postgres import Postgres
from tests.servers import BACKENDS

pytestmark = pytest.mark.process

HELD = "waiting for the database lock"


@pytest.fixture(scope="session")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Postgres]:
    with postgres.started(tmp_path_factory.mktemp("postgres") / "log") as server:
        yield server


@pytest.fixture
def on_postgres(server: Postgres) -> dict[str, Any]:
    """Settings with an empty database on PostgreSQL."""
    name = f"test-{uuid.uuid4().hex[:12]}"
    return {"DATABASES": {"default": server.database(name)}}


@pytest.fixture(params=["sqlite", "postgresql"])
def settings_of(request: pytest.FixtureRequest) -> dict[str, Any]:
    """Settings with an empty database, of each kind."""
    if request.param == "sqlite":
        return {}
    found: dict[str, Any] = request.getfixturevalue("on_postgres")
    return found


class Release:
    """The project, whose releases are started and looked at."""

    def __init__(self, start: Starter) -> None:
        self.start = start
        self.settings: Mapping[str, Any] = {}

    def environment(self, *commands: Any, **keys: Any) -> dict[str, str]:
        extra = {k: keys.pop(k) for k in list(keys) if k.startswith(("PROD", "TEST"))}
        entry = {
            "BACKEND": f"{BACKENDS}.management.ManagementCommands",
            "COMMANDS": commands,
            **keys,
        }
        return self.start.environment({"release": entry}, self.settings, **extra)

    def begin(self, *commands: Any, via: Any = MANAGE, **keys: Any) -> Running:
        env = self.environment(*commands, **keys)
        started: Running = self.start.process([*via, "release"], env)
        return started

    def run(
        self, *commands: Any, via: Any = MANAGE, **keys: Any
    ) -> subprocess.CompletedProcess[str]:
        return running([*via, "release"], env=self.environment(*commands, **keys))

    @property
    def steps(self) -> list[str]:
        return lines(self.start.data / "steps")


@pytest.fixture
def release(start: Starter) -> Release:
    return Release(start)


class TestCommands:
    @pytest.mark.parametrize("via", [MANAGE, MODULE])
    def test_they_run_in_order_in_one_process(self, release: Release, via: Any) -> None:
        apps = '["proj.recorded.RecordedConfig"]'
        done = release.run(
            "step 'a b'", ["step", "c", "--seconds=0.1"], via=via, TEST_APPS=apps
        )
        assert done.returncode == 0, done.stderr
        assert release.steps == ["a b began", "a b ended", "c began", "c ended"]
        said = re.findall("prodserver: .*", done.stdout)
        assert said == [
            "prodserver: running step 'a b'",
            "prodserver: running step c --seconds=0.1",
        ]
        assert len(lines(release.start.data / "ready")) == 1

    @pytest.mark.parametrize(
        ("how", "code", "says"),
        [
            ("error", 3, "CommandError: it went wrong"),
            ("exit", 4, "prodserver: step a --fail=exit failed with exit code 4, not"),
            ("text", 1, "some words"),
            ("bug", 1, "RuntimeError: a bug of the user's"),
        ],
    )
    def test_the_first_that_fails_ends_it(
        self, release: Release, how: str, code: int, says: str
    ) -> None:
        done = release.run(["step", "a", f"--fail={how}"], "step b")
        assert done.returncode == code
        assert says in done.stdout + done.stderr
        assert release.steps == ["a began"]

    def test_an_option_that_is_none_is_told_as_natively(self, release: Release) -> None:
        done = release.run("step a --nosuch", "step b")
        assert done.returncode == 2
        assert "unrecognized arguments: --nosuch" in done.stderr
        assert release.steps == []

    @pytest.mark.parametrize(
        ("via", "command"), [(MANAGE, "manage.py step"), (MODULE, "django-admin step")]
    )
    def test_dry_run_prints_a_line_that_a_shell_runs(
        self, release: Release, via: Any, command: str
    ) -> None:
        env = release.environment("step 'a b'", "step c --fail=exit", "step d")
        printed = running([*via, "release", "--dry-run"], env=env).stdout
        assert printed.count(command) == 3
        bare = {k: env[k] for k in env if k != "DJANGO_SETTINGS_MODULE"}
        done = running(["sh", "-c", printed], env=bare)
        assert done.returncode == 4
        assert release.steps == ["a b began", "a b ended", "c began"]

    @pytest.mark.parametrize("keys", [{}, {"LOCK": False}, {"WAIT_FOR": "database"}])
    def test_a_driver_that_cannot_be_loaded_is_one_message(
        self, release: Release, tmp_path: Path, keys: dict[str, Any]
    ) -> None:
        """As psycopg, where its library in C is missing."""
        reason = "libpq.so.5: cannot open shared object file"
        (tmp_path / "psycopg.py").write_text(f"raise ImportError({reason!r})")
        (tmp_path / "psycopg2.py").write_text("raise ModuleNotFoundError('psycopg2')")
        engine = {"ENGINE": "django.db.backends.postgresql", "NAME": "shop"}
        release.settings = {"DATABASES": {"default": engine}}
        env = release.environment("migrate", **keys)
        env["PYTHONPATH"] = f"{tmp_path}:{env.get('PYTHONPATH', '')}"
        done = running([*SCRIPT, "release"], env=env)
        assert done.returncode == 78
        assert done.stderr.splitlines() == [
            "prodserver: A database driver cannot be loaded: Error loading psycopg2 or "
            f"psycopg module: {reason}",
            "Install libpq5 (apt-get install libpq5), or psycopg[binary].",
        ]

    def test_a_driver_that_is_not_installed_is_named(
        self, release: Release, tmp_path: Path
    ) -> None:
        (tmp_path / "MySQLdb.py").write_text(
            "raise ModuleNotFoundError('No module named MySQLdb', name='MySQLdb')"
        )
        engine = {"ENGINE": "django.db.backends.mysql", "NAME": "shop"}
        release.settings = {"DATABASES": {"default": engine}}
        env = release.environment("migrate")
        env["PYTHONPATH"] = f"{tmp_path}:{env.get('PYTHONPATH', '')}"
        done = running([*SCRIPT, "release"], env=env)
        assert done.returncode == 78
        said = "A database driver cannot be loaded: Error loading MySQLdb module. Did"
        assert said in done.stderr
        assert done.stderr.splitlines()[1:] == [
            'Install it: python -m pip install "mysqlclient"'
        ]

    def test_the_probe_says_what_runs(self, release: Release) -> None:
        running = release.begin("step long --seconds=60")
        running.until(lambda: release.steps, "the step begun")
        for question in ("--live", "--ready"):
            for name in ((), ("release",)):
                answer = release.start.probe(question, *name)
                assert answer.returncode == 0, answer.stdout
                assert ": running step long --seconds=60\n" in answer.stdout
        assert "running step long --seconds=60" in release.start.probe("--json").stdout

    def test_the_probe_says_that_it_waits(self, release: Release, port: int) -> None:
        waits = [f"tcp://127.0.0.1:{port}"]
        running = release.begin("step a", WAIT_FOR=waits)
        running.says("waiting for tcp://")
        for question, code in (("--live", 0), ("--ready", 1)):
            answer = release.start.probe(question)
            assert answer.returncode == code, answer.stdout
            assert f"it is starting: waiting for {waits[0]}" in answer.stdout

    def test_the_probe_says_that_it_has_ended(self, release: Release) -> None:
        for command in ("step a", "step b --fail=exit"):
            release.run(command)
            for question in ("--live", "--ready"):
                answer = release.start.probe(question, "release")
                assert answer.returncode == 1, answer.stdout
                assert answer.stdout.startswith("release is not running: process ")

    @pytest.mark.parametrize("via", [MANAGE, MODULE])
    def test_a_stop_is_obeyed_at_once_and_no_success(
        self, release: Release, via: Any
    ) -> None:
        running = release.begin("step long --seconds=60", "step b", via=via)
        running.until(lambda: release.steps, "the step begun")
        assert running.stop(seconds=20) == 1
        assert "SIGTERM during step long --seconds=60" in running.output
        assert release.steps == ["long began"]


class TestLock:
    def test_one_at_a_time(self, release: Release, settings_of: dict[str, Any]) -> None:
        """And each of them once, in any order."""
        release.settings = settings_of
        started = [
            release.begin(f"step {name} --seconds=0.5", via=MODULE) for name in "abc"
        ]
        assert [each.exits(60) for each in started] == [0, 0, 0]
        steps = release.steps
        assert sorted(steps) == [
            f"{n} {what}" for n in "abc" for what in ("began", "ended")
        ]
        for began, ended in zip(steps[::2], steps[1::2], strict=True):
            assert began.split() == [ended.split()[0], "began"]

    def test_a_database_with_a_uri(self, release: Release) -> None:
        """The lock is beside its file, whose name has a space in it."""
        name = f"file:{release.start.data}/the%20shop.sqlite3?mode=rwc"
        database = {"ENGINE": "django.db.backends.sqlite3", "NAME": name}
        release.settings = {"DATABASES": {"default": database}}
        done = release.run("step a", via=MODULE)
        assert done.returncode == 0, done.stderr
        assert (release.start.data / "the shop.sqlite3.release-lock").exists()

    def test_they_need_not(self, release: Release) -> None:
        first = release.begin("step first --seconds=60")
        first.until(lambda: release.steps, "the first one's step")
        assert release.run("step second", LOCK=False).returncode == 0
        assert release.steps == ["first began", "second began", "second ended"]

    def test_killing_the_holder_frees_it(
        self, release: Release, settings_of: dict[str, Any]
    ) -> None:
        release.settings = settings_of
        first = release.begin("step first --seconds=120")
        first.until(lambda: release.steps, "the first one's step")
        second = release.begin("step second")
        second.says(f"{HELD} (0 s of 300): another release holds it")
        assert release.steps == ["first began"]
        first.process.kill()
        assert second.exits(60) == 0
        assert "the database lock ready after" in second.output
        assert release.steps == ["first began", "second began", "second ended"]

    def test_it_is_not_waited_for_for_ever(
        self, release: Release, settings_of: dict[str, Any]
    ) -> None:
        release.settings = settings_of
        first = release.begin("step first --seconds=120")
        first.until(lambda: release.steps, "the first one's step")
        done = release.run("step second", PRODSERVER_WAIT_TIMEOUT="0.5")
        assert done.returncode == 69
        assert "Timed out after 0.5 s waiting for the database lock" in done.stderr
        assert release.steps == ["first began"]

    def test_a_stop_while_it_is_waited_for(self, release: Release) -> None:
        first = release.begin("step first --seconds=120")
        first.until(lambda: release.steps, "the first one's step")
        second = release.begin("step second")
        second.says(HELD)
        assert second.stop(seconds=20) == 1
        assert "SIGTERM during the wait for the lock" in second.output
        assert release.steps == ["first began"]

    def test_one_that_was_lost_is_noticed(
        self, release: Release, on_postgres: dict[str, Any], server: Postgres
    ) -> None:
        release.settings = on_postgres
        started = release.begin("step a --until=go", "step b")
        started.until(lambda: release.steps, "the step begun")
        database = on_postgres["DATABASES"]["default"]["NAME"]
        with server.connect() as connection:
            ended = connection.execute(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
                "WHERE datname = %s",
                [database],
            ).fetchall()
        assert ended == [(True,)]
        started.says(
            "The database lock was lost during step a --until=go, and another "
            "release may run at the same time: "
        )
        (release.start.data / "go").touch()
        assert started.exits(60) == 69
        assert "was lost during step a --until=go, not running: step b" in (
            started.output
        )
        assert "Traceback" not in started.output
        assert release.steps == ["a began", "a ended"]

    def test_one_that_is_held_for_long_is_kept(
        self, release: Release, on_postgres: dict[str, Any], server: Postgres
    ) -> None:
        """Its transaction is idle all the while, which the database may limit."""
        release.settings = on_postgres
        database = on_postgres["DATABASES"]["default"]["NAME"]
        with server.connect() as connection:
            connection.execute(
                f'ALTER DATABASE "{database}" '
                "SET idle_in_transaction_session_timeout = '200ms'"
            )
        done = release.run("step a --seconds=1", "step b")
        assert done.returncode == 0, done.stderr
        assert release.steps == ["a began", "a ended", "b began", "b ended"]

    def test_a_pooler_that_ends_what_is_idle(
        self,
        release: Release,
        on_postgres: dict[str, Any],
        server: Postgres,
        tmp_path: Path,
    ) -> None:
        """PgBouncer in transaction mode: the lock is kept, and keeps others out."""
        database = on_postgres["DATABASES"]["default"]
        with postgres.pooled(server, tmp_path / "pooler", pool_size=2) as port:
            release.settings = {"DATABASES": {"default": {**database, "PORT": port}}}
            first = release.begin("step a --until=go")
            first.until(lambda: release.steps, "the step begun")
            second = release.begin("step b")
            second.says(f"{HELD} (0 s of 300): another release holds it")
            # After 10 s, which is more than the pooler gives an idle transaction.
            second.until(lambda: second.output.count(HELD) == 3, "a long wait")
            (release.start.data / "go").touch()
            assert first.exits() == 0, first.output
            assert second.exits() == 0
        assert release.steps == ["a began", "a ended", "b began", "b ended"]

    def test_a_pooler_with_one_connection(
        self,
        release: Release,
        on_postgres: dict[str, Any],
        server: Postgres,
        tmp_path: Path,
    ) -> None:
        """The lock takes it, and the commands would wait for ever."""
        direct = on_postgres["DATABASES"]["default"]
        with postgres.pooled(server, tmp_path / "pooler", pool_size=1) as port:
            databases = {"default": {**direct, "PORT": port}, "direct": direct}
            release.settings = {"DATABASES": databases}
            done = release.run("migrate -v0", PRODSERVER_WAIT_TIMEOUT="1")
            assert done.returncode == 69
            message, hint = done.stderr.splitlines()
            assert "waiting for a second connection to the database" in message
            assert hint.endswith('alias of a direct connection: "LOCK": "direct".')
            done = release.run("migrate -v0", LOCK="direct")
            assert done.returncode == 0, done.stderr
            done = release.run("migrate -v0", LOCK="dircet")
            assert done.returncode == 78
            assert "Did you mean 'direct'?" in done.stderr

    def test_a_database_that_is_not_there(self, release: Release, port: int) -> None:
        entry = {
            "ENGINE": "django.db.backends.postgresql",
            "HOST": "127.0.0.1",
            "PORT": port,
            "NAME": "nosuch",
            "PASSWORD": "hunter2",
        }
        release.settings = {"DATABASES": {"default": entry}}
        done = release.run("step a")
        assert done.returncode == 69
        assert "The database lock cannot be taken: OperationalError" in (done.stderr)
        assert '"WAIT_FOR": ["database"]' in done.stderr
        assert "hunter2" not in done.stderr
        assert "Traceback" not in done.stderr

    def test_an_index_can_be_made_concurrently(
        self, release: Release, on_postgres: dict[str, Any], server: Postgres
    ) -> None:
        """It waits for every snapshot there is: those who wait must have none."""
        release.settings = on_postgres
        first = release.begin("step hold --seconds=120")
        first.until(lambda: release.steps, "the step begun")
        second = release.begin("step second")
        second.says(HELD)
        database = on_postgres["DATABASES"]["default"]["NAME"]
        with server.connect(database) as connection:
            connection.execute("SET statement_timeout = '20s'")
            connection.execute("CREATE TABLE things (id int)")
            connection.execute("CREATE INDEX CONCURRENTLY ON things (id)")
        assert release.steps == ["hold began"]
        first.process.kill()
        assert second.exits(60) == 0


@pytest.mark.parametrize("count", [5])
def test_replicas_that_start_at_once_migrate_once(
    release: Release, settings_of: dict[str, Any], count: int
) -> None:
    """On an empty database: each migration is applied once, and all are ready."""
    release.settings = settings_of
    commands = ["migrate --noinput", "check"]
    started = [
        release.begin(*commands, via=MODULE, WAIT_FOR=["database"])
        for _ in range(count)
    ]
    codes = [each.exits(120) for each in started]
    outputs = [each.output for each in started]
    assert codes == [0] * count, "\n".join(outputs)
    applied = [
        line.partition("Applying ")[2].partition("...")[0]
        for output in outputs
        for line in output.splitlines()
        if "Applying " in line
    ]
    assert len(applied) == len(set(applied))
    assert "auth.0001_initial" in applied
    assert sum("Applying" in output for output in outputs) == 1
    assert sum("No migrations to apply" in output for output in outputs) == count - 1
