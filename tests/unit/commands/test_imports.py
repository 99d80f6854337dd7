"""The imports of a start."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

from tests.harness import PROJECT, environment

PROGRAM = """
import json, sys
from django_prodserver.__main__ import main
sys.argv = ["prodserver", "web", "--dry-run"]
try:
    main()
finally:
    print(json.dumps(sorted(sys.modules)), file=sys.stderr)
"""
#: Modules that planning must not import: each takes longer than all of ours together.
#: They are imported later, with the application or by the server.
UNUSED = {
    "django.core.checks",
    "django.core.handlers.base",
    "django.db",
    "django.http",
    "gunicorn",
    "multiprocessing",
}


def test_dry_run_imports_no_server_and_no_database(tmp_path: Path) -> None:
    """With them, planning takes 0.5 s instead of 0.2 s."""
    web = {"BACKEND": "django_prodserver.backends.gunicorn.GunicornServer"}
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM],
        cwd=PROJECT,
        env=environment(tmp_path, {"PRODUCTION_PROCESSES": {"web": web}}),
        capture_output=True,
        text=True,
        check=True,
    )
    assert "gunicorn proj.wsgi:application" in done.stdout
    modules = set(json.loads(done.stderr.splitlines()[-1]))
    assert modules & UNUSED == set()
