"""What a warm start is, when it is given up, and that nothing else differs."""

from __future__ import annotations

import os
import re
import socket
import sys
import urllib.error
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import psutil
import pytest

from django_prodserver.config.context import VARIABLE
from tests.conftest import Starter
from tests.harness import MANAGE, MODULE, PROJECT, Web, lines, running
from tests.servers import BACKENDS, config

pytestmark = pytest.mark.process

RECORDED: dict[str, Any] = {"TEST_APPS": '["proj.recorded.RecordedConfig"]'}
THREADED: dict[str, Any] = {"TEST_APPS": '["proj.threaded.ThreadedConfig"]'}
HOLDING: dict[str, Any] = {"TEST_APPS": '["proj.holding.HoldingConfig"]'}
COLD = "not preloading, because"


def workers(server: Web, count: int) -> list[dict[str, Any]]:
    """Return what each of so many workers says about itself, once all answer."""
    found: dict[int, dict[str, Any]] = {}

    def ask() -> list[dict[str, Any]]:
        # At the same time, or one worker might take them all.
        for about in pool.map(lambda _: server.about(), range(4 * count)):
            found[about["pid"]] = about
        return list(found.values()) if len(found) >= count else []

    with ThreadPoolExecutor(2 * count) as pool:
        answers: list[dict[str, Any]] = server.until(ask, f"answers of {count} workers")
    return answers


