"""The workflows do what can be done here too: the same commands, versions, files."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path
from typing import Any

import pytest

yaml = pytest.importorskip("yaml", reason="the documentation's tools are not installed")

ROOT = Path(__file__).parents[2]
GITHUB = ROOT / ".github"
WORKFLOWS = {path.name: path for path in (GITHUB / "workflows").glob("*.yml")}


def load(path: Path) -> dict[str, Any]:
    return dict(yaml.safe_load(path.read_text()))


def jobs(name: str) -> dict[str, Any]:
    return dict(load(WORKFLOWS[name])["jobs"])


def steps(name: str) -> list[dict[str, Any]]:
    return [step for job in jobs(name).values() for step in job["steps"]]


def test_the_matrix_is_that_of_nox() -> None:
    pytest.importorskip("nox", reason="nox itself runs these tests")
    listed = subprocess.run(
        [sys.executable, "-m", "nox", "--list"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    sessions = set(re.findall(r"tests\(.*\)", listed))
    job = jobs("tests.yml")["quick"]
    command = job["steps"][-1]["run"]
    wanted = set()
    for versions in job["strategy"]["matrix"]["include"]:
        line = command
        for name, version in versions.items():
            line = line.replace(f"${{{{ matrix.{name} }}}}", version)
        wanted.add(line.partition('"')[2].rstrip('"'))
    assert wanted == sessions


@pytest.mark.parametrize("name", WORKFLOWS)
def test_a_workflow_may_only_read_but_where_it_says_more(name: str) -> None:
    assert load(WORKFLOWS[name])["permissions"] == {"contents": "read"}
    for step in steps(name):
        uses = step.get("uses", "actions/checkout@v5")
        assert re.fullmatch(r"[\w.-]+/[\w.-]+@(v\d+|release/v\d+)", uses)


@pytest.mark.parametrize("name", WORKFLOWS)
def test_its_commands_are_sound_shell(name: str) -> None:
    program = shutil.which("shellcheck")
    if not program:
        pytest.skip("shellcheck is missing; make test installs it")
    for step in steps(name):
        if "run" in step:
            # What GitHub puts in is text to a shell.
            script = re.sub(r"\$\{\{.*?\}\}", "value", step["run"])
            done = subprocess.run(
                [program, "--shell=bash", "-"],
                input=script,
                capture_output=True,
                text=True,
            )
            assert done.returncode == 0, done.stdout


def test_its_make_targets_are_there() -> None:
    targets = re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE)
    for name in WORKFLOWS:
        for step in steps(name):
            for target in re.findall(r"\bmake ([a-z-]+)", step.get("run", "")):
                assert target in targets


def test_dependabot_looks_where_there_is_something() -> None:
    found = {each["package-ecosystem"]: each for each in updates()}
    assert (ROOT / found["docker"]["directory"].strip("/") / "Dockerfile").exists()
    assert WORKFLOWS
    assert (ROOT / "pyproject.toml").exists()
    assert set(found) == {"pip", "docker", "github-actions"}


def updates() -> list[dict[str, Any]]:
    return list(load(GITHUB / "dependabot.yml")["updates"])


@pytest.mark.parametrize("form", ["bug.yml", "feature.yml"])
def test_an_issue_form_has_fields_that_have_to_be_filled(form: str) -> None:
    body = load(GITHUB / "ISSUE_TEMPLATE" / form)["body"]
    identifiers = [field["id"] for field in body]
    assert len(set(identifiers)) == len(identifiers)
    assert all(field["validations"]["required"] for field in body)


@pytest.mark.process
def test_a_release_holds_all_that_the_package_needs(tmp_path: Path) -> None:
    """The workflow's own command, which builds both from a checkout."""
    command = next(
        step["run"]
        for step in steps("release.yml")
        if step.get("run", "").startswith("uv build")
    )
    uv = Path(sys.executable).with_name("uv")
    subprocess.run(
        [uv, *command.split()[1:], "--quiet", "--out-dir", tmp_path],
        cwd=ROOT,
        check=True,
    )
    (wheel,) = tmp_path.glob("*.whl")
    (source,) = tmp_path.glob("*.tar.gz")
    with zipfile.ZipFile(wheel) as archive:
        names = set(archive.namelist())
    ours = ROOT / "src"
    for package in ("django_prodserver", "prodserver_conformance"):
        for path in (ours / package).rglob("*"):
            if path.is_file() and "__pycache__" not in path.parts:
                assert path.relative_to(ours).as_posix() in names
    assert any(name.endswith("licenses/LICENSE") for name in names)
    with tarfile.open(source) as tar:
        inside = {name.partition("/")[2] for name in tar.getnames()}
    assert {"pyproject.toml", "README.md", "LICENSE", "CHANGELOG.md"} <= inside
    assert any(name.startswith("tests/") for name in inside)
