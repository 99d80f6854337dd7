"""The paths that users refer to in settings, code and scripts."""

from __future__ import annotations

import subprocess
import sys
from importlib import import_module, metadata
from pathlib import Path

import pytest
from django.utils.module_loading import import_string

from django_prodserver.health import probe

BACKENDS = "django_prodserver.backends"
#: The path of each class, and its path in django-prodserver 3.x.
CLASSES = {
    "celery.CeleryBeat": "workers.celery.CeleryBeat",
    "celery.CeleryFlower": "servers.flower.CeleryFlower",
    "celery.CeleryWorker": "workers.celery.CeleryWorker",
    "django_q2.DjangoQ2Worker": "workers.django_q2.DjangoQ2Worker",
    "django_tasks.DjangoTasksWorker": "workers.django_tasks.DjangoTasksWorker",
    "granian.GranianASGIServer": "servers.granian.GranianASGIServer",
    "granian.GranianWSGIServer": "servers.granian.GranianWSGIServer",
    "gunicorn.GunicornServer": "servers.gunicorn.GunicornServer",
    "uvicorn.UvicornServer": "servers.uvicorn.UvicornServer",
    "uvicorn.UvicornWSGIServer": "servers.uvicorn.UvicornWSGIServer",
    "waitress.WaitressServer": "servers.waitress.WaitressServer",
}


@pytest.mark.parametrize(("path", "old"), CLASSES.items(), ids=list(CLASSES))
def test_old_path_has_the_same_class(path: str, old: str) -> None:
    import_module(f"{BACKENDS}.servers")
    import_module(f"{BACKENDS}.workers")
    backend = import_string(f"{BACKENDS}.{path}")
    assert backend.__name__ == path.partition(".")[2]
    assert import_string(f"{BACKENDS}.{old}") is backend


@pytest.mark.parametrize(
    "path",
    [
        f"{BACKENDS}.base.BaseServerBackend",
        f"{BACKENDS}.base.BaseWorkerBackend",
        f"{BACKENDS}.hypercorn.HypercornServer",
        f"{BACKENDS}.hypercorn.HypercornWSGIServer",
        f"{BACKENDS}.management.ManagementCommands",
        "django_prodserver.health.heartbeat.beat",
        "django_prodserver.health.middleware.HealthMiddleware",
    ],
)
def test_public_name_can_be_imported(path: str) -> None:
    assert import_string(path).__name__ == path.rpartition(".")[2]


def test_base_class_of_3x_is_the_public_one() -> None:
    base = import_module(f"{BACKENDS}.base")
    assert base.BaseProcessBackend is base.BaseServerBackend


def test_probe_runs_as_a_file_without_the_package() -> None:
    """The image's health check runs it like this."""
    assert probe.__file__
    assert Path(probe.__file__).parts[-2:] == ("health", "probe.py")
    done = subprocess.run(
        [
            sys.executable,
            "-I",
            "-S",
            probe.__file__,
            "--timeout=0.5",
            "no-such-process",
        ],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode in (1, 2)
    assert "no-such-process" in done.stdout + done.stderr


@pytest.mark.parametrize(
    "script",
    [
        "prodserver",
        "prodserver-conformance",
        "prodserver-hypercorn",
        "prodserver-probe",
        "prodserver-waitress",
    ],
)
def test_console_script_can_be_loaded(script: str) -> None:
    (entry,) = metadata.entry_points(group="console_scripts", name=script)
    assert callable(entry.load())
