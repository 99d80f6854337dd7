"""
On Windows: every command runs, and the servers that run there start, answer and stop.

The processes are real, and run on Linux with what Windows lacks hidden from our code
(``sitecustomize.py`` beside this file); the workflow runs the same on Windows.
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests import harness
from tests.conftest import Starter
from tests.harness import BIN, Running, Web
from tests.servers import config

pytestmark = pytest.mark.process

HERE = Path(__file__).parent
PROGRAMS = (
    *("prodserver", "django-admin", "prodserver-probe", "prodserver-waitress"),
    *("uvicorn", "granian", "gunicorn", "celery"),
)


@pytest.fixture(scope="session")
def scripts(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An environment as Windows has it: Scripts, with executables."""
    folder = tmp_path_factory.mktemp("venv")
    shutil.copy(BIN.parent / "pyvenv.cfg", folder)
    for name in ("lib", "lib64", "include"):
        if (BIN.parent / name).exists():
            (folder / name).symlink_to(BIN.parent / name)
    made = folder / "Scripts"
    made.mkdir()
    (made / "python.exe").symlink_to(sys.executable)
    for name in PROGRAMS:
        shutil.copy(BIN / name, made / f"{name}.exe")
    return made


class Windows:
    """Starts processes from which our code sees Windows."""

    def __init__(self, start: Starter, scripts: Path) -> None:
        self._start = start
        self._python = str(scripts / "python.exe")
        self.data = start.data

    def environment(
        self, processes: Any, unhide: str = "", **env: Any
    ) -> dict[str, str]:
        paths = [str(HERE), os.environ.get("PYTHONPATH", "")]
        env["PYTHONPATH"] = os.pathsep.join(filter(None, paths))
        settings = {"MEDIA_ROOT": str(self.data), **env.pop("settings", {})}
        return self._start.environment(processes, settings, UNHIDE=unhide, **env)

    def run(self, *words: str, processes: Any = None, **env: Any) -> Any:
        return harness.running(
            [self._python, *words], env=self.environment(processes, **env)
        )

    def worker(self, backend: str) -> Running:
        path = f"django_prodserver.backends.{backend}"
        env = self.environment({"worker": {"BACKEND": path}})
        argv = [self._python, "-m", "django_prodserver", "worker"]
        worker: Running = self._start.process(argv, env)
        return worker

    def web(self, server: str, port: int, unhide: str = "", **keys: Any) -> Web:
        env = self.environment({"web": config(server, port, **keys)}, unhide)
        argv = [self._python, "-m", "django_prodserver", "web"]
        web: Web = self._start.process(argv, env, kind=Web)
        web.port = port
        web.wait_until_ready()
        return web


@pytest.fixture
def windows(start: Starter, scripts: Path) -> Windows:
    return Windows(start, scripts)


@pytest.fixture
def waitress(port: int) -> dict[str, Any]:
    return {"web": config("waitress", port)}


@pytest.mark.parametrize(
    "words",
    [
        ["manage.py", "check"],
        ["manage.py", "check", "--deploy", "--tag", "prodserver"],
        ["manage.py", "migrate", "-v0"],
        ["manage.py", "prodserver", "--help"],
        ["manage.py", "prodserver", "--list"],
        ["manage.py", "prodserver", "web", "--dry-run"],
        ["manage.py", "prodserver", "web", "--explain"],
        ["-m", "django_prodserver", "--version"],
        ["-m", "django_prodserver", "--list", "--format", "json"],
        ["-m", "django_prodserver", "web", "--explain", "--format", "json"],
    ],
    ids=" ".join,
)
def test_a_command(windows: Windows, waitress: Any, words: list[str]) -> None:
    done = windows.run(*words, processes=waitress)
    assert done.returncode == 0, done.stderr
    assert "Traceback" not in done.stderr


def test_what_runs_elsewhere_is_a_warning_and_does_not_start(
    windows: Windows, port: int
) -> None:
    processes = {"web": config("gunicorn", port)}
    checked = windows.run("manage.py", "check", processes=processes)
    assert checked.returncode == 0
    assert "prodserver.E023" in checked.stderr
    deployed = windows.run("manage.py", "check", "--deploy", processes=processes)
    assert deployed.returncode == 1
    for words in (["manage.py", "prodserver"], ["-m", "django_prodserver"]):
        started = windows.run(*words, "web", processes=processes)
        assert started.returncode == 78
        assert "GunicornServer does not run on Windows" in started.stderr
        assert "django_prodserver.backends.waitress.WaitressServer" in started.stderr
        assert "Traceback" not in started.stderr


@pytest.mark.parametrize(
    ("backend", "runs"),
    [
        ({"BACKEND": "celery.CeleryWorker", "APP": "proj.celery.app"}, False),
        (
            {
                "BACKEND": "celery.CeleryWorker",
                "APP": "proj.celery.app",
                "ARGS": {"pool": "solo"},
            },
            True,
        ),
        ({"BACKEND": "django_q2.DjangoQ2Worker"}, False),
        ({"BACKEND": "rq.RQWorker"}, False),
        ({"BACKEND": "huey.HueyConsumer"}, True),
        (
            {"BACKEND": "huey.HueyConsumer", "ARGS": {"worker-type": "process"}},
            False,
        ),
    ],
    ids=["celery", "celery solo", "django-q2", "rq", "huey", "huey processes"],
)
def test_workers_that_fork_are_named(
    windows: Windows, backend: dict[str, Any], runs: bool
) -> None:
    backend = {**backend, "BACKEND": f"django_prodserver.backends.{backend['BACKEND']}"}
    checked = windows.run("manage.py", "check", processes={"worker": backend})
    assert checked.returncode == 0
    assert ("does not run on Windows" in checked.stderr) is not runs


