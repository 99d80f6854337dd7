"""An exported Procfile, run by honcho: it serves, and stops."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tests import harness
from tests.harness import BIN, PROJECT, Running, environment

pytestmark = pytest.mark.process

SETTINGS = {
    "PRODUCTION_PROCESSES": {
        "web": {"BACKEND": "django_prodserver.backends.waitress.WaitressServer"},
        "worker": {
            "BACKEND": "django_prodserver.backends.django_tasks.DjangoTasksWorker"
        },
        "release": {
            "BACKEND": "django_prodserver.backends.management.ManagementCommands",
            "COMMANDS": ["migrate --noinput"],
        },
    }
}


def test_honcho_runs_the_procfile(tmp_path: Path) -> None:
    path = f"{BIN}:{os.environ['PATH']}"
    env = environment(tmp_path, SETTINGS, PATH=path)
    export = ["prodserver", "--export", "procfile", "-o", str(tmp_path)]
    subprocess.run(export, cwd=PROJECT, env=env, check=True)
    honcho = [sys.executable, "-m", "honcho"]
    file = [f"--procfile={tmp_path / 'Procfile'}", f"--app-root={PROJECT}"]
    release = subprocess.run(
        [*honcho, "start", *file, "release"],
        cwd=PROJECT,
        env=env,
        capture_output=True,
        text=True,
    )
    assert release.returncode == 0, release.stdout + release.stderr
    assert "running migrate --noinput" in release.stdout + release.stderr

    port = harness.free_port()
    command = [*honcho, "start", *file, f"--port={port}", "web", "worker"]
    running = Running(command, env, tmp_path / "log", PROJECT)
    try:
        running.until(lambda: _is_ready("web", env), "web is ready")
        running.until(lambda: _is_ready("worker", env), "worker is ready")
        assert harness.fetch(f"http://127.0.0.1:{port}/about", 30)
        # And nothing is left. The code is that of honcho's shell, which stays.
        running.stop(signal.SIGTERM)
    finally:
        running.kill()
    assert "SIGTERM: finishing the requests in progress" in running.output
    assert "shutting down gracefully" in running.output


def _is_ready(name: str, env: dict[str, str]) -> bool:
    done = subprocess.run(
        [BIN / "prodserver-probe", name], env=env, capture_output=True
    )
    return done.returncode == 0
