"""Finding the console script that belongs to this interpreter."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from django_prodserver.exceptions import ConfigurationError, Fault
from django_prodserver.process import executable


@pytest.fixture
def bare_interpreter(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Pretend that the interpreter is in an empty directory; return the directory."""
    monkeypatch.setattr(sys, "executable", str(tmp_path / "python"))
    return tmp_path


def script(folder: Path, name: str, mode: int = 0o755) -> Path:
    path = folder / name
    path.write_text("#!/bin/sh\n")
    path.chmod(mode)
    return path


def test_prefers_the_script_beside_the_interpreter(bare_interpreter):
    """Even if another package or PATH has a script of that name."""
    path = script(bare_interpreter, "pytest")
    assert executable.find("pytest") == str(path)


def test_falls_back_to_the_script_of_the_package(bare_interpreter, monkeypatch):
    found = Path(executable.find("pytest"))
    monkeypatch.undo()
    assert found == (Path(sys.executable).parent / "pytest").resolve()


@pytest.mark.parametrize("name", ["nosuchcommand", "pytest-nosuch"])
def test_a_missing_script_is_an_error(bare_interpreter, name):
    with pytest.raises(ConfigurationError) as caught:
        executable.find(name)
    assert caught.value.fault is Fault.NOT_INSTALLED
    message = f"The command {name} was not found next to {bare_interpreter}/python."
    assert message in str(caught.value)


def test_ignores_files_that_are_not_executable(bare_interpreter, monkeypatch):
    script(bare_interpreter, "nosuchcommand", 0o644)
    # Without any x bit, so that root cannot run it either.
    with pytest.raises(ConfigurationError):
        executable.find("nosuchcommand")
