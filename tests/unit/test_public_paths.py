"""The paths that users write in settings, code and scripts stay what they are."""

from __future__ import annotations

import subprocess
import sys
from importlib import import_module, metadata
from pathlib import Path

import pytest
from django.utils.module_loading import import_string

from django_prodserver.health import probe

BACKENDS = "django_prodserver.backends"
#: Each class, with the path that django-prodserver 3.x had for it.
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
def test_a_backend_is_the_same_class_under_both_paths(path: str, old: str) -> None:
    import_module(f"{BACKENDS}.servers")
    import_module(f"{BACKENDS}.workers")
    found = import_string(f"{BACKENDS}.{path}")
    assert found.__name__ == path.partition(".")[2]
    assert import_string(f"{BACKENDS}.{old}") is found


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
def test_a_public_name_stays_where_it_is(path: str) -> None:
    assert import_string(path).__name__ == path.rpartition(".")[2]


def test_the_base_class_of_3x_is_the_public_one() -> None:
    base = import_module(f"{BACKENDS}.base")
    assert base.BaseProcessBackend is base.BaseServerBackend


def test_the_probe_runs_as_a_file_without_the_package() -> None:
    """As the image's health check does."""
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
def test_a_console_script_can_be_loaded(script: str) -> None:
    (entry,) = metadata.entry_points(group="console_scripts", name=script)
    assert callable(entry.load())
