"""``--dry-run --native``: what it prints works where this package is not installed."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import Starter
from tests.harness import SCRIPT, Running, Web, free_port, running
from tests.installed import skip_without_servers
from tests.servers import BACKENDS, config

pytestmark = pytest.mark.process

#: Imported by each Python that has the project on its PYTHONPATH. A start of ours has
#: not: the project is its working directory.
WITHOUT_US = """
import sys

class Blocked:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] == "django_prodserver":
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)

sys.meta_path.insert(0, Blocked())
"""
SETTINGS = """
import json, os

SECRET_KEY = "x" * 50
ALLOWED_HOSTS = ["*"]
INSTALLED_APPS = [
    "django.contrib.contenttypes", "django_tasks_db", "django_q", "django_rq",
    "huey.contrib.djhuey", "django_dramatiq",
]
ROOT_URLCONF = "urls"
WSGI_APPLICATION = "wsgi.application"
ASGI_APPLICATION = "asgi.application"
DATABASES = {
    "default": {"ENGINE": "django.db.backends.sqlite3", "NAME": "db.sqlite3"},
}
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"
TASKS = {"default": {"BACKEND": "django_tasks_db.DatabaseBackend"}}
Q_CLUSTER = {"orm": "default", "workers": 1}
HUEY = {"immediate": False, "connection": {"url": os.environ.get("TEST_REDIS_URL")}}
DRAMATIQ_BROKER = {
    "BROKER": "dramatiq.brokers.redis.RedisBroker",
    "OPTIONS": {"url": os.environ.get("TEST_REDIS_URL", "redis://")},
    "MIDDLEWARE": [],
}
RQ_QUEUES = {"default": {"URL": os.environ.get("TEST_REDIS_URL", "redis://")}}
PRODUCTION_PROCESSES = json.loads(os.environ.get("TEST_SETTINGS", "{}")).get(
    "PRODUCTION_PROCESSES", {}
)
"""
FILES = {
    "sitecustomize.py": WITHOUT_US,
    "settings.py": SETTINGS,
    "urls.py": """
from django.http import JsonResponse
from django.urls import path

