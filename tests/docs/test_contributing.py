"""CONTRIBUTING.md: its map shows the floors, and the paths that it names exist."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
GUIDE = (ROOT / "CONTRIBUTING.md").read_text()
PACKAGE = ROOT / "src" / "django_prodserver"


def map_floors() -> list[set[str]]:
    """Return the modules on each floor of the map, from the top."""
    [picture] = re.findall(r"```text\n(.*?)```", GUIDE, re.DOTALL)
    columns = [re.split(" {3,}", line)[0] for line in picture.splitlines()]
    return [set(column.split()) for column in columns if column.strip(" |")]


def contract_floors() -> list[set[str]]:
    """Return the same from the contract that import-linter checks."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    contracts = project["tool"]["importlinter"]["contracts"]
    [floors] = [each for each in contracts if each["id"] == "floors"]
    return [set(re.findall(r"\w+", layer)) for layer in floors["layers"]]


def test_the_map_has_the_floors_of_the_contract() -> None:
    *upper, ground = map_floors()
    # The contract has another way to say where this one module stands.
    assert [*upper, ground - {"checks.ids"}] == contract_floors()
    assert "checks.ids" in ground


def test_every_module_is_on_the_map() -> None:
    shown = set().union(*map_floors()) - {"checks.ids"}
    modules = {path.stem for path in PACKAGE.glob("*.py")} - {"__init__"}
    packages = {path.parent.name for path in PACKAGE.glob("*/__init__.py")}
    assert shown == modules | packages


# "NAME" is the reader's own, and these two are made by make targets.
PATHS = sorted(
    path
    for path in set(re.findall(r"`([\w./-]+/[\w./-]*)`", GUIDE))
    if "NAME" not in path and not path.startswith((".venv/", "docs/_build/"))
)


@pytest.mark.parametrize("path", PATHS)
def test_a_path_that_it_names_exists(path: str) -> None:
    folders = (ROOT, ROOT / "src", PACKAGE)
    assert any((folder / path).exists() for folder in folders)


def test_a_make_target_that_it_names_exists() -> None:
    targets = re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE)
    assert set(re.findall(r"\bmake ([a-z-]+)", GUIDE)) <= set(targets)
