"""Which console script is this interpreter's."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from django_prodserver.exceptions import ConfigurationError, Fault
from django_prodserver.process import executable


@pytest.fixture
def elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An interpreter without any script beside it."""
    monkeypatch.setattr(sys, "executable", str(tmp_path / "python"))
    return tmp_path


def script(folder: Path, name: str, mode: int = 0o755) -> Path:
    path = folder / name
    path.write_text("#!/bin/sh\n")
    path.chmod(mode)
    return path


def test_it_is_the_one_beside_the_interpreter(elsewhere):
    """Also where another package, or PATH, has one of that name."""
    path = script(elsewhere, "pytest")
    assert executable.find("pytest") == str(path)


def test_else_it_is_where_its_package_was_installed(elsewhere, monkeypatch):
    found = Path(executable.find("pytest"))
    monkeypatch.undo()
    assert found == (Path(sys.executable).parent / "pytest").resolve()


@pytest.mark.parametrize("name", ["nosuchcommand", "pytest-nosuch"])
def test_one_that_is_nowhere_is_a_fault(elsewhere, name):
    with pytest.raises(ConfigurationError) as caught:
        executable.find(name)
    assert caught.value.fault is Fault.NOT_INSTALLED
    assert f"The command {name} is missing beside {elsewhere}/python." in str(
        caught.value
    )


def test_what_cannot_be_run_is_none(elsewhere, monkeypatch):
    script(elsewhere, "nosuchcommand", 0o644)
    # Root may run what has any x at all, and this has none.
    with pytest.raises(ConfigurationError):
        executable.find("nosuchcommand")
