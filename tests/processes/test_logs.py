"""One log for every server and worker, in real processes."""

from __future__ import annotations

import json
import re
import subprocess
import urllib.error
import urllib.request
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from django_prodserver.config.context import VARIABLE, Context
from tests import schema, servers
from tests.backends.test_workers import WORKERS, Site
from tests.conftest import Starter
from tests.harness import MANAGE, PROJECT, SCRIPT, Running, Web, running, wait_for

pytestmark = pytest.mark.process

SERVERS = [
    "gunicorn-2",
    "uvicorn-2",
    "uvicorn-wsgi",
    "granian-asgi",
    "granian-wsgi-2",
    "waitress",
]
every = pytest.mark.parametrize("server", SERVERS)
ACCESS = "django_prodserver.access"
SETTINGS: dict[str, Any] = {
    "ROOT_URLCONF": "proj.logged",
    "MIDDLEWARE": ["django_prodserver.health.middleware.HealthMiddleware"],
}
#: Of the text form: the head of a record, or a line that belongs to the one before.
TEXT = re.compile(
    r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z "
    r"(debug|info|warning|error|critical) +web\[\d+\] [\w.-]+: .*|    .*"
)


def ask(web: Web, path: str, **headers: str) -> tuple[int, str | None]:
    """Return an answer's status and its request id."""
    url = f"http://127.0.0.1:{web.port}{path}"
    request = urllib.request.Request(url, headers=headers)
    try:
        with urllib.request.urlopen(request, timeout=30) as answer:
            answer.read()
            return answer.status, answer.headers["X-Request-ID"]
    except urllib.error.HTTPError as error:
        return error.code, error.headers["X-Request-ID"]


def lines(process: Running) -> list[dict[str, Any]]:
    """Return all that a process has written; fail if a line is not of the schema."""
    return [schema.line(text) for text in process.output.splitlines()]


def of(found: list[dict[str, Any]], **fields: Any) -> list[dict[str, Any]]:
    return [one for one in found if fields.items() <= one.items()]


class TestJSON:
    """Every line of a life of each server."""

    @every
    def test_every_line_is_of_the_schema(
        self, start: Starter, port: int, server: str
    ) -> None:
        entry = servers.config(server, port, LOG_FORMAT="json")
        web = start.web(entry, port=port, via=SCRIPT, settings=SETTINGS)
        assert ask(web, "/noted?n=1&key=SECRET", **{"X-Request-ID": "ab-1"}) == (
            200,
            "ab-1",
        )
        status, failed = ask(web, "/fail?key=SECRET")
        assert status == 500
        assert re.fullmatch("[0-9a-f]{32}", failed or "")
        for path in ("/printed", "/stream", "/hostile", "/-/live", "/-/ready"):
            assert ask(web, path, **{"X-Request-ID": path.strip("/")})[0] == 200
        web.stop()
        found = lines(web)
        assert "SECRET" not in web.output

        assert {one["process"] for one in found} == {"web"}
        access = {
            "logger": ACCESS,
            "message": "GET /noted 200",
            "level": "info",
            "method": "GET",
            "path": "/noted",
            "status": 200,
            "bytes": 5,
            "client": "127.0.0.1",
            "request_id": "ab-1",
        }
        (noted,) = of(found, **access)
        assert 0.05 <= noted["duration"] < 30
        of_request = of(found, request_id="ab-1", pid=noted["pid"])
        assert [one["message"] for one in of_request] == [
            "begins 1",
            "ends 1",
            "GET /noted 200",
        ]
        assert of_request[1]["extra"] == {"number": 7, "who": "{'a': 'b'}"}

        (error,) = of(found, level="error", request_id=failed)
        assert error["logger"] == "django.request"
        assert error["exception"] == "ValueError"
        assert error["exception_message"] == "it fails\nin two lines"
        assert "proj/logged.py" in error["traceback"]
        assert of(found, logger=ACCESS, request_id=failed, status=500)

        (printed,) = of(found, logger="stdout")
        assert printed["message"] == "printed /printed"
        assert printed["request_id"] == "printed"
        (stream,) = of(found, logger=ACCESS, path="/stream")
        assert stream["bytes"] == 300
        assert len(of(found, message="a chunk", request_id="stream")) == 3
        assert not [one for one in found if one.get("path", "").startswith("/-/")]
        own = {one["logger"].partition(".")[0] for one in found}
        assert own & {"gunicorn", "uvicorn", "_granian", "waitress"}

    @every
    def test_what_dry_run_prints_logs_the_same(
        self, start: Starter, port: int, server: str
    ) -> None:
        entry = servers.config(server, port, LOG_FORMAT="json")
        env = start.environment({"web": entry}, SETTINGS)
        printed = running([*MANAGE, "web", "--dry-run"], env=env).stdout
        web: Web = start.process(["sh", "-c", f"exec env {printed}"], env, kind=Web)
        web.port = port
        web.wait_until_ready()
        assert ask(web, "/printed", **{"X-Request-ID": "ab-1"}) == (200, "ab-1")
        web.stop()
        found = lines(web)
        (told,) = of(found, request_id="ab-1", logger=ACCESS)
        assert told["path"] == "/printed"
        assert of(found, request_id="ab-1", logger="stdout")
        assert {one["process"] for one in found} == {"web"}


