"""The project's own entry: what has started this process."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

#: Prints what has started it; Django takes the last words as its management command.
PROGRAM = """
import json, os, sys
if "--chdir" in sys.argv:
    os.chdir("/")
from django_prodserver.process.entry import find_entry
program = find_entry([sys.argv[0], *sys.argv[-2:]])
print(json.dumps([program.command, program.script]))
"""


@pytest.fixture
def project(tmp_path: Path) -> Path:
    (tmp_path / "manage.py").write_text(PROGRAM)
    package = tmp_path / "shop"
    package.mkdir()
    (package / "__main__.py").write_text(PROGRAM)
    return tmp_path


def entry(project: Path, *words: str) -> tuple[list[str], str]:
    done = subprocess.run(
        [sys.executable, *words],
        cwd=project,
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    command, script = json.loads(done.stdout)
    return command, script


@pytest.mark.parametrize(
    ("words", "script"),
    [
        (["manage.py"], "manage.py"),
        (["-X", "utf8", "manage.py"], "manage.py"),
        (["-m", "shop"], ""),
        # An option of the project's own, which Django does not see.
        (["manage.py", "--config=x"], ""),
    ],
    ids=["script", "flags", "module", "own-option"],
)
def test_is_what_stands_before_the_management_command(
    words: list[str], script: str, project: Path
) -> None:
    found = entry(project, *words, "prodserver", "web")
    assert found == ([sys.executable, *words], script)


def test_is_found_after_the_directory_has_changed(project: Path) -> None:
    command, _ = entry(project, "manage.py", "--chdir", "prodserver", "web")
    assert command == [sys.executable, str(project / "manage.py"), "--chdir"]


def test_is_none_where_another_program_calls_the_command() -> None:
    from django_prodserver.process.entry import find_entry

    assert find_entry(["manage.py", "prodserver", "web"]) is None
    assert find_entry(["manage.py"]) is None
