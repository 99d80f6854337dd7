"""Preloading the application: when it is disabled, and that nothing else changes."""

from __future__ import annotations

import json
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
from tests.harness import (
    MANAGE,
    MODULE,
    PROJECT,
    SCRIPT,
    Web,
    children,
    lines,
    running,
)
from tests.servers import BACKENDS, config

pytestmark = pytest.mark.process

RECORDED: dict[str, Any] = {"TEST_APPS": '["proj.recorded.RecordedConfig"]'}
THREADED: dict[str, Any] = {"TEST_APPS": '["proj.threaded.ThreadedConfig"]'}
HOLDING: dict[str, Any] = {"TEST_APPS": '["proj.holding.HoldingConfig"]'}
NOT_PRELOADING = "not preloading, because"


def workers(server: Web, count: int) -> list[dict[str, Any]]:
    """Wait until so many workers have answered; return the ``/about`` of each."""
    found: dict[int, dict[str, Any]] = {}

    def all_answered() -> list[dict[str, Any]]:
        # In parallel, or a single worker could answer all of them.
        for about in pool.map(lambda _: server.about(), range(4 * count)):
            found[about["pid"]] = about
        return list(found.values()) if len(found) >= count else []

    with ThreadPoolExecutor(2 * count) as pool:
        answers: list[dict[str, Any]] = server.until(
            all_answered, f"answers of {count} workers"
        )
    return answers


