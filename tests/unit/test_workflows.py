"""The workflows do what can be done here too: the same commands, versions, files."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
import tarfile
import tomllib
import zipfile
from pathlib import Path
from typing import Any

import pytest

yaml = pytest.importorskip("yaml", reason="the documentation's tools are not installed")

ROOT = Path(__file__).parents[2]
GITHUB = ROOT / ".github"
BAKE = ROOT / "docker-bake.hcl"
WORKFLOWS = {path.name: path for path in (GITHUB / "workflows").glob("*.yml")}


def load(path: Path) -> dict[str, Any]:
    return dict(yaml.safe_load(path.read_text()))


def jobs(name: str) -> dict[str, Any]:
    return dict(load(WORKFLOWS[name])["jobs"])


def bake_variables() -> dict[str, str]:
    found = re.findall(r'variable "(\w+)" { default = "(.*)" }', BAKE.read_text())
    return dict(found)


def bake_names(version: str, python: str, kind: str) -> list[str]:
    """Do what the function "names" of docker-bake.hcl does: COND ? [] : [NAME]."""
    text = BAKE.read_text()
    final = re.search(r'regexall\("(.+?)", VERSION', text)
    assert final
    is_final = re.fullmatch(final[1].strip("^$"), version)
    values = {
        "VERSION": version,
        "PYTHON": python,
        "DEFAULT_PYTHON": bake_variables()["DEFAULT_PYTHON"],
        "SERIES": version.split(".")[0] if is_final else "",
        "kind": kind,
    }
    names = []
    for condition, name in re.findall(r"^    (.+) \? \[\] : \[(.+)\],$", text, re.M):
        expression = condition.replace("||", "or").replace("&&", "and")
        if eval(expression, {}, values):  # noqa: S307  # of this repository
            continue
        if name.startswith("kind =="):
            names.append(kind.removesuffix("-") or "latest")
            continue
        quoted = re.search(r'"(.+?)"', name)
        assert quoted
        filled = re.sub(r"\${(\w+)}", lambda found: values[found[1]], quoted[1])
        is_trimmed = name.startswith("trimsuffix(")
        names.append(filled.removesuffix("-") if is_trimmed else filled)
    return names


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


def test_the_images_are_built_and_signed_for_each_python() -> None:
    job = jobs("images.yml")["images"]
    variables = bake_variables()
    assert variables["DEFAULT_PYTHON"] in job["strategy"]["matrix"]["python"]
    assert variables["PYTHON"] == variables["DEFAULT_PYTHON"]
    dockerfile = (ROOT / "docker" / "Dockerfile").read_text()
    assert f"PYTHON_IMAGE=python:{variables['PYTHON']}-slim" in dockerfile
    assert {"id-token": "write", "packages": "write"}.items() <= job[
        "permissions"
    ].items()
    (bake,) = (step for step in job["steps"] if step.get("id") == "bake")
    assert bake["with"]["sbom"]
    assert bake["with"]["provenance"] == "mode=max"
    assert bake["env"]["PYTHON"] == "${{ matrix.python }}"
    # Only what a tag has pushed is signed, and by what it is.
    sign = job["steps"][-1]
    assert sign["if"] == bake["with"]["push"].strip("${} ")
    assert "cosign sign" in sign["run"]
    assert "containerimage.digest" in sign["run"]
    used = [step["uses"].partition("@")[0] for step in job["steps"] if "uses" in step]
    assert used.index("sigstore/cosign-installer") < used.index("docker/bake-action")
    targets = re.search(r'targets = \["(\w+)", "(\w+)"\]', BAKE.read_text())
    assert targets
    assert f"for target in {targets[1]} {targets[2]};" in sign["run"]


def test_an_image_with_a_known_vulnerability_is_not_pushed() -> None:
    job = jobs("images.yml")["images"]
    runs = [step.get("run", "") for step in job["steps"]]
    (scan,) = (number for number, run in enumerate(runs) if "grype" in run)
    ids = [step.get("id") for step in job["steps"]]
    assert scan < ids.index("bake")
    assert "--fail-on high" in runs[scan]
    # The tag that docker-bake.hcl gives it where there is no version.
    assert bake_names("", "3.12", "") == ["python3.12"]
    assert '"prodserver-base:python$PYTHON"' in runs[scan]
    assert job["steps"][scan]["env"] == {"PYTHON": "${{ matrix.python }}"}


@pytest.mark.parametrize(
    ("version", "python", "names"),
    [
        ("", "3.14", "python3.14"),
        ("4.0.0", "3.14", "4.0.0-python3.14 4-python3.14 python3.14"),
        ("4.0.0", "default", "4.0.0-PY 4-PY PY 4.0.0 4 latest"),
        ("", "default", "PY latest"),
        ("4.1.0rc1", "3.14", "4.1.0rc1-python3.14"),
        ("4.1.0rc1", "default", "4.1.0rc1-PY 4.1.0rc1"),
    ],
)
def test_the_images_have_the_tags_of_the_official_ones(
    version: str, python: str, names: str
) -> None:
    default = bake_variables()["DEFAULT_PYTHON"]
    if python == "default":
        python = default
    elif python == default:
        python = "3.12"
        names = names.replace("3.14", "3.12")
    expected = names.replace("PY", f"python{default}").split()
    assert bake_names(version, python, "") == expected
    builder = {
        "latest": "builder",
        **{name: f"{name}-builder" for name in expected if "python" not in name},
        **{
            name: name.replace("python", "builder-python")
            for name in expected
            if "python" in name
        },
    }
    builder["latest"] = "builder"
    assert bake_names(version, python, "builder-") == [builder[n] for n in expected]


def test_its_make_targets_are_there() -> None:
    targets = re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE)
    for name in WORKFLOWS:
        for step in steps(name):
            for target in re.findall(r"\bmake ([a-z-]+)", step.get("run", "")):
                assert target in targets


def test_the_canary_asks_for_all_that_the_extras_bring() -> None:
    """Each backend's package, in noxfile.py, and by the session that the week runs."""
    command = steps("canary.yml")[-1]["run"]
    assert command == "nox --session canary"
    assert "schedule:" in WORKFLOWS["canary.yml"].read_text()
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    extras = project["optional-dependencies"]
    brought = {
        re.split(r"[<>=\[ ]", requirement)[0]
        for name, requirements in extras.items()
        if name not in ("all", "conformance", "honcho")
        for requirement in requirements
    }
    source = (ROOT / "noxfile.py").read_text().partition("CANARIES = [")[2]
    listed = set(re.findall(r'"([\w-]+)"', source.partition("\n]")[0]))
    assert brought - {"a2wsgi"} <= listed


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