SERVERS = (
    *("waitress", "uvicorn", "uvicorn-2", "uvicorn-wsgi"),
    *("granian-asgi", "granian-wsgi-2"),
)


@pytest.mark.parametrize("server", SERVERS)
def test_a_server(windows: Windows, port: int, server: str) -> None:
    """It has the probe and the log, and Ctrl-C lets a request finish."""
    web = windows.web(server, port)
    ready = windows.run("-m", "django_prodserver.health.probe", "--timeout=10")
    assert ready.returncode == 0, ready.stdout
    live = windows.run("-m", "django_prodserver.health.probe", "--live")
    assert live.returncode == 0, live.stdout
    answer = web.in_flight("/slow?s=1")
    # A console sends it to all processes; the first of them is enough for each.
    code = web.stop(signal.SIGINT)
    assert answer.result() == "slow done"
    assert code == 0
    assert "GET /about 200" in web.output
    assert "Traceback" not in web.output
    gone = windows.run("-m", "django_prodserver.health.probe", "web")
    assert gone.returncode == 1, gone.stdout


def test_ctrl_break(windows: Windows, port: int) -> None:
    web = windows.web("waitress", port)
    answer = web.in_flight("/slow?s=1")
    code = web.stop(signal.SIGUSR2)
    assert (answer.result(), code) == ("slow done", 0)


def test_several_workers_are_not_preloaded(windows: Windows, port: int) -> None:
    web = windows.web("uvicorn-2", port)
    assert "not preloading, because this system starts each worker" in web.output
    assert web.about()["frozen"] == 0
    assert web.stop(signal.SIGINT) == 0


def test_hiding_makes_the_difference(windows: Windows, port: int) -> None:
    """With os.fork() and /proc it would preload, and miss what else is hidden."""
    done = windows.run(
        *("-m", "django_prodserver", "web"),
        processes={"web": config("uvicorn-2", port)},
        unhide="os.fork files",
    )
    assert done.returncode == 1
    assert "module 'os' has no attribute 'register_at_fork' on Windows" in done.stderr


def test_what_it_waits_for(windows: Windows, port: int) -> None:
    """Without a fork, in a thread."""
    web = windows.web("waitress", port, WAIT_FOR=["database"])
    assert web.stop(signal.SIGINT) == 0
    away = config("waitress", port, WAIT_FOR=["tcp://127.0.0.1:9"])
    done = windows.run(
        *("-m", "django_prodserver", "web"),
        processes={"web": away},
        PRODSERVER_WAIT_TIMEOUT="1",
    )
    assert done.returncode == 69, done.stdout + done.stderr


def test_env_is_set_for_the_settings(windows: Windows, port: int) -> None:
    """By a second process, of which the first is the parent: nothing is replaced."""
    web = windows.web("waitress", port, ENV={"SHOP_REGION": "eu"})
    assert web.about()["environ"]["SHOP_REGION"] == "eu"
    web.signal_all(signal.SIGINT)
    assert web.exits() == 0


def test_a_release(windows: Windows) -> None:
    """The lock beside an SQLite database is Windows' own."""
    release = {
        "BACKEND": "django_prodserver.backends.management.ManagementCommands",
        "COMMANDS": ["migrate --noinput -v0", "check"],
    }
    done = windows.run(
        *("-m", "django_prodserver", "release"), processes={"release": release}
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "running check" in done.stdout


def test_a_worker(windows: Windows, start: Starter) -> None:
    start.migrate()
    worker = windows.worker("django_tasks.DjangoTasksWorker")
    start.enqueue("tasks", "done")
    worker.until(lambda: start.marks("done") == (1, 1), "the task")
    ready = windows.run("-m", "django_prodserver.health.probe", "--timeout=10")
    assert ready.returncode == 0, ready.stdout
    assert worker.stop(signal.SIGINT) == 0


def test_the_script_of_the_workflow() -> None:
    """It runs on Windows and macOS there; here it shows that it can pass."""
    words = [sys.executable, str(HERE / "tryout.py")]
    done = subprocess.run(words, text=True, capture_output=True, timeout=400)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.fixture
def development(windows: Windows, start: Starter, waitress: Any) -> Iterator[Web]:
    env = windows.environment(waitress, settings={"DEBUG": True})
    argv = [windows._python, "manage.py", "devserver", "web"]
    web: Web = start.process(argv, env, kind=Web)
    yield web
    web.kill()


def test_devserver(development: Web, waitress: Any) -> None:
    _, _, port = waitress["web"]["ARGS"]["listen"].rpartition(":")
    development.port = int(port)
    development.wait_until_ready()
    assert "Scripts" in json.loads(development.get("/about"))["argv"][0]
    development.signal_all(signal.SIGINT)
    assert development.exits() == 0
