"""The exit codes that backends declare, compared with measured ones."""

from __future__ import annotations

import json
import signal
from pathlib import Path
from typing import Any

import pytest

from django_prodserver.backends import loader
from django_prodserver.backends.base import CommandBackend
from django_prodserver.config.processes import Process
from tests.servers import BACKENDS, config

ROOT = Path(__file__).parents[3]
MEASURED = json.loads((ROOT / "benchmarks/results/signals.json").read_text())
CELERY = {"BACKEND": f"{BACKENDS}.celery.CeleryWorker", "APP": "proj.celery.app"}
TASKS = {"BACKEND": f"{BACKENDS}.django_tasks.DjangoTasksWorker"}
ENTRIES: dict[str, dict[str, Any]] = {
    "gunicorn": config("gunicorn-2", 8000),
    "gunicorn sync": config("gunicorn-2", 8000, {"threads": 1}),
    "gunicorn asgi": config("gunicorn-2", 8000, {"worker-class": "asgi"}),
    "uvicorn, 1 worker": config("uvicorn", 8000),
    "uvicorn, 2 workers": config("uvicorn-2", 8000),
    "granian wsgi": config("granian-wsgi-2", 8000),
    "granian asgi": config("granian-asgi-2", 8000),
    "waitress": config("waitress", 8000),
    "celery": CELERY,
    "db_worker": TASKS,
    "rqworker": TASKS,
    "qcluster": {"BACKEND": f"{BACKENDS}.django_q2.DjangoQ2Worker"},
}


@pytest.fixture(autouse=True)
def _bare_environment(monkeypatch):
    for name in ("GUNICORN_CMD_ARGS", "UVICORN_WORKERS", "WEB_CONCURRENCY"):
        monkeypatch.delenv(name, raising=False)


@pytest.mark.parametrize("signum", [signal.SIGTERM, signal.SIGINT])
@pytest.mark.parametrize("name", MEASURED["processes"])
def test_declared_stop_matches_the_measured_one(name, signum, settings):
    if name == "rqworker":
        settings.TASKS = {"default": {"BACKEND": "django_tasks_rq.RQBackend"}}
    backend = loader.load(Process("web", ENTRIES[name]))
    assert isinstance(backend, CommandBackend)
    measured = MEASURED["processes"][name][signum.name.removeprefix("SIG")]
    assert backend.clean_exit_code(signum, backend.args) == measured["code"]
    assert backend.finishes_on(signum, backend.args) is (measured["work"] == "done")
