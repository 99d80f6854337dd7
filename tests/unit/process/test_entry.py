"""The project's own entry: what has started this process."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest

from django_prodserver.exceptions import ConfigurationError
from django_prodserver.process.entry import enter_configured, find_entry

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
    assert find_entry(["manage.py", "prodserver", "web"]) is None
    assert find_entry(["manage.py"]) is None


@pytest.mark.parametrize(
    "origin", ["PRODSERVER_MANAGE", "[tool.prodserver] manage in pyproject.toml"]
)
@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("mange.py", "there is no such file"),
        ("python mange.py", "there is no such file"),
        ("python", "there is no such file"),
        ("python -m nothing.here", "there is no such module"),
        ("python -m", "there is no such module"),
        ("nothing-here", "there is no such command"),
        ("shop 'one", "which is not a command"),
        (" ", "which is not a command"),
    ],
)
def test_a_wrong_entry_is_one_message(
    origin: str,
    text: str,
    problem: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(tmp_path)
    if origin == "PRODSERVER_MANAGE":
        monkeypatch.setenv(origin, text)
    else:
        quoted = json.dumps(text)
        content = f"[tool.prodserver]\nmanage = {quoted}\n"
        (tmp_path / "pyproject.toml").write_text(content)
    with pytest.raises(ConfigurationError) as raised:
        enter_configured(["web"])
    assert str(raised.value).startswith(origin)
    assert problem in raised.value.message
    assert raised.value.hint


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        ("[tool.prodserver", "pyproject.toml cannot be read"),
        ("[tool.prodserver]\nmange = 'x'", "has the unknown key 'mange'"),
        ("[tool.prodserver]\nmanage = 1", "is 1, not a string"),
        ("[tool]\nprodserver = 1", "is 1, not a table"),
        ("tool = 'prodserver'", "is 'prodserver', not a table"),
    ],
)
def test_a_wrong_table_is_one_message(
    content: str, problem: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "pyproject.toml").write_text(content)
    with pytest.raises(ConfigurationError, match=re.escape(problem)):
        enter_configured(["web"])


NOT_CONFIGURED = {
    "no file": None,
    "no table": "[project]\nname = 'shop'",
    "a broken file of others": "[tool.black",
    "empty": "[tool.prodserver]\nmanage = ''",
}


@pytest.mark.parametrize("content", NOT_CONFIGURED.values(), ids=NOT_CONFIGURED)
def test_without_an_entry_nothing_happens(
    content: str | None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    if content is not None:
        (tmp_path / "pyproject.toml").write_text(content)
    enter_configured(["web"])


def test_an_empty_variable_turns_the_file_off(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "pyproject.toml").write_text("[tool.prodserver]\nmanage = 'x.py'")
    monkeypatch.setenv("PRODSERVER_MANAGE", "")
    enter_configured(["web"])


@pytest.mark.parametrize("option", ["--help", "-h", "--version"])
def test_what_needs_no_project_uses_no_entry(
    option: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PRODSERVER_MANAGE", "nothing-here")
    enter_configured([option])
    with pytest.raises(ConfigurationError):
        enter_configured(["web", "--", option])
