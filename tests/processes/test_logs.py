"""The log in real processes; what holds for every backend is in backends/."""

from __future__ import annotations

import contextlib
import fcntl
import os
import signal
import subprocess
import urllib.error
import urllib.request
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from django_prodserver.config.context import VARIABLE, Context
from tests import schema, servers
from tests.backends.sites import ACCESS, log_records, matching
from tests.conftest import Starter
from tests.harness import MANAGE, PROJECT, SCRIPT, Web, running, wait_for

pytestmark = pytest.mark.process

SETTINGS: dict[str, Any] = {
    "ROOT_URLCONF": "proj.logged",
    "MIDDLEWARE": ["django_prodserver.health.middleware.HealthMiddleware"],
}


def ask(web: Web, path: str, **headers: str) -> tuple[int, str | None]:
    """Return an answer's status and its request id."""
    url = f"http://127.0.0.1:{web.port}{path}"
    request = urllib.request.Request(url, headers=headers)
    try:
        with urllib.request.urlopen(request, timeout=30) as answer:
            answer.read()
            return answer.status, answer.headers["X-Request-ID"]
    except urllib.error.HTTPError as error:
        error.close()
        return error.code, error.headers["X-Request-ID"]


def test_no_access_log_leaves_the_ids(start: Starter, port: int) -> None:
    entry = servers.config("gunicorn", port, ACCESS_LOG=False)
    web = start.web(entry, port=port, via=SCRIPT, settings=SETTINGS)
    assert ask(web, "/noted?n=1", **{"X-Request-ID": "ab-1"}) == (200, "ab-1")
    web.stop()
    assert "begins 1 request_id=ab-1" in web.output
    assert ACCESS not in web.output


class TestTheUsersLogging:
    """LOGGING stands where it says something."""

    OWN: Mapping[str, Any] = {
        "version": 1,
        "disable_existing_loggers": False,
        "formatters": {"own": {"format": "OWN %(name)s %(levelname)s %(message)s"}},
        "handlers": {"own": {"class": "logging.StreamHandler", "formatter": "own"}},
    }

    def life(self, start: Starter, port: int, server: str, **logging: Any) -> Web:
        """Return a server that has answered one request, and is stopped."""
        settings = {**SETTINGS, "LOGGING": {**self.OWN, **logging}}
        entry = servers.config(server, port, LOG_FORMAT="json")
        web = start.web(entry, port=port, via=SCRIPT, settings=settings)
        assert ask(web, "/log", **{"X-Request-ID": "ab-1"}) == (200, "ab-1")
        assert ask(web, "/failing")[0] == 500
        web.stop()
        return web

    def test_a_logger_with_a_handler_writes_a_line_once(
        self, start: Starter, port: int
    ) -> None:
        """In the form of LOG_FORMAT, which is written."""
        loggers = {"proj": {"handlers": ["own"], "level": "INFO"}}
        web = self.life(start, port, "gunicorn", loggers=loggers)
        found = log_records(web)
        assert matching(found, logger=ACCESS, request_id="ab-1")
        assert len(matching(found, message="a line of the application")) == 1

    def test_a_file_for_the_application_leaves_the_rest_on_stdout(
        self, start: Starter, port: int
    ) -> None:
        file = start.data / "app.log"
        handler = {
            "class": "logging.FileHandler",
            "filename": str(file),
            "formatter": "own",
        }
        root = {"handlers": ["own"], "level": "INFO"}
        web = self.life(start, port, "gunicorn", handlers={"own": handler}, root=root)
        assert "OWN proj.urls WARNING a line of the application\n" in file.read_text()
        found = log_records(web)
        assert matching(found, logger=ACCESS, request_id="ab-1")
        assert matching(found, logger="gunicorn.error")
        assert not matching(found, logger="proj.urls")

    def test_the_root_loggers_level_is_that_of_requests(
        self, start: Starter, port: int
    ) -> None:
        web = self.life(start, port, "gunicorn", root={"level": "ERROR"})
        found = log_records(web)
        assert matching(found, logger="gunicorn.error")
        assert not matching(found, logger="proj.urls")
        assert not matching(found, logger=ACCESS)

    def test_a_level_of_the_access_logger_stands(
        self, start: Starter, port: int
    ) -> None:
        loggers = {ACCESS: {"level": "INFO"}}
        root = {"level": "ERROR"}
        web = self.life(start, port, "waitress", loggers=loggers, root=root)
        assert matching(log_records(web), logger=ACCESS, request_id="ab-1")

    @pytest.mark.parametrize("via", [SCRIPT, MANAGE], ids=["script", "manage.py"])
    def test_the_launcher_and_a_parent_without_the_application_write_its_form(
        self, start: Starter, port: int, via: list[str]
    ) -> None:
        """Gunicorn's parent does not load the settings if nothing is preloaded."""
        root = {"handlers": ["own"], "level": "INFO"}
        settings = {**SETTINGS, "LOGGING": {**self.OWN, "root": root}}
        entry = servers.config("gunicorn", port, WORKERS="auto", PRELOAD=False)
        web = start.web(entry, port=port, via=via, settings=settings)
        assert ask(web, "/log")[0] == 200
        web.stop()
        lines = web.output.splitlines()
        assert [line for line in lines if not line.startswith("OWN ")] == []
        assert any(line.startswith("OWN prodserver INFO WORKERS is ") for line in lines)
        assert "OWN gunicorn.error INFO Shutting down: Master" in lines

    def test_loggers_that_are_disabled_by_default(
        self, start: Starter, port: int
    ) -> None:
        """Django's are; ours and the server's are not. prodserver.W012 says so."""
        web = self.life(start, port, "waitress", disable_existing_loggers=True)
        found = log_records(web)
        assert matching(found, logger=ACCESS, request_id="ab-1")
        assert matching(found, logger="proj.urls")
        assert not matching(found, logger="django.request")
        assert matching(found, logger="waitress")
        web = self.life(start, port, "waitress")
        found = log_records(web)
        assert matching(found, logger="django.request")
        assert matching(found, logger="waitress")

    def test_native_is_the_servers_own(self, start: Starter, port: int) -> None:
        entry = servers.config("uvicorn", port, LOG_FORMAT="native")
        web = start.web(entry, port=port, via=SCRIPT, settings=SETTINGS)
        assert ask(web, "/log") == (200, None)
        web.stop()
        assert '- "GET /log HTTP/1.1" 200 OK' in web.output
        assert ACCESS not in web.output


