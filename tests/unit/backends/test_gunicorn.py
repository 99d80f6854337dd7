"""What Gunicorn reads beside its command line, as its own parser understands it."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from django.apps import apps

from django_prodserver.backends import elsewhere
from django_prodserver.backends.gunicorn import GunicornServer
from django_prodserver.commands import explain
from django_prodserver.config.argv import value_of
from django_prodserver.config.processes import Process
from django_prodserver.launch.origins import Row
from django_prodserver.launch.plan import Plan, make_plan
from tests.servers import BACKENDS

BACKEND = f"{BACKENDS}.gunicorn.GunicornServer"
#: A user and a group that are not the tests' own.
NOBODY = next(uid for uid in (65534, 65533) if uid != os.getuid())


@pytest.fixture(autouse=True)
def folder(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    names = ("PORT", "PRODSERVER_HOST", "WEB_CONCURRENCY", "GUNICORN_CMD_ARGS")
    for name in names:
        monkeypatch.delenv(name, raising=False)
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def file(folder: Path) -> Path:
    return folder / "gunicorn.conf.py"


@pytest.fixture
def children(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """Record the processes that read a configuration, which still run."""
    started = []
    run = subprocess.run

    def recording_run(*args: Any, **kwargs: Any) -> Any:
        started.append(args)
        return run(*args, **kwargs)

    monkeypatch.setattr(subprocess, "run", recording_run)
    return started


def given(backend: GunicornServer, option: str) -> str | None:
    """Return what we put on the command line for an option."""
    return value_of(option, backend.args, backend.option_table)


def plan(*overrides: str, **config: Any) -> Plan:
    return make_plan(Process("web", {"BACKEND": BACKEND, **config}), overrides)


def reason(**config: Any) -> str:
    """Return why the application is not preloaded."""
    backend = GunicornServer(**config)
    return backend.must_exec(backend.args)


class TestDefaults:
    """Our defaults give way to what the file sets, and only to that."""

    def test_a_comment_sets_nothing(self, file: Path, monkeypatch) -> None:
        monkeypatch.setenv("PRODSERVER_HOST", "0.0.0.0")
        monkeypatch.setenv("PORT", "5000")
        file.write_text("# bind, threads and gevent are set elsewhere\nworkers = 2\n")
        backend = GunicornServer()
        assert given(backend, "bind") == "0.0.0.0:5000"
        assert given(backend, "threads") == "4"
        assert backend.must_exec(backend.args) == ""

    @pytest.mark.parametrize(
        ("line", "option"),
        [
            ("keepalive = 5", "keep-alive"),
            ("loglevel = 'debug'", "log-level"),
            ("graceful_timeout = 7", "graceful-timeout"),
            ("threads = 9", "threads"),
            ("worker_tmp_dir = '.'", "worker-tmp-dir"),
            ("bind = ['127.0.0.1:7000', '[::1]:7000']", "bind"),
            ("logger_class = 'gunicorn.glogging.Logger'", "logger-class"),
            ("logconfig_dict = {'version': 1}", "logger-class"),
            ("logconfig = 'log.ini'", "logger-class"),
            ("control_socket = 'gunicorn.ctl'", "no-control-socket"),
            # Gunicorn's own default, but somebody has written it.
            ("keepalive = 2", "keep-alive"),
        ],
    )
    def test_gives_way_to_the_file(self, file: Path, line: str, option: str) -> None:
        assert given(GunicornServer(), option) is not None
        file.write_text(line)
        assert given(GunicornServer(), option) is None

    def test_gives_way_to_the_variable(self, monkeypatch) -> None:
        monkeypatch.setenv("GUNICORN_CMD_ARGS", "--keep-alive 5 --log-level debug")
        backend = GunicornServer()
        assert given(backend, "keep-alive") is None
        assert given(backend, "log-level") is None
        assert given(backend, "threads") == "4"

    @pytest.mark.parametrize("prefix", ["", "file:"])
    def test_gives_way_to_a_file_of_another_name(self, folder: Path, prefix) -> None:
        (folder / "own.py").write_text("keepalive = 5")
        backend = GunicornServer(ARGS={"config": f"{prefix}own.py"})
        assert given(backend, "keep-alive") is None

    @pytest.mark.parametrize("is_variable", [True, False])
    def test_gives_way_to_a_module(
        self, folder: Path, monkeypatch, is_variable: bool
    ) -> None:
        (folder / "package").mkdir()
        (folder / "package" / "own.py").write_text("bind = '127.0.0.1:7000'")
        args = {} if is_variable else {"config": "python:package.own"}
        if is_variable:
            monkeypatch.setenv("GUNICORN_CMD_ARGS", "--config python:package.own")
        backend = GunicornServer(ARGS=args)
        assert given(backend, "bind") is None
        assert backend.addresses(backend.args) == ("tcp://127.0.0.1:7000",)

    def test_gives_way_to_a_file_on_the_command_line(self, folder: Path) -> None:
        (folder / "own.py").write_text("keepalive = 5")
        assert "--keep-alive=65" in plan().args
        assert "--keep-alive=65" not in plan("-c", "own.py").args

    def test_a_setting_and_args_are_stronger_than_the_file(self, file: Path) -> None:
        file.write_text("keepalive = 5\nbind = '127.0.0.1:7000'")
        backend = GunicornServer(KEEP_ALIVE=9, ARGS={"bind": "127.0.0.1:9000"})
        assert given(backend, "keep-alive") == "9"
        assert backend.addresses(backend.args) == ("tcp://127.0.0.1:9000",)


class TestValues:
    """What Gunicorn will do is known, wherever it is written."""

    def test_variable_is_stronger_than_the_file(self, file: Path, monkeypatch) -> None:
        file.write_text("bind = '127.0.0.1:7000'\nthreads = 2")
        monkeypatch.setenv("GUNICORN_CMD_ARGS", "--bind=127.0.0.1:8001")
        backend = GunicornServer()
        assert backend.addresses(backend.args) == ("tcp://127.0.0.1:8001",)
        assert backend.request_concurrency(backend.args) == 2

    def test_file_has_the_certificate(self, file: Path) -> None:
        file.write_text("certfile = 'c.pem'\nkeyfile = 'k.pem'")
        backend = GunicornServer()
        assert backend.speaks_tls(backend.args)

    def test_file_has_the_worker_class(self, file: Path) -> None:
        file.write_text("worker_class = 'uvicorn_worker.UvicornWorker'")
        backend = GunicornServer()
        assert backend.interface_for(backend.args) == "asgi"
        assert given(backend, "threads") is None
        assert backend.request_concurrency(backend.args) is None
        assert backend.finishes_on(signal.SIGINT, backend.args)

    def test_file_names_a_class_itself(self, file: Path) -> None:
        file.write_text("from gunicorn.workers.sync import SyncWorker as worker_class")
        backend = GunicornServer()
        name = "gunicorn.workers.sync.SyncWorker"
        assert backend.option("worker-class", backend.args) == name

    def test_file_names_trusted_proxies(self, file: Path) -> None:
        file.write_text("forwarded_allow_ips = '10.0.0.1,10.0.0.2'")
        assert GunicornServer().trusted_proxies() >= {"10.0.0.1", "10.0.0.2"}

    def test_file_sees_the_environment_of_the_server(
        self, file: Path, monkeypatch
    ) -> None:
        """Among it PYTHONPATH, from which it may import the project."""
        monkeypatch.setenv("WEB_CONCURRENCY", "auto")
        file.write_text(
            "import os, proj\n"
            "bind = os.environ['HERE']\n"
            "timeout = int(os.environ['WEB_CONCURRENCY']) + 100\n"
        )
        backend = GunicornServer(ENV={"HERE": "127.0.0.1:7000"})
        assert backend.addresses(backend.args) == ("tcp://127.0.0.1:7000",)
        assert int(backend.option("timeout", backend.args)) > 100

    def test_file_may_print(self, file: Path, capfd) -> None:
        file.write_text("import os\nprint('x')\nos.system('echo y')\nthreads = 9")
        backend = GunicornServer()
        assert backend.option("threads", backend.args) == "9"
        assert capfd.readouterr() == ("", "")

    def test_file_changes_nothing_here(self, file: Path) -> None:
        file.write_text("import os\nos.environ['REGION'] = 'eu'\nos.chdir('/')")
        before = Path.cwd()
        backend = GunicornServer()
        backend.must_exec(backend.args)
        assert "REGION" not in os.environ
        assert Path.cwd() == before


class TestUnknown:
    """What Gunicorn itself cannot read is left to its own message."""

    @pytest.mark.parametrize(
        "text",
        ["this is no Python", "raise SystemExit(3)", "threads = 'many'", "1 / 0"],
    )
    def test_broken_file(self, file: Path, capfd, text: str) -> None:
        file.write_text(text)
        backend = GunicornServer()
        assert given(backend, "threads") == "4"
        assert backend.must_exec(backend.args) == ""
        assert not list(backend.check())
        assert capfd.readouterr() == ("", "")

    def test_missing_file(self) -> None:
        assert given(GunicornServer(ARGS={"config": "gone.py"}), "threads") == "4"

    def test_broken_variable(self, monkeypatch) -> None:
        monkeypatch.setenv("GUNICORN_CMD_ARGS", "--bind 'open")
        assert given(GunicornServer(), "bind") == "127.0.0.1:8000"

    def test_endless_file(self, file: Path, monkeypatch) -> None:
        monkeypatch.setattr(elsewhere, "TIMEOUT", 1)
        file.write_text("import time\ntime.sleep(600)")
        assert given(GunicornServer(), "threads") == "4"


class TestReading:
    def test_without_a_file_nothing_is_started(self, children: list[Any]) -> None:
        backend = GunicornServer()
        backend.must_exec(backend.args)
        assert children == []

    def test_a_file_is_read_once(self, file: Path, folder: Path, children) -> None:
        file.write_text(f"open('{folder}/reads', 'a').write('x')")
        for _ in range(2):
            backend = GunicornServer()
            backend.must_exec(backend.args)
            backend.addresses(backend.args)
        assert len(children) == 1
        assert (folder / "reads").read_text() == "x"


class TestMustExec:
    """Why the application is not preloaded."""

    @pytest.mark.parametrize(
        ("text", "expected"),
        [
            ("worker_class = 'gevent'", "gevent patches the standard library"),
            ("worker_class = 'eventlet'", "eventlet patches the standard library"),
            ("reload = True", "--reload must be able to import"),
            ("reload = False", ""),
            ("def post_fork(server, worker): pass", "has a post_fork hook"),
            ("def pre_fork(server, worker): pass", "has a pre_fork hook"),
            ("def when_ready(server): pass", "has a when_ready hook"),
            ("def on_starting(server): pass", ""),
            ("def post_worker_init(worker): pass", ""),
            ("def child_exit(server, worker): pass", ""),
            (f"user = {NOBODY}", "Gunicorn changes to the user "),
            (f"group = {NOBODY}", "Gunicorn changes to the group "),
            (f"user, group = {os.getuid()}, {os.getgid()}", ""),
            # Then Gunicorn does it after it has loaded the application.
            (f"preload_app, user = True, {NOBODY}", ""),
            ("preload_app = True\ndef post_fork(server, worker): pass", ""),
            (
                "from gevent.monkey import patch_all\npatch_all()",
                "gevent patches the standard library",
            ),
        ],
    )
    def test_file(self, file: Path, text: str, expected: str) -> None:
        file.write_text(text)
        found = reason()
        assert expected in found
        assert bool(found) is bool(expected)

    def test_names_the_file_of_the_hook(self, folder: Path) -> None:
        (folder / "own.py").write_text("def post_fork(server, worker): pass")
        found = reason(ARGS={"config": "python:own"})
        assert found.startswith("python:own has a post_fork hook")

    @pytest.mark.parametrize("is_in_file", [True, False])
    def test_own_worker_class_of_gevent(
        self, folder: Path, file: Path, is_in_file: bool
    ) -> None:
        (folder / "own.py").write_text(
            "from gunicorn.workers.ggevent import GeventWorker\n"
            "class Worker(GeventWorker): pass\n"
        )
        if is_in_file:
            file.write_text("worker_class = 'own.Worker'")
        args = {} if is_in_file else {"worker-class": "own.Worker"}
        assert "gevent patches the standard library" in reason(ARGS=args)

    @pytest.mark.parametrize("worker", ["own.Missing", "gone.Worker"])
    def test_own_worker_class_that_is_missing(self, worker: str) -> None:
        """Gunicorn reports it."""
        assert reason(ARGS={"worker-class": worker}) == ""

    @pytest.mark.parametrize("option", ["user", "group"])
    def test_owner_on_the_command_line(self, option: str) -> None:
        assert f"changes to the {option} " in reason(ARGS={option: NOBODY})
        assert reason(ARGS={option: "no-such-name"}) == "", "Gunicorn reports it"

    def test_variable(self, monkeypatch) -> None:
        monkeypatch.setenv("GUNICORN_CMD_ARGS", "-k gevent")
        assert "gevent" in reason()


class TestChanges:
    """What Gunicorn changes before it loads the application."""

    @pytest.mark.parametrize(
        ("text", "expected"),
        [
            ("import os\nos.environ['REGION'] = 'eu'", "gunicorn.conf.py sets REGION"),
            ("raw_env = ['REGION=eu']", "gunicorn.conf.py sets REGION"),
            ("chdir = '/'", "changes to the directory /"),
            # Gunicorn goes back to where it was.
            ("import os\nos.chdir('/')", ""),
            ("pythonpath = '/opt/lib'", "adds /opt/lib to sys.path"),
            ("import sys\nsys.path.insert(0, '/opt/lib')", "adds /opt/lib to sys.path"),
            ("import os\nos.umask(0o077)", "sets the umask"),
            ("workers = 2", ""),
        ],
    )
    def test_file(self, file: Path, monkeypatch, text: str, expected: str) -> None:
        monkeypatch.setenv("REGION", "us")
        file.write_text(text)
        assert apps.ready
        found = reason()
        assert expected in found
        assert bool(found) is bool(expected)
        # With the "prodserver" command, only the settings are imported before.
        monkeypatch.setattr(apps, "ready", False)
        assert reason() == (found if "REGION" in expected else "")

    def test_options(self, monkeypatch) -> None:
        assert reason(ARGS={"env": ["REGION=eu"]}) == ""
        monkeypatch.setenv("REGION", "us")
        assert "--env sets REGION" in reason(ARGS={"env": ["REGION=eu"]})
        assert "the directory /" in reason(ARGS={"chdir": "/"})
        assert "/opt/lib" in reason(ARGS={"pythonpath": "/opt/lib"})

    def test_new_variables_can_be_set_before(self, file: Path, monkeypatch) -> None:
        """So that the settings find them; what is changed is left to Gunicorn."""
        monkeypatch.setenv("OLD", "a")
        file.write_text(
            "import os\nos.environ['OLD'] += 'b'\nos.environ.setdefault('NEW', 'c')\n"
            "raw_env = ['RAW=d']"
        )
        backend = GunicornServer()
        variables = backend.server_environment(backend.args, os.environ)
        assert variables == {"NEW": "c", "RAW": "d"}
        assert "gunicorn.conf.py sets OLD" in reason()
        monkeypatch.delenv("OLD")
        file.write_text("raw_env = ['RAW=d', 'OLD=b']")
        assert reason(ENV={"X": "y"}) == ""

    def test_variables_of_the_command_line_replace_those_of_the_file(
        self, file: Path
    ) -> None:
        """Gunicorn has one list of them."""
        file.write_text("raw_env = ['TIER=gold']")
        backend = GunicornServer(ARGS={"env": ["REGION=eu"]})
        variables = backend.server_environment(backend.args, os.environ)
        assert variables == {"REGION": "eu"}

    def test_what_is_so_already_is_no_change(self, monkeypatch) -> None:
        monkeypatch.setenv("REGION", "eu")
        args = {"env": ["REGION=eu"], "chdir": ".", "pythonpath": sys.path[-1]}
        assert reason(ARGS=args) == ""


class TestExplain:
    ORIGINS = ("gunicorn.conf.py", "GUNICORN_CMD_ARGS")

    def rows(self, *overrides: str, **config: Any) -> dict[str, Row]:
        return {row.option: row for row in plan(*overrides, **config).rows}

    def test_origins(self, file: Path, monkeypatch) -> None:
        file.write_text("keepalive = 5\nbind = ['a:1', 'b:2']\nreload = False")
        monkeypatch.setenv("GUNICORN_CMD_ARGS", "--max-requests 7 --spew")
        found = [row for row in plan().rows if row.origin in self.ORIGINS]
        assert sorted(found) == [
            Row("--bind", "a:1", "gunicorn.conf.py"),
            Row("--bind", "b:2", "gunicorn.conf.py"),
            Row("--keep-alive", "5", "gunicorn.conf.py"),
            Row("--max-requests", "7", "GUNICORN_CMD_ARGS"),
            Row("--reload", "off", "gunicorn.conf.py"),
            Row("--spew", "", "GUNICORN_CMD_ARGS"),
        ]
        names = [row.option for row in plan().rows]
        assert names.count("--keep-alive") == 1
        assert "GUNICORN_CMD_ARGS" not in names

    def test_secrets_are_redacted(self, file: Path, monkeypatch) -> None:
        file.write_text("raw_env = ['REGION=eu', 'DB_PASSWORD=hunter2']")
        monkeypatch.setenv("GUNICORN_CMD_ARGS", "--name http://a:hunter2@b")
        text = explain.as_text(plan())
        assert "REGION=eu" in text
        assert "DB_PASSWORD=***" in text
        assert "hunter2" not in text

    def test_what_an_option_replaces_is_not_listed(self, file: Path) -> None:
        file.write_text("keepalive = 5\nthreads = 9")
        rows = self.rows("--threads=3", KEEP_ALIVE=9)
        assert rows["--keep-alive"].origin == "KEEP_ALIVE"
        assert rows["--threads"].origin == "command line"
        names = [row.option for row in plan("--threads=3", KEEP_ALIVE=9).rows]
        assert names.count("--keep-alive") == names.count("--threads") == 1

    def test_file_has_the_name_that_the_user_gives_it(self, folder: Path) -> None:
        (folder / "own.py").write_text("keepalive = 5")
        for name in ("own.py", "./own.py", "python:own", f"file:{folder}/own.py"):
            assert self.rows(ARGS={"config": name})["--keep-alive"].origin == name


def test_names_of_gunicorns_settings_are_spellings_of_their_options() -> None:
    """So that a setting of the file is recognised as the option."""
    from gunicorn.config import KNOWN_SETTINGS

    table = GunicornServer().option_table
    unknown = [
        setting.name
        for setting in KNOWN_SETTINGS
        if setting.cli and not table.knows(setting.name)
    ]
    assert unknown == []


def test_script_imports_nothing_of_ours() -> None:
    """Loading Django would take longer than reading the file."""
    text = GunicornServer.reader.read_text()
    assert not re.search(r"import.*(django|prodserver)", text)