@every
def test_text_looks_the_same_for_all(start: Starter, port: int, server: str) -> None:
    """It is the default; what a client sends cannot pass for a line of its own."""
    web = start.web(servers.config(server, port), port=port, settings=SETTINGS)
    assert ask(web, "/noted?n=1", **{"X-Request-ID": "ab-1"}) == (200, "ab-1")
    assert ask(web, "/hostile")[0] == 200
    assert ask(web, "/fail")[0] == 500
    web.stop()
    for text in web.output.splitlines():
        assert TEXT.fullmatch(text), text
    pattern = (
        rf"{ACCESS}: GET /noted 200 request_id=ab-1 "
        r"duration=\d+\.\d+ bytes=5 client=127\.0\.0\.1$"
    )
    assert len(re.findall(pattern, web.output, re.MULTILINE)) == 1
    forged = "2026-01-01T00:00:00.000Z info web[1] x: \\x1b[31mred\\r"
    assert f"\n    {forged}\n" in web.output
    assert "\n    ValueError: it fails\n    in two lines\n" in web.output


class TestRequestId:
    """The id that a request brings, or is given."""

    @pytest.mark.parametrize(
        "server", ["gunicorn-2", "uvicorn", "granian-wsgi", "waitress"]
    )
    @pytest.mark.parametrize("view", ["noted", "async-noted"])
    def test_requests_at_the_same_time_keep_theirs(
        self, start: Starter, port: int, server: str, view: str
    ) -> None:
        entry = servers.config(server, port, THREADS=4, LOG_FORMAT="json")
        web = start.web(entry, port=port, via=SCRIPT, settings=SETTINGS)
        wanted = [f"id-{number}" for number in range(60)]
        with ThreadPoolExecutor(8) as pool:
            answers = pool.map(
                lambda id: ask(web, f"/{view}?n={id}", **{"X-Request-ID": id}), wanted
            )
            assert list(answers) == [(200, id) for id in wanted]
        web.stop()
        found = lines(web)
        for id in wanted:
            messages = [one["message"] for one in of(found, request_id=id)]
            assert messages == [f"begins {id}", f"ends {id}", f"GET /{view} 200"]

    @pytest.mark.parametrize("server", ["gunicorn", "uvicorn"])
    def test_one_that_does_not_fit_is_replaced(
        self, start: Starter, port: int, server: str
    ) -> None:
        entry = servers.config(server, port, LOG_FORMAT="json")
        web = start.web(entry, port=port, via=SCRIPT, settings=SETTINGS)
        for given in ("a b", 'a"}', "a" * 129, "<script>", "a\x85b", "ä"):
            status, id = ask(web, "/about", **{"X-Request-ID": given})
            assert status == 200
            assert re.fullmatch("[0-9a-f]{32}", id or ""), given
        longest = "a" * 128
        assert ask(web, "/about", **{"X-Request-ID": longest}) == (200, longest)
        agent = "Mozilla\x85'\"\\{}%s%(x)s" + "A" * 3000
        assert ask(web, "/hostile", **{"User-Agent": agent})[0] == 200
        web.stop()
        (told,) = (
            one for one in lines(web) if one["message"].startswith("agent: Mozilla")
        )
        assert "'\"\\{}%s%(x)s" in told["message"]

    def test_no_access_log_leaves_the_ids(self, start: Starter, port: int) -> None:
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
        web.stop()
        return web

    @pytest.mark.parametrize("server", ["gunicorn", "uvicorn", "waitress"])
    def test_a_root_handler_gets_everything(
        self, start: Starter, port: int, server: str
    ) -> None:
        root = {"handlers": ["own"], "level": "INFO"}
        web = self.life(start, port, server, root=root)
        said = web.output.splitlines()
        assert said.count("OWN proj.urls WARNING a line of the application") == 1
        assert said.count(f"OWN {ACCESS} INFO GET /log 200") == 1
        assert '"ab-1"' not in web.output, "nothing is told twice"

    def test_a_logger_with_a_handler_is_not_told_twice(
        self, start: Starter, port: int
    ) -> None:
        loggers = {"proj": {"handlers": ["own"], "level": "INFO"}}
        web = self.life(start, port, "gunicorn", loggers=loggers)
        said = web.output.splitlines()
        assert said.count("OWN proj.urls WARNING a line of the application") == 1
        others = [schema.line(text) for text in said if not text.startswith("OWN ")]
        assert of(others, logger=ACCESS, request_id="ab-1")
        assert not of(others, logger="proj.urls")

    def test_a_file_for_the_application_leaves_the_rest_on_stdout(
        self, start: Starter, port: int
    ) -> None:
        file = start.data / "app.log"
        handler = {
            "class": "logging.FileHandler",
            "filename": str(file),
            "formatter": "own",
        }
        root = {"handlers": ["own"], "level": "WARNING"}
        web = self.life(start, port, "gunicorn", handlers={"own": handler}, root=root)
        assert "OWN proj.urls WARNING a line of the application\n" in file.read_text()
        found = lines(web)
        assert of(found, logger=ACCESS, request_id="ab-1")
        assert of(found, logger="gunicorn.error")
        assert not of(found, logger="proj.urls")

    def test_a_level_stands(self, start: Starter, port: int) -> None:
        web = self.life(start, port, "gunicorn", root={"level": "ERROR"})
        found = lines(web)
        assert not of(found, logger="proj.urls")
        assert of(found, logger=ACCESS, request_id="ab-1")

    def test_loggers_that_are_disabled_by_default(
        self, start: Starter, port: int
    ) -> None:
        """Our own are not among them: ACCESS_LOG says what is wanted."""
        web = self.life(start, port, "waitress", disable_existing_loggers=True)
        assert of(lines(web), logger=ACCESS, request_id="ab-1")

    def test_native_is_the_servers_own(self, start: Starter, port: int) -> None:
        entry = servers.config("uvicorn", port, LOG_FORMAT="native")
        web = start.web(entry, port=port, via=SCRIPT, settings=SETTINGS)
        assert ask(web, "/log") == (200, None)
        web.stop()
        assert '- "GET /log HTTP/1.1" 200 OK' in web.output
        assert ACCESS not in web.output