@pytest.mark.parametrize(
    ("backend", "ready"),
    [
        ("django_tasks.DjangoTasksWorker", "OWN django_tasks_db INFO Starting worker"),
        ("django_q2.DjangoQ2Worker", "running."),
        ("rq.RQWorker", "Listening on"),
        ("huey.HueyConsumer", "consumer started"),
        ("dramatiq.DramatiqWorker", "is ready for action"),
    ],
    ids=["db_worker", "qcluster", "rqworker", "huey", "dramatiq"],
)
def test_a_worker_whose_command_applies_logging_again(
    start: Starter, redis_url: str, backend: str, ready: str
) -> None:
    """django-admin does, and by default disables the loggers that there are."""
    logging = {
        **TestTheUsersLogging.OWN,
        "disable_existing_loggers": True,
        "root": {"handlers": ["own"], "level": "INFO"},
    }
    cluster = {"name": "test", "orm": "default", "timeout": 60, "retry": 90}
    start.migrate()
    worker = start.worker(
        {"BACKEND": f"{servers.BACKENDS}.{backend}"},
        settings={"LOGGING": logging, "Q_CLUSTER": cluster},
        TEST_REDIS_URL=redis_url,
    )
    worker.says(ready)
    assert worker.stop() == 0
    lines = worker.output.splitlines()
    if backend == "huey.HueyConsumer":
        # One of its messages is a list of tasks, a line for each.
        lines = [line for line in lines if not line.startswith("+ ")]
    if backend == "dramatiq.DramatiqWorker":
        # Its command prints the modules with tasks, and what it runs.
        lines = [line for line in lines if line and not line.startswith(" * ")]
    assert not [line for line in lines if not line.startswith("OWN ")], worker.output