def printed(start: Starter, entry: Mapping[str, Any], **env: Any) -> str:
    """Return the native command, as ``--dry-run`` prints it."""
    done = running(
        [*MANAGE, "web", "--dry-run"], env=start.environment({"web": entry}, **env)
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def failed(start: Starter, entry: Mapping[str, Any], **env: Any) -> tuple[int, str]:
    """Return the exit code, and what was said, of a start that comes to nothing."""
    server = start.process(
        [*MANAGE, "web"], start.environment({"web": entry}, **env), kind=Web
    )
    return server.exits(20), server.output


class TestAThread:
    """Threads do not survive a fork, so the application is loaded after it."""

    @pytest.mark.parametrize(
        "server", ["gunicorn-2", "granian-wsgi-2", "granian-asgi-2", "uvicorn-2"]
    )
    def test_makes_it_a_cold_start(
        self, start: Starter, port: int, server: str
    ) -> None:
        web = start.web(config(server, port), port=port, **THREADED)
        for about in workers(web, 2):
            assert "poller" in about["threads"]
        notice = f"prodserver: {COLD} the application has started the thread 'poller'"
        said = web.output.splitlines()
        assert sum(line.endswith(notice) for line in said) == 1

    @pytest.mark.parametrize("server", ["uvicorn", "waitress"])
    def test_matters_to_no_server_that_does_not_fork(
        self, start: Starter, port: int, server: str
    ) -> None:
        web = start.web(config(server, port), port=port, **THREADED)
        assert "poller" in web.about()["threads"]
        assert COLD not in web.output


class TestAnOpenFile:
    """A position in a file, or a conversation, cannot be shared by workers."""

    @pytest.mark.parametrize(
        ("hold", "named"),
        [
            ("socket", "a socket (file descriptor "),
            ("file", f"the file {PROJECT / 'proj' / 'holding.py'}"),
        ],
    )
    def test_makes_it_a_cold_start(
        self, start: Starter, port: int, hold: str, named: str
    ) -> None:
        settings = {"HOLD": hold}
        web = start.web(
            config("gunicorn", port), port=port, settings=settings, **HOLDING
        )
        assert f"{COLD} the application has left open {named}" in web.output

    @pytest.mark.parametrize("hold", ["log", "memory", "garbage"])
    def test_does_not_matter_where_it_can_be_shared_or_nobody_has_it(
        self, start: Starter, port: int, hold: str
    ) -> None:
        settings = {"HOLD": hold}
        # Not manage.py, which has set up the application before the launcher is.
        web = start.web(
            config("gunicorn", port),
            port=port,
            settings=settings,
            via=MODULE,
            **HOLDING,
        )
        assert COLD not in web.output

    @pytest.mark.parametrize("via", [MANAGE, MODULE])
    def test_does_not_matter_where_it_is_djangos_connection(
        self, start: Starter, port: int, via: tuple[str, ...]
    ) -> None:
        """As a query in ``ready()`` leaves it: it is closed before the workers fork."""
        web = start.web(
            config("gunicorn-2", port),
            port=port,
            settings={"HOLD": "database"},
            via=via,
            **HOLDING,
        )
        assert (start.data / "db.sqlite3").exists(), "it has been opened"
        assert COLD not in web.output
        for process in (web.process.pid, *(w["pid"] for w in workers(web, 2))):
            opened = [file.path for file in psutil.Process(process).open_files()]
            assert str(start.data / "db.sqlite3") not in opened

    def test_does_not_matter_where_it_was_handed_down(
        self, start: Starter, port: int, tmp_path: Path
    ) -> None:
        """A socket of systemd's, or a shell's redirection, is the workers' too."""
        env = start.environment({"web": config("gunicorn", port)})
        opened = tmp_path / "opened"
        opened.touch()
        # A shell opens it for reading, and becomes the launcher.
        script = f'exec 7<{opened}; exec "$@"'
        web = start.process(["sh", "-c", script, "sh", *MANAGE, "web"], env, kind=Web)
        web.port = port
        web.wait_until_ready()
        descriptor = Path(f"/proc/{web.process.pid}/fd/7")
        assert descriptor.readlink() == opened
        assert COLD not in web.output


class TestWhatMustComeBeforeTheApplication:
    """The launcher, which has loaded it, gives way to a process that has not."""

    def serves_as_natively(self, web: Web, start: Starter) -> None:
        """manage.py has set the application up once; then each worker has."""
        about = web.about()
        ready = lines(start.data / "ready")
        assert ready == [str(web.process.pid), str(about["pid"])]
        assert about["ppid"] == web.process.pid

    def test_gevent_patches_first(self, start: Starter, port: int) -> None:
        entry = config("gunicorn", port, {"worker-class": "gevent"})
        web = start.web(entry, port=port, **RECORDED)
        self.serves_as_natively(web, start)
        assert "MonkeyPatchWarning" not in web.output

    def test_gevent_in_a_config_file(
        self, start: Starter, port: int, tmp_path: Path
    ) -> None:
        file = tmp_path / "gunicorn.conf.py"
        file.write_text("worker_class = 'gevent'\n")
        entry = config("gunicorn", port, {"config": str(file)})
        web = start.web(entry, port=port, **RECORDED)
        self.serves_as_natively(web, start)

    def test_a_reloader_loads_it_again(self, start: Starter, port: int) -> None:
        entry = config("gunicorn", port, {"reload": True})
        web = start.web(entry, port=port, **RECORDED)
        self.serves_as_natively(web, start)


class TestEnv:
    """ENV is there before anything that reads it."""

    @pytest.mark.parametrize("via", [MANAGE, MODULE], ids=["manage", "-m"])
    def test_it_is_in_the_environment_the_process_began_with(
        self, start: Starter, port: int, via: tuple[str, ...]
    ) -> None:
        """The C library reads it as the interpreter starts."""
        entry = config("gunicorn", port, ENV={"MALLOC_ARENA_MAX": 2})
        web = start.web(entry, port=port, via=via, **RECORDED)
        environ = Path(f"/proc/{web.process.pid}/environ").read_bytes().split(b"\0")
        assert b"MALLOC_ARENA_MAX=2" in environ
        about = web.about()
        assert about["ppid"] == web.process.pid
        assert about["environ"]["MALLOC_ARENA_MAX"] == "2"
        # Nothing of how it came there.
        left = [name for name in about["environ"] if name.startswith("_PROD")]
        assert left == [VARIABLE]
        # Warm: no worker has loaded the application once more.
        assert set(lines(start.data / "ready")) == {str(web.process.pid)}

    def test_it_is_given_once_where_something_changes_it_back(
        self, start: Starter, port: int
    ) -> None:
        """A sitecustomize, or the settings, that set the variable themselves."""
        (start.data / "sitecustomize.py").write_text(
            "import os\nos.environ['GREETING'] = 'no'\n"
        )
        entry = config("waitress", port, ENV={"GREETING": "hello"})
        path = f"{start.data}{os.pathsep}{os.environ.get('PYTHONPATH', '')}"
        web = start.web(entry, port=port, PYTHONPATH=path)
        assert web.about()["environ"]["GREETING"] == "hello"


class TestPrefix:
    """A command that runs the server."""

    def test_it_wraps_the_native_command(
        self, start: Starter, port: int, tmp_path: Path
    ) -> None:
        wrapper = tmp_path / "wrapper"
        wrapper.write_text('#!/bin/sh\nexport WRAPPED="$1"\nshift\nexec "$@"\n')
        wrapper.chmod(0o755)
        entry = config("gunicorn", port, PREFIX=["env", "A=1", str(wrapper), "a b"])
        web = start.web(entry, port=port, via=MODULE, **RECORDED)
        about = web.about()
        assert about["environ"]["A"] == "1"
        assert about["environ"]["WRAPPED"] == "a b"
        assert lines(start.data / "ready") == [str(about["pid"])]
        assert web.stop() == 0

    def test_one_that_is_not_there(self, start: Starter, port: int) -> None:
        entry = config("gunicorn", port, PREFIX=["no-such-wrapper"])
        code, said = failed(start, entry)
        assert code == 78
        assert said.count("\n") == 2
        assert "no-such-wrapper cannot be started" in said
        assert "PREFIX begins with a command" in said


class TestLogging:
    """The user's LOGGING rules the server's loggers, where it does so natively."""

    LOGGERS = (
        "gunicorn.error",
        "gunicorn.access",
        "uvicorn.error",
        "uvicorn.access",
        "_granian",
        "granian.access",
    )
    LOGGING = {
        "version": 1,
        "formatters": {"own": {"format": "OWN %(name)s %(levelname)s %(message)s"}},
        "handlers": {"own": {"class": "logging.StreamHandler", "formatter": "own"}},
        "loggers": {
            name: {"handlers": ["own"], "level": "INFO", "propagate": False}
            for name in LOGGERS
        },
        "root": {"handlers": ["own"], "level": "INFO"},
    }

    def resolve(self, web: Web) -> list[str]:
        """Return which lines a life of the server logged, the numbers left out."""
        web.get("/log")
        web.stop()
        own = [line for line in web.output.splitlines() if line.startswith("OWN ")]
        # Which, and not how often: a busy machine asks twice whether it is ready.
        return sorted({re.sub(r"\d+(\.\d+)*", "N", line) for line in own})

    @pytest.mark.parametrize("disable", [False, True], ids=["keep", "disable"])
    @pytest.mark.parametrize(
        "server", ["gunicorn", "uvicorn", "granian-wsgi", "waitress"]
    )
    def test_it_logs_what_the_native_command_logs(
        self, start: Starter, port: int, server: str, disable: bool
    ) -> None:
        options: dict[str, Any] = {
            "gunicorn": {"access-logfile": "-"},
            "granian-wsgi": {"access-log": True},
        }
        entry = config(server, port, options.get(server))
        logging = {**self.LOGGING, "disable_existing_loggers": disable}
        env = start.environment({"web": entry}, {"LOGGING": logging})
        line = printed(start, entry, settings={"LOGGING": logging})
        native: Web = start.process(["sh", "-c", f"exec env {line}"], env, kind=Web)
        native.port = port
        native.wait_until_ready()
        expected = self.resolve(native)
        assert "OWN proj.urls WARNING a line of the application" in expected
        web = start.web(entry, port=port, settings={"LOGGING": logging})
        assert self.resolve(web) == expected

    @pytest.mark.parametrize("server", ["uvicorn", "granian-wsgi"])
    def test_a_file_of_the_applications_stays_open(
        self, start: Starter, port: int, server: str
    ) -> None:
        """Though these servers configure logging after it was opened."""
        file = start.data / "app.log"
        handler = {"class": "logging.FileHandler", "filename": str(file), "mode": "w"}
        logging = {**self.LOGGING, "handlers": {"own": handler}}
        web = start.web(config(server, port), port=port, settings={"LOGGING": logging})
        web.get("/log")
        assert "a line of the application\n" in file.read_text()

    def test_logging_that_the_settings_configure_themselves(
        self, start: Starter, port: int, tmp_path: Path
    ) -> None:
        """Without Django, as they are imported: LOGGING_CONFIG is None then."""
        (tmp_path / "own.py").write_text(
            "import logging.config\n"
            "from proj.settings import *\n"
            "logging.config.dictConfig(LOGGING)\n"
            "LOGGING_CONFIG = None\n"
        )
        env: dict[str, Any] = {
            "PYTHONPATH": f"{tmp_path}{os.pathsep}{os.environ.get('PYTHONPATH', '')}",
            "DJANGO_SETTINGS_MODULE": "own",
            "settings": {
                "LOGGING": {**self.LOGGING, "disable_existing_loggers": False}
            },
        }
        web = start.web(config("uvicorn", port), port=port, **env)
        line = 'OWN uvicorn.access INFO N:N - "GET /log HTTP/N" N'
        assert line in self.resolve(web)


@pytest.mark.parametrize(
    ("server", "name"), [("uvicorn", "UVICORN"), ("granian-asgi", "GRANIAN")]
)
def test_what_kubernetes_says_of_a_service_is_dropped(
    start: Starter, server: str, name: str
) -> None:
    """Where one bears the server's name, and the port is not said otherwise."""
    file = start.data / "socket"
    entry = config(server, 0, {"uds": str(file)})
    del entry["ARGS"]["port"]
    link = "tcp://10.0.0.1:80"
    links: dict[str, Any] = {f"{name}_PORT": link, f"{name}_PORT_80_TCP": link}
    env = start.environment({"web": entry}, **links)
    web = start.process([*MANAGE, "web"], env)
    with socket.socket(socket.AF_UNIX) as client:
        web.until(lambda: not client.connect_ex(str(file)), "a connection")
    for variable in links:
        assert f"prodserver: ignoring {variable}={link}\n" in web.output


class TestTheServersOwnEnvironment:
    """It means what it means to the native command."""

    @pytest.mark.parametrize(
        ("server", "name", "value"),
        [
            ("gunicorn", "GUNICORN_CMD_ARGS", "--workers 2"),
            ("gunicorn", "WEB_CONCURRENCY", "2"),
            ("granian-wsgi", "GRANIAN_WORKERS", "2"),
            ("uvicorn", "UVICORN_WORKERS", "2"),
            ("uvicorn", "WEB_CONCURRENCY", "2"),
        ],
    )
    def test_it_takes_effect(
        self, start: Starter, port: int, server: str, name: str, value: str
    ) -> None:
        web = start.web(config(server, port), port=port, **{name: value}, **RECORDED)
        assert len(workers(web, 2)) == 2
        # And the start stays a warm one.
        assert lines(start.data / "ready") == [str(web.process.pid)]

    @pytest.mark.parametrize(
        ("server", "default", "name", "value"),
        [
            (
                "gunicorn",
                "graceful-timeout",
                "GUNICORN_CMD_ARGS",
                "--graceful-timeout 7",
            ),
            (
                "granian-wsgi",
                "workers-kill-timeout",
                "GRANIAN_WORKERS_KILL_TIMEOUT",
                "7",
            ),
            (
                "uvicorn",
                "timeout-graceful-shutdown",
                "UVICORN_TIMEOUT_GRACEFUL_SHUTDOWN",
                "7",
            ),
        ],
    )
    def test_a_default_of_ours_yields_to_it(
        self, start: Starter, server: str, default: str, name: str, value: str
    ) -> None:
        entry = config(server, 8000)
        assert f"--{default}=25" in printed(start, entry)
        assert default not in printed(start, entry, **{name: value})

    def test_a_default_of_ours_yields_to_a_config_file(
        self, start: Starter, tmp_path: Path
    ) -> None:
        file = tmp_path / "gunicorn.conf.py"
        file.write_text("graceful_timeout = 7\n")
        entry = config("gunicorn", 8000, {"config": str(file)})
        assert "graceful" not in printed(start, entry)


@pytest.mark.parametrize("options", [("--workers", "3"), ("-w", "3"), ("--workers=3",)])
def test_the_command_line_overrides(
    start: Starter, port: int, options: tuple[str, ...]
) -> None:
    web = start.web(config("gunicorn-1", port), *options, port=port)
    assert len(workers(web, 3)) == 3
    assert len(psutil.Process(web.process.pid).children()) == 3


class TestElsewhere:
    """Started in another working directory than the project's."""

    COMMAND = (sys.executable, str(PROJECT / "manage.py"), "prodserver", "web")

    @pytest.mark.parametrize(
        ("server", "preload"),
        [
            ("gunicorn", True),
            ("uvicorn-2", True),
            ("granian-wsgi", True),
            ("waitress", True),
            ("gunicorn", False),
            ("uvicorn-2", False),
            ("granian-asgi", False),
        ],
    )
    def test_a_server(
        self, start: Starter, port: int, tmp_path: Path, server: str, preload: bool
    ) -> None:
        env = start.environment({"web": config(server, port, PRELOAD=preload)})
        web: Web = start.process(self.COMMAND, env, kind=Web, cwd=tmp_path)
        web.port = port
        web.wait_until_ready()
        assert Path(f"/proc/{web.about()['pid']}/cwd").readlink() == tmp_path

    def test_a_worker(self, start: Starter, tmp_path: Path) -> None:
        start.migrate()
        backend = f"{BACKENDS}.django_tasks.DjangoTasksWorker"
        env = start.environment({"web": {"BACKEND": backend}})
        worker = start.process(self.COMMAND, env, cwd=tmp_path)
        start.enqueue("tasks", "elsewhere")
        worker.until(lambda: start.marks("elsewhere")[1], "the task done")
        assert psutil.Process(worker.process.pid).cwd() == str(tmp_path)
        assert worker.stop() == 0
        assert start.marks("elsewhere") == (1, 1)


class TestABrokenApplication:
    """It is told as the server tells it, and nothing hangs."""

    @pytest.mark.parametrize(
        "server", ["gunicorn", "uvicorn", "uvicorn-2", "granian-wsgi", "waitress"]
    )
    def test_urls_that_cannot_be_imported_are_an_error_of_each_request(
        self, start: Starter, port: int, server: str
    ) -> None:
        settings = {"ROOT_URLCONF": "proj.broken"}
        env = start.environment({"web": config(server, port)}, settings)
        web: Web = start.process([*MANAGE, "web"], env, kind=Web)
        web.port = port

        def status() -> int:
            try:
                web.get("/about", timeout=2)
            except urllib.error.HTTPError as error:
                return error.code
            except OSError:
                return 0
            return 200

        assert web.until(status, "an answer") == 500
        assert f"{COLD} the application fails: RuntimeError" in web.output


def test_call_command_serves(start: Starter, port: int, tmp_path: Path) -> None:
    """A script that calls it becomes the server."""
    script = tmp_path / "serve.py"
    script.write_text(
        "import django\n"
        "from django.core.management import call_command\n"
        "django.setup()\n"
        "call_command('prodserver', 'web', '--workers=2')\n"
    )
    path = f"{PROJECT}{os.pathsep}{os.environ.get('PYTHONPATH', '')}"
    env = start.environment({"web": config("gunicorn", port)}, PYTHONPATH=path)
    web: Web = start.process([sys.executable, str(script)], env, kind=Web)
    web.port = port
    web.wait_until_ready()
    assert {about["ppid"] for about in workers(web, 2)} == {web.process.pid}
    assert web.stop() == 0


@pytest.mark.parametrize("via", [MANAGE, MODULE], ids=["manage", "-m"])
def test_a_backend_of_others_is_started_in_place(
    start: Starter, port: int, via: tuple[str, ...]
) -> None:
    """``start_server`` finds Django set up, and its options as words."""
    entry = {
        "BACKEND": "proj.thirdparty.WsgirefServer",
        "ARGS": {"port": port, "greeting": "hello"},
    }
    web = start.web(entry, "--greeting=bye", port=port, via=via)
    assert web.about()["pid"] == web.process.pid
    assert f"wsgiref with --port={port} --greeting=bye\n" in web.output
