"""What a start decided about preloading is remembered until the code changes."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path

import pytest

from django_prodserver.health import state
from django_prodserver.process import preload_memory
from django_prodserver.process.preload_memory import Memory, last_decision

COMMAND = ["gunicorn", "proj.wsgi:application"]
REASON = "the application has started the thread 'poller'"


@pytest.fixture(autouse=True)
def runtime(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    directory = tmp_path / "runtime"
    directory.mkdir()
    monkeypatch.setenv("PRODSERVER_RUNTIME_DIR", str(directory))
    return directory


@pytest.fixture
def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A package of the project that is loaded, with one module."""
    folder = tmp_path / "shop_remembered"
    folder.mkdir()
    (folder / "__init__.py").touch()
    monkeypatch.syspath_prepend(str(tmp_path))
    import_module(folder.name)
    yield folder
    del sys.modules[folder.name]


def give_up() -> None:
    Memory("web", COMMAND).remember(preloaded=False, reason=REASON)


def test_the_same_start_knows_the_reason() -> None:
    assert Memory("web", COMMAND).reason_given_up() == ""
    give_up()
    assert Memory("web", COMMAND).reason_given_up() == REASON


def test_a_start_that_was_preloaded_gives_no_reason() -> None:
    Memory("web", COMMAND).remember(preloaded=True, reason=REASON)
    assert Memory("web", COMMAND).reason_given_up() == ""


def test_another_start_is_another_one(monkeypatch: pytest.MonkeyPatch) -> None:
    give_up()
    assert Memory("other", COMMAND).reason_given_up() == ""
    assert Memory("web", [*COMMAND, "--workers=3"]).reason_given_up() == ""
    # What is installed, listened to or sent may depend on any variable.
    monkeypatch.setenv("SENTRY_DSN", "")
    assert Memory("web", COMMAND).reason_given_up() == ""


def test_what_differs_at_each_start_does_not_matter(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    give_up()
    monkeypatch.setenv("INVOCATION_ID", "5" * 32)
    monkeypatch.setenv("_", "/bin/prodserver")
    assert Memory("web", COMMAND).reason_given_up() == REASON


def test_a_shell_with_another_environment_knows_the_decision(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """As --explain and check run in one."""
    give_up()
    monkeypatch.setenv("SENTRY_DSN", "")
    decision = last_decision("web")
    assert decision
    assert (decision.preloaded, decision.reason) == (False, REASON)


def test_a_module_that_changes_is_other_code(package: Path) -> None:
    give_up()
    (package / "__init__.py").write_text("# deployed")
    assert Memory("web", COMMAND).reason_given_up() == ""
    assert last_decision("web") is None


@pytest.mark.parametrize("change", ["add", "remove"])
def test_a_file_that_comes_or_goes_is_other_code(package: Path, change: str) -> None:
    give_up()
    if change == "add":
        (package / "admin.py").touch()
    else:
        (package / "__init__.py").unlink()
    assert last_decision("web") is None


def test_a_file_that_is_no_module_is_no_other_code(package: Path) -> None:
    os.utime(package, (1, 1))
    give_up()
    (package / "__pycache__").mkdir(exist_ok=True)
    (package / "db.sqlite3").touch()
    assert last_decision("web")


def test_what_is_installed_is_other_code(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    site = tmp_path / "site-packages"
    site.mkdir()
    os.utime(site, (1, 1))
    monkeypatch.syspath_prepend(str(site))
    give_up()
    assert last_decision("web")
    (site / "redis-9.9.dist-info").mkdir()
    assert last_decision("web") is None


def test_another_release_is_other_code(monkeypatch: pytest.MonkeyPatch) -> None:
    give_up()
    monkeypatch.setattr(sys, "version", "3.99")
    assert last_decision("web") is None


def test_only_files_of_the_project_are_looked_at(package: Path) -> None:
    files = preload_memory._files_of_the_code()
    assert {str(package), str(package / "__init__.py")} <= files
    assert os.__file__ not in files
    assert pytest.__file__ not in files


def test_no_secret_is_written(runtime: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DB_PASSWORD", "hunter2")
    Memory("web", [*COMMAND, "--env=KEY=hunter2"]).remember(False, REASON)
    file = runtime / "web.preload"
    assert "hunter2" not in file.read_text()
    assert file.stat().st_mode & 0o077 == 0


@pytest.mark.parametrize("content", ["", "{", "[]", "{}", '{"preloaded": false}'])
def test_a_file_that_is_damaged_is_none(runtime: Path, content: str) -> None:
    (runtime / "web.preload").write_text(content)
    assert last_decision("web") is None


def test_without_a_directory_nothing_is_remembered_and_nothing_fails(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(state, "directories", lambda: ["/proc/nowhere"])
    give_up()
    assert last_decision("web") is None