class TestTheLauncher:
    """What is said before there is a server."""

    def test_an_error_of_the_settings(self, start: Starter) -> None:
        entry = {"BACKEND": "nosuch.Backend", "LOG_FORMAT": "json"}
        for via in (SCRIPT, MANAGE):
            done = start.command(
                "web", via=via, processes={"web": entry}, settings=SETTINGS
            )
            assert done.returncode == 78
            assert done.stderr == ""
            (told,) = map(schema.line, done.stdout.splitlines())
            assert told["level"] == "error"
            assert told["logger"] == "prodserver"
            assert "nosuch" in told["message"]

    def test_an_unknown_process(self, start: Starter) -> None:
        done = start.command("wbe", via=SCRIPT, PRODSERVER_LOG_FORMAT="json")
        assert done.returncode == 78
        (told,) = map(schema.line, done.stdout.splitlines())
        assert "'wbe'" in told["message"]
        assert "Did you mean 'web'?" in told["message"]

    def test_an_error_of_the_server(self, start: Starter, port: int) -> None:
        """What it prints before it loads the application has the form, too."""
        entry = servers.config("gunicorn", port, {"no-such-option": 1})
        env = {"PRODSERVER_LOG_FORMAT": "json"}
        done = start.command("web", via=SCRIPT, processes={"web": entry}, **env)
        assert done.returncode == 2
        assert done.stderr == ""
        told = [schema.line(text)["message"] for text in done.stdout.splitlines()]
        assert any("no-such-option" in message for message in told)

    @pytest.mark.parametrize("key", ["", "native"])
    def test_what_the_settings_print(
        self, start: Starter, port: int, tmp_path: Path, key: str
    ) -> None:
        """It has the variable's form, and what follows the key's, if there is one."""
        text = "from proj.settings import *\nprint('from the settings')\n"
        text += "import logging\nlogging.basicConfig(format='OWN %(message)s')\n"
        text += "logging.warning('from the settings')\n"
        (tmp_path / "chatty.py").write_text(text)
        keys: dict[str, Any] = {"LOG_FORMAT": key} if key else {}
        web = start.web(
            servers.config("waitress", port, **keys),
            port=port,
            via=SCRIPT,
            DJANGO_SETTINGS_MODULE="chatty",
            PYTHONPATH=str(tmp_path),
            PRODSERVER_LOG_FORMAT="json",
        )
        web.stop()
        printed, logged, *rest = web.output.splitlines()
        for told, logger in ((printed, "stdout"), (logged, "root")):
            record = schema.line(told)
            assert record["message"] == "from the settings"
            assert (record["logger"], record["process"]) == (logger, "web")
        assert rest
        assert all(line.startswith("{") is not (key == "native") for line in rest), rest

    def test_what_a_process_runs_writes_as_it_always_does(
        self, start: Starter, port: int
    ) -> None:
        """Its standard output may be data: the variable is for one command."""
        entry = servers.config("gunicorn", port, LOG_FORMAT="json")
        env = start.environment({"web": entry}, SETTINGS)
        context = Context(process="web", command="gunicorn", log_format="json")
        env[VARIABLE] = context.encode()
        done = running([MANAGE[0], "manage.py", "diffsettings"], env=env)
        assert "\nROOT_URLCONF = 'proj.logged'" in done.stdout
        assert "{" not in done.stdout[:1]


def test_lines_stay_whole_in_a_pipe_that_is_full(start: Starter) -> None:
    """Of several processes that write more than a pipe takes at once."""
    program = (
        "import os, logging\n"
        "from django_prodserver.logs import output\n"
        "from django_prodserver.logs.handlers import StdoutHandler\n"
        # The machine may be so busy that the test reads late.
        "output.PATIENCE = 60\n"
        "logging.root.addHandler(StdoutHandler())\n"
        "pids = []\n"
        "for number in range(4):\n"
        "    if (pid := os.fork()) == 0:\n"
        "        for _ in range(60):\n"
        "            logging.warning('%s', str(number) * 9000)\n"
        "            logging.warning('short')\n"
        "        os._exit(0)\n"
        "    pids.append(pid)\n"
        "for pid in pids:\n"
        "    os.waitpid(pid, 0)\n"
    )
    context = Context(process="web", command="x", log_format="json")
    env = start.environment({}) | {VARIABLE: context.encode()}
    with subprocess.Popen(
        [MANAGE[0], "-c", program], env=env, cwd=PROJECT, stdout=subprocess.PIPE
    ) as process:
        assert process.stdout is not None
        # Nobody reads until it is full, which a page of it left over shows.
        wait_for(lambda: _is_waiting(process.pid), "the pipe full")
        found = [schema.line(text.decode()) for text in process.stdout]
    assert process.returncode == 0
    assert len(found) == 4 * 60 * 2
    long = {one["message"] for one in found} - {"short"}
    assert long == {str(number) * 9000 for number in range(4)}


def _is_waiting(pid: int) -> bool:
    import psutil

    children = psutil.Process(pid).children()
    return len(children) == 4 and all(c.status() == "sleeping" for c in children)


@pytest.mark.parametrize(
    "server", ["gunicorn-2", "uvicorn", "granian-wsgi", "waitress"]
)
def test_a_reader_that_hangs_stops_no_request_and_no_stop(
    start: Starter, port: int, server: str
) -> None:
    """A log driver that reads no more, for example because its disk is full."""
    env = start.environment({"web": servers.config(server, port)}, SETTINGS)
    reader, writer = os.pipe()
    fcntl.fcntl(writer, fcntl.F_SETPIPE_SZ, 4096)
    process = subprocess.Popen([*MANAGE, "web"], env=env, cwd=PROJECT, stdout=writer)
    os.close(writer)

    def get() -> bytes:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/about", timeout=60) as a:
            return bytes(a.read())

    def answers() -> bool:
        assert process.poll() is None
        with contextlib.suppress(OSError):
            return bool(get())
        return False

    try:
        wait_for(answers, "the first answer")
        # Each is a line of more than 100 bytes.
        assert all(get() for _ in range(60))
        process.terminate()
        assert process.wait(60) in (0, -signal.SIGTERM)
    finally:
        process.kill()
        process.wait()
        os.close(reader)