def printed(start: Starter, entry: Mapping[str, Any], **env: Any) -> str:
    """Return the native command that ``--dry-run`` prints."""
    done = running(
        [*MANAGE, "web", "--dry-run"], env=start.environment({"web": entry}, **env)
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def run_failing(
    start: Starter, entry: Mapping[str, Any], **env: Any
) -> tuple[int, str]:
    """Start a process that fails; return its exit code and its output."""
    server = start.process(
        [*MANAGE, "web"], start.environment({"web": entry}, **env), kind=Web
    )
    return server.exits(20), server.output


class TestThread:
    """Threads do not survive a fork, so the application is loaded after it."""

    @pytest.mark.parametrize(
        "server", ["gunicorn-2", "granian-wsgi-2", "granian-asgi-2", "uvicorn-2"]
    )
    def test_disables_preload(self, start: Starter, port: int, server: str) -> None:
        web = start.web(config(server, port), port=port, **THREADED)
        for about in workers(web, 2):
            assert "poller" in about["threads"]
        reason = "the application has started the thread 'poller' of proj.threaded"
        notice = f"prodserver: {NOT_PRELOADING} {reason}"
        output = web.output.splitlines()
        assert sum(notice in line for line in output) == 1

    @pytest.mark.parametrize("server", ["uvicorn", "waitress"])
    def test_does_not_matter_without_a_fork(
        self, start: Starter, port: int, server: str
    ) -> None:
        web = start.web(config(server, port), port=port, **THREADED)
        assert "poller" in web.about()["threads"]
        assert NOT_PRELOADING not in web.output


class TestOpenFile:
    """A file position or a connection cannot be shared by workers."""

    @pytest.mark.parametrize(
        ("hold", "named"),
        [
            ("socket", "a socket (file descriptor "),
            ("file", f"the file {PROJECT / 'proj' / 'holding.py'}"),
        ],
    )
    def test_disables_preload(
        self, start: Starter, port: int, hold: str, named: str
    ) -> None:
        settings = {"HOLD": hold}
        web = start.web(
            config("gunicorn", port), port=port, settings=settings, **HOLDING
        )
        assert f"{NOT_PRELOADING} the application has left open {named}" in web.output

    @pytest.mark.parametrize("hold", ["log", "memory", "garbage"])
    def test_shareable_or_unreferenced_files_do_not_matter(
        self, start: Starter, port: int, hold: str
    ) -> None:
        settings = {"HOLD": hold}
        # Not manage.py, which sets up the application before the launcher runs.
        web = start.web(
            config("gunicorn", port),
            port=port,
            settings=settings,
            via=MODULE,
            **HOLDING,
        )
        assert NOT_PRELOADING not in web.output

    @pytest.mark.parametrize("via", [MANAGE, MODULE])
    def test_database_connections_of_django_do_not_matter(
        self, start: Starter, port: int, via: tuple[str, ...]
    ) -> None:
        """A connection that ``ready()`` opened is closed before workers are forked."""
        web = start.web(
            config("gunicorn-2", port),
            port=port,
            settings={"HOLD": "database"},
            via=via,
            **HOLDING,
        )
        assert (start.data / "db.sqlite3").exists(), "the database has been opened"
        assert NOT_PRELOADING not in web.output
        for process in (web.process.pid, *(w["pid"] for w in workers(web, 2))):
            opened = [file.path for file in psutil.Process(process).open_files()]
            assert str(start.data / "db.sqlite3") not in opened

    def test_inherited_files_do_not_matter(
        self, start: Starter, port: int, tmp_path: Path
    ) -> None:
        """Such as a socket of systemd or a shell's redirection."""
        env = start.environment({"web": config("gunicorn", port)})
        opened = tmp_path / "opened"
        opened.touch()
        # The shell opens the file for reading, then execs the launcher.
        script = f'exec 7<{opened}; exec "$@"'
        web = start.process(["sh", "-c", script, "sh", *MANAGE, "web"], env, kind=Web)
        web.port = port
        web.wait_until_ready()
        descriptor = Path(f"/proc/{web.process.pid}/fd/7")
        assert descriptor.readlink() == opened
        assert NOT_PRELOADING not in web.output


class TestExecInsteadOfPreload:
    """The launcher execs the server if something must run before the application."""

    def check_loaded_once_more_by_the_worker(self, web: Web, start: Starter) -> None:
        """Check that manage.py loaded the application once, and then the worker."""
        about = web.about()
        ready = lines(start.data / "ready")
        assert ready == [str(web.process.pid), str(about["pid"])]
        assert about["ppid"] == web.process.pid

    def test_gevent_option(self, start: Starter, port: int) -> None:
        entry = config("gunicorn", port, {"worker-class": "gevent"})
        web = start.web(entry, port=port, **RECORDED)
        self.check_loaded_once_more_by_the_worker(web, start)
        assert "MonkeyPatchWarning" not in web.output

    def test_gevent_in_a_configuration_file(
        self, start: Starter, port: int, tmp_path: Path
    ) -> None:
        file = tmp_path / "gunicorn.conf.py"
        file.write_text("worker_class = 'gevent'\n")
        entry = config("gunicorn", port, {"config": str(file)})
        web = start.web(entry, port=port, **RECORDED)
        self.check_loaded_once_more_by_the_worker(web, start)

    def test_reload_option(self, start: Starter, port: int) -> None:
        entry = config("gunicorn", port, {"reload": True})
        web = start.web(entry, port=port, **RECORDED)
        self.check_loaded_once_more_by_the_worker(web, start)


class TestEnv:
    """ENV is set before anything reads it."""

    @pytest.mark.parametrize("via", [MANAGE, MODULE], ids=["manage", "-m"])
    def test_is_in_the_initial_environment(
        self, start: Starter, port: int, via: tuple[str, ...]
    ) -> None:
        """The C library reads variables as early as the interpreter's start."""
        entry = config("gunicorn", port, ENV={"MALLOC_ARENA_MAX": 2})
        web = start.web(entry, port=port, via=via, **RECORDED)
        environ = Path(f"/proc/{web.process.pid}/environ").read_bytes().split(b"\0")
        assert b"MALLOC_ARENA_MAX=2" in environ
        about = web.about()
        assert about["ppid"] == web.process.pid
        assert about["environ"]["MALLOC_ARENA_MAX"] == "2"
        # No variable of the restart is left.
        left = [name for name in about["environ"] if name.startswith("_PROD")]
        assert left == [VARIABLE]
        # Preloaded: no worker has loaded the application again.
        assert set(lines(start.data / "ready")) == {str(web.process.pid)}

    def test_restarts_only_once_if_a_variable_is_changed_back(
        self, start: Starter, port: int
    ) -> None:
        """Such as by a sitecustomize or by the settings."""
        (start.data / "sitecustomize.py").write_text(
            "import os\nos.environ['GREETING'] = 'no'\n"
        )
        entry = config("waitress", port, ENV={"GREETING": "hello"})
        path = f"{start.data}{os.pathsep}{os.environ.get('PYTHONPATH', '')}"
        web = start.web(entry, port=port, PYTHONPATH=path)
        assert web.about()["environ"]["GREETING"] == "hello"


class TestEnvironmentFile:
    """What the server sets before it loads the application, the settings find."""

    @pytest.mark.parametrize(
        ("server", "option"), [("uvicorn", "env-file"), ("granian-asgi", "env-files")]
    )
    @pytest.mark.parametrize("via", [SCRIPT, MANAGE], ids=["prodserver", "manage"])
    def test_settings_find_its_variables(
        self, start: Starter, port: int, server: str, option: str, via: tuple[str, ...]
    ) -> None:
        file = start.data / ".env"
        file.write_text("REGION=eu\nGREETING=file\n")
        (start.data / "early.py").write_text(
            "import os\n"
            "from proj.settings import *\n"
            "with open(DATA / 'regions', 'a') as file:\n"
            "    print(os.environ.get('REGION'), file=file)\n"
        )
        entry = config(server, port, {option: str(file)}, ENV={"GREETING": "hello"})
        web = start.web(
            entry,
            port=port,
            via=via,
            PYTHONPATH=str(start.data),
            DJANGO_SETTINGS_MODULE="early",
        )
        environ = web.about()["environ"]
        assert environ["REGION"] == "eu"
        assert environ["GREETING"] == "hello"  # what is set is stronger
        assert lines(start.data / "regions") == ["None", "eu"]


class TestPrefix:
    """PREFIX: a command that runs the server."""

    def test_wraps_the_native_command(
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

    def test_missing_command(self, start: Starter, port: int) -> None:
        entry = config("gunicorn", port, PREFIX=["no-such-wrapper"])
        code, output = run_failing(start, entry)
        assert code == 78
        assert output.count("\n") == 2
        assert "no-such-wrapper cannot be started" in output
        assert "PREFIX starts with a command" in output


class TestLogging:
    """LOGGING configures the server's loggers as with the native command."""

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

    def logged_lines(self, web: Web) -> list[str]:
        """Stop the server; return its distinct log lines with numbers replaced."""
        web.get("/log")
        web.stop()
        own = [line for line in web.output.splitlines() if line.startswith("OWN ")]
        # Distinct: on a busy machine, waiting for readiness takes more requests.
        return sorted({re.sub(r"\d+(\.\d+)*", "N", line) for line in own})

    @pytest.mark.parametrize("disable", [False, True], ids=["keep", "disable"])
    @pytest.mark.parametrize(
        "server", ["gunicorn", "uvicorn", "granian-wsgi", "waitress"]
    )
    def test_logs_what_the_native_command_logs(
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
        expected = self.logged_lines(native)
        assert "OWN proj.urls WARNING a line of the application" in expected
        web = start.web(entry, port=port, settings={"LOGGING": logging})
        assert self.logged_lines(web) == expected

    @pytest.mark.parametrize("server", ["uvicorn", "granian-wsgi"])
    def test_log_file_of_the_application_stays_open(
        self, start: Starter, port: int, server: str
    ) -> None:
        """Although these servers configure logging after the file was opened."""
        file = start.data / "app.log"
        handler = {"class": "logging.FileHandler", "filename": str(file), "mode": "w"}
        logging = {**self.LOGGING, "handlers": {"own": handler}}
        web = start.web(config(server, port), port=port, settings={"LOGGING": logging})
        web.get("/log")
        assert "a line of the application\n" in file.read_text()

    def test_logging_configured_by_the_settings_module(
        self, start: Starter, port: int, tmp_path: Path
    ) -> None:
        """With LOGGING_CONFIG = None, at import and without Django."""
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
        assert line in self.logged_lines(web)


@pytest.mark.parametrize(
    ("server", "name"), [("uvicorn", "UVICORN"), ("granian-asgi", "GRANIAN")]
)
def test_service_variables_of_kubernetes_are_ignored(
    start: Starter, server: str, name: str
) -> None:
    """A service with the server's name sets variables like the server's options."""
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


class TestServerEnvironmentVariables:
    """They mean the same as for the native command."""

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
    def test_takes_effect(
        self, start: Starter, port: int, server: str, name: str, value: str
    ) -> None:
        web = start.web(config(server, port), port=port, **{name: value}, **RECORDED)
        assert len(workers(web, 2)) == 2
        # And the application is still preloaded.
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
    def test_overrides_our_default(
        self, start: Starter, server: str, default: str, name: str, value: str
    ) -> None:
        entry = config(server, 8000)
        assert f"--{default}=25" in printed(start, entry)
        assert default not in printed(start, entry, **{name: value})

    def test_configuration_file_overrides_our_default(
        self, start: Starter, tmp_path: Path
    ) -> None:
        file = tmp_path / "gunicorn.conf.py"
        file.write_text("graceful_timeout = 7\n")
        entry = config("gunicorn", 8000, {"config": str(file)})
        assert "graceful" not in printed(start, entry)


@pytest.mark.parametrize("options", [("--workers", "3"), ("-w", "3"), ("--workers=3",)])
def test_command_line_overrides_settings(
    start: Starter, port: int, options: tuple[str, ...]
) -> None:
    web = start.web(config("gunicorn-1", port), *options, port=port)
    assert len(workers(web, 3)) == 3
    assert len(children(web.process.pid)) == 3


class TestOtherWorkingDirectory:
    """Start in a working directory other than the project's."""

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


class TestBrokenApplication:
    """The server reports the error, and nothing hangs."""

    @pytest.mark.parametrize(
        "server", ["gunicorn", "uvicorn", "uvicorn-2", "granian-wsgi", "waitress"]
    )
    def test_broken_urls_fail_each_request(
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
        assert f"{NOT_PRELOADING} the application fails: RuntimeError" in web.output


def test_call_command_serves(start: Starter, port: int, tmp_path: Path) -> None:
    """The process of a script that calls the command is replaced by the server."""
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
def test_third_party_backend_runs_in_the_same_process(
    start: Starter, port: int, via: tuple[str, ...]
) -> None:
    """``start_server`` is called after django.setup(), with options as words."""
    entry = {
        "BACKEND": "proj.thirdparty.WsgirefServer",
        "ARGS": {"port": port, "greeting": "hello"},
    }
    web = start.web(entry, "--greeting=bye", port=port, via=via)
    assert web.about()["pid"] == web.process.pid
    assert f"wsgiref with --port={port} --greeting=bye\n" in web.output


class TestLoopbackAddressInAContainer:
    """The probe would say that it is ready, and nobody else could reach it."""

    WARNS: Mapping[str, Any] = {"SILENCED_SYSTEM_CHECKS": []}
    MESSAGE = "nothing outside this container can reach tcp://127.0.0.1:"

    @pytest.mark.parametrize(
        ("server", "keys"),
        [("gunicorn", {}), ("uvicorn", {"PRELOAD": False}), ("waitress", {})],
    )
    def test_is_warned_of(
        self, start: Starter, port: int, server: str, keys: dict[str, Any]
    ) -> None:
        entry = config(server, port, **keys)
        web = start.web(entry, port=port, settings=self.WARNS, container="podman")
        (line,) = [line for line in web.output.splitlines() if self.MESSAGE in line]
        assert " warning " in line
        assert f'{port}: write "BIND": "0.0.0.0:8000", or set PRODSERVER_HOST' in line
        assert "(prodserver.W004)" in line
        web.stop()

    def test_is_fine_if_the_warning_is_silenced(
        self, start: Starter, port: int
    ) -> None:
        web = start.web(config("gunicorn", port), port=port, container="podman")
        assert self.MESSAGE not in web.output
        web.stop()

    def test_does_not_concern_other_addresses(self, start: Starter, port: int) -> None:
        entry = config("gunicorn", port, {"bind": f"0.0.0.0:{port}"})
        web = start.web(entry, port=port, settings=self.WARNS, container="podman")
        assert "can reach" not in web.output
        web.stop()


class TestStartTimeout:
    @pytest.mark.parametrize("server", ["gunicorn-2", "waitress"])
    def test_an_application_that_hangs_ends_the_start(
        self, start: Starter, port: int, server: str
    ) -> None:
        entry = config(server, port, START_TIMEOUT=5, LOG_FORMAT="json")
        settings = {"WSGI_APPLICATION": "proj.hanging.application"}
        web = start.process(
            [*MODULE, "web"], start.environment({"web": entry}, settings)
        )
        assert web.exits() == 69
        lines = [json.loads(line)["message"] for line in web.output.splitlines()]
        message = "The application did not load within 5 s (START_TIMEOUT)."
        assert any(message in line for line in lines), lines
        where = [line for line in lines if "proj/hanging.py" in line]
        assert "in connect" in where[-1]

    def test_it_does_not_change_a_start_in_time(
        self, start: Starter, port: int
    ) -> None:
        entry = config("gunicorn-2", port, START_TIMEOUT=60)
        web = start.web(entry, port=port)
        assert "not preloading" not in web.output
        assert "START_TIMEOUT" not in web.about()["threads"]
        assert web.stop() == 0
