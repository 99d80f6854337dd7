"""The configuration for supervisord that the documentation has."""

from __future__ import annotations

import re
import signal
from pathlib import Path

import pytest

from tests.backends.sites import entry
from tests.conftest import Starter
from tests.harness import BIN, PROJECT, Running

pytestmark = pytest.mark.process

PAGE = Path(__file__).parents[2] / "docs" / "guides" / "moving-from-procfile.md"
WORKER = "django_tasks.DjangoTasksWorker"


def configuration(folder: Path) -> str:
    """Return the programs of the page, for the project under test."""
    page = PAGE.read_text()
    [found] = re.findall(r"supervisor/conf\.d/shop\.conf\n(.*?)```", page, re.DOTALL)
    for theirs, ours in (
        ("/srv/shop/.venv/bin", str(BIN)),
        ("directory=/srv/shop", f"directory={PROJECT}"),
        ("/var/log/shop", str(folder)),
    ):
        assert theirs in found
        found = found.replace(theirs, ours)
    # The user and the settings are those of the test.
    found = re.sub(r"^(user|environment)=.*\n", "", found, flags=re.MULTILINE)
    return f"[supervisord]\nnodaemon=true\npidfile={folder}/pid\n{found}"


def test_what_max_tasks_ends_is_started_again(start: Starter, tmp_path: Path) -> None:
    """And what cannot be started is not."""
    start.migrate()
    processes = {
        "web": {"BACKEND": "no.such.Backend"},
        "worker": entry(WORKER, {"MAX_TASKS": 1}),
    }
    file = tmp_path / "supervisord.conf"
    file.write_text(configuration(tmp_path))
    supervisor: Running = start.process(
        [str(BIN / "supervisord"), "-c", str(file), "-l", str(tmp_path / "own.log")],
        start.environment(processes),
    )
    start.enqueue("tasks", "first", "second")
    supervisor.until(lambda: start.marks("second")[1], "two tasks done")
    supervisor.says("exited: shop-worker (exit status 0; not expected)")
    supervisor.says("exited: shop-web (exit status 78; expected)")
    workers = [
        (start.data / "marks" / f"{name}.ended").read_text()
        for name in ("first", "second")
    ]
    assert workers[0] != workers[1]
    assert supervisor.stop(signal.SIGTERM) == 0