class TestWorkers:
    """Tasks, in every worker: id, name, queue, state and runtime."""

    #: The name of the task that works, and what the worker says it has ended by.
    NAMES = {"celery": "proj.jobs.celery_tasks.mark", "q2": "proj.jobs.work.mark"}
    QUEUES = {"celery": "celery", "celery-gevent": "celery"}

    @pytest.fixture(params=list(WORKERS))
    def site(
        self, start: Starter, redis_url: str, request: pytest.FixtureRequest
    ) -> Site:
        self.worker = request.param
        return Site(start, redis_url, WORKERS[request.param])

    def test_every_line_is_of_the_schema(self, site: Site) -> None:
        args = dict(site.queue.config.get("ARGS", {}))
        args.pop("loglevel", None)
        worker = site.worker(config={"LOG_FORMAT": "json", "ARGS": args}, via=SCRIPT)
        site.enqueue("good", "fail")
        site.done(worker, "good")

        def ended() -> list[dict[str, Any]]:
            # Whole lines only: the last may be on its way.
            whole = worker.output.rpartition("\n")[0].splitlines()
            return [one for one in map(schema.line, whole) if "runtime" in one]

        expected = {"success", "failure"}
        worker.until(
            lambda: {one["state"] for one in ended()} == expected, "both ended"
        )
        worker.stop()
        found = lines(worker)
        assert {one["process"] for one in found} == {"worker"}
        name = self.NAMES.get(site.queue.name, "proj.jobs.tasks.mark")
        (good,) = of(found, message="working on good")
        assert good["state"] == "started"
        assert good["task"] == name
        (success,) = of(found, task_id=good["task_id"], state="success")
        assert 0 <= success["runtime"] < 30
        (failed,) = of(found, message="working on fail")
        told = of(found, task_id=failed["task_id"], state="failure")
        assert told
        assert "it fails" in json.dumps(told)
        if site.queue.name != "q2":
            assert {one["queue"] for one in (good, failed, *told)} == {
                "celery" if site.queue.name == "celery" else "default"
            }
            assert of(told, exception="ValueError", exception_message="it fails")
        after = found[found.index(told[-1]) + 1 :]
        assert not any(one.get("state") == "started" for one in after)

    @pytest.mark.parametrize("worker", ["celery", "db_worker", "rqworker", "qcluster"])
    def test_a_worker_started_by_exec_logs_its_tasks_too(
        self, start: Starter, redis_url: str, worker: str
    ) -> None:
        """There, the Django app alone can connect to the worker's signals."""
        site = Site(start, redis_url, WORKERS[worker])
        running = site.worker(config={"LOG_FORMAT": "json", "PRELOAD": False})
        site.enqueue("good")

        def successes() -> list[dict[str, Any]]:
            whole = running.output.rpartition("\n")[0].splitlines()
            return of([schema.line(text) for text in whole], state="success")

        (success, *_) = running.until(successes, "the task's success")
        running.stop()
        (good,) = of(lines(running), message="working on good")
        assert good["state"] == "started"
        assert good["task_id"] == success["task_id"]
        assert 0 <= success["runtime"] < 30

    def test_beat(self, start: Starter, redis_url: str) -> None:
        config = {
            "BACKEND": f"{servers.BACKENDS}.celery.CeleryBeat",
            "APP": "proj.celery.app",
            "LOG_FORMAT": "json",
            "ARGS": {"schedule": str(start.data / "schedule")},
        }
        env = {"TEST_REDIS_URL": redis_url}
        worker = start.worker(config, via=SCRIPT, **env)
        worker.says("proj.jobs.celery_tasks.mark")
        worker.stop()
        assert lines(worker)


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
        "from django_prodserver.logs.handlers import StdoutHandler\n"
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