urlpatterns = [
    path("about", lambda request: JsonResponse({"scheme": request.scheme})),
]
""",
    "wsgi.py": "from django.core.wsgi import get_wsgi_application\n"
    "application = get_wsgi_application()\n",
    "asgi.py": "from django.core.asgi import get_asgi_application\n"
    "application = get_asgi_application()\n",
    "tasks.py": 'from celery import Celery\napp = Celery("tasks", broker="memory://")\n',
}
#: Every portable setting that becomes an option of ours, or is done by us.
KEYS: dict[str, Any] = {
    "GRACEFUL_TIMEOUT": 5,
    "KEEP_ALIVE": 5,
    "LOG_FORMAT": "json",
    "LOG_LEVEL": "info",
    "ROOT_PATH": "/shop",
    "TRUSTED_PROXIES": ["127.0.0.1"],
    "WARM_UP": ["/about"],
    "WAIT_FOR": ["database"],
}
SERVERS: dict[str, dict[str, Any]] = {
    "gunicorn-2": {},
    "gunicorn": {"args": {"worker-class": "asgi"}},
    "uvicorn-2": {},
    "uvicorn-wsgi": {"THREADS": 2},
    "granian-asgi-2": {},
    "granian-wsgi": {},
    "waitress": {"args": {"graceful-timeout": 3}},
    "hypercorn": {},
}
WORKERS: dict[str, tuple[dict[str, Any], str]] = {
    "db_worker": (
        {
            "BACKEND": f"{BACKENDS}.django_tasks.DjangoTasksWorker",
            "GRACEFUL_TIMEOUT": 5,
            "QUEUES": ["default"],
        },
        "Starting worker",
    ),
    "qcluster": (
        {
            "BACKEND": f"{BACKENDS}.django_q2.DjangoQ2Worker",
            "CONCURRENCY": 1,
            "GRACEFUL_TIMEOUT": 5,
        },
        "running.",
    ),
    "rqworker": (
        {
            "BACKEND": f"{BACKENDS}.rq.RQWorker",
            "GRACEFUL_TIMEOUT": 5,
            "QUEUES": ["default"],
        },
        "Listening on",
    ),
    "huey": (
        {
            "BACKEND": f"{BACKENDS}.huey.HueyConsumer",
            "CONCURRENCY": 1,
            "GRACEFUL_TIMEOUT": 5,
            "ARGS": {"worker-type": "process"},
        },
        "consumer started",
    ),
    "dramatiq": (
        {
            "BACKEND": f"{BACKENDS}.dramatiq.DramatiqWorker",
            "CONCURRENCY": 1,
            "GRACEFUL_TIMEOUT": 5,
            "QUEUES": ["default"],
        },
        "is ready for action",
    ),
    "long-running": (
        {
            "BACKEND": f"{BACKENDS}.management.LongRunningCommand",
            "COMMAND": "rqworker default",
            "GRACEFUL_TIMEOUT": 5,
        },
        "Listening on",
    ),
    "celery": (
        {
            "BACKEND": f"{BACKENDS}.celery.CeleryWorker",
            "APP": "tasks.app",
            "CONCURRENCY": 1,
            "GRACEFUL_TIMEOUT": 5,
            "ARGS": {"pool": "solo"},
        },
        " ready.",
    ),
    "beat": (
        {"BACKEND": f"{BACKENDS}.celery.CeleryBeat", "APP": "tasks.app"},
        "beat: Starting...",
    ),
}


@pytest.fixture
def project(tmp_path: Path) -> Path:
    directory = tmp_path / "project"
    directory.mkdir()
    for name, text in FILES.items():
        (directory / name).write_text(text)
    return directory


def native_line(start: Starter, project: Path, entry: dict[str, Any]) -> str:
    """Return the line that is printed, once nothing of ours can be imported."""
    skip_without_servers({"it": entry})
    environment = start.environment({"it": entry}, DJANGO_SETTINGS_MODULE="settings")
    done = running([*SCRIPT, "it", "--dry-run", "--native"], project, env=environment)
    assert done.returncode == 0, done.stderr
    assert "prodserver" not in done.stdout.replace(str(project), "").replace(
        str(Path(sys.prefix)), ""
    )
    return done.stdout


def without_us(start: Starter, project: Path) -> dict[str, str]:
    environment = start.environment({})
    for name in ("DJANGO_SETTINGS_MODULE", "PRODSERVER_RUNTIME_DIR", "TEST_SETTINGS"):
        del environment[name]
    blocked = running(
        [sys.executable, "-c", "import django_prodserver"],
        project,
        env={**environment, "PYTHONPATH": str(project)},
    )
    assert "No module named 'django_prodserver'" in blocked.stderr
    return environment


@pytest.mark.parametrize("server", SERVERS)
def test_a_web_server(server: str, start: Starter, project: Path) -> None:
    port = free_port()
    entry = config(server, port, **SERVERS[server], **KEYS)
    line = native_line(start, project, entry)
    web: Web = start.process(
        ["sh", "-c", f"exec env {line}"],
        without_us(start, project),
        kind=Web,
        cwd=project,
    )
    web.port = port
    web.wait_until_ready()
    assert web.about() == {"scheme": "http"}


@pytest.mark.parametrize("worker", WORKERS)
def test_a_worker(worker: str, start: Starter, project: Path, redis_url: str) -> None:
    entry, ready = WORKERS[worker]
    line = native_line(start, project, entry)
    environment = {**without_us(start, project), "TEST_REDIS_URL": redis_url}
    variables = {"PYTHONPATH": str(project), "DJANGO_SETTINGS_MODULE": "settings"}
    migrated = running(
        [sys.executable, "-m", "django", "migrate", "-v0"],
        project,
        env=environment | variables,
    )
    assert migrated.returncode == 0, migrated.stderr
    process: Running = start.process(
        ["sh", "-c", f"exec env {line}"], environment, cwd=project
    )
    process.says(ready)


def test_a_release(start: Starter, project: Path) -> None:
    entry = {
        "BACKEND": f"{BACKENDS}.management.ManagementCommands",
        "COMMANDS": ["migrate -v0", "check"],
        "LOCK": False,
    }
    line = native_line(start, project, entry)
    done = running(["sh", "-c", line], project, env=without_us(start, project))
    assert done.returncode == 0, done.stderr
    assert "System check identified no issues" in done.stdout


def test_what_it_leaves_out_is_told(start: Starter, project: Path) -> None:
    entry = config("waitress", 8000, **KEYS)
    environment = start.environment({"it": entry}, DJANGO_SETTINGS_MODULE="settings")
    done = running([*SCRIPT, "it", "--dry-run", "--native"], project, env=environment)
    (note,) = done.stderr.splitlines()
    assert note.startswith("prodserver: not part of the native command: ")
    told = set(note.rpartition(": ")[2].split(", "))
    assert told == {
        *("WAIT_FOR", "GRACEFUL_TIMEOUT", "ROOT_PATH", "TRUSTED_PROXIES", "WARM_UP"),
        "LOG_LEVEL",
    }
    assert done.stdout.count("\n") == 1
