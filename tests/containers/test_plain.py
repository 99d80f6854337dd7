"""An image that is not made from ours: the Dockerfile of the page on moving."""

from __future__ import annotations

import shutil
import subprocess
import tomllib
from pathlib import Path

import pytest

from tests import harness
from tests.containers.harness import PORT, Containers
from tests.containers.images import PREFIX, ROOT, Images, make

pytestmark = pytest.mark.container

PROJECT = ROOT / "tests" / "project"
DOCKERFILE = Path(__file__).parent / "plain" / "Dockerfile"
#: This version, which is on no index.
INDEX = """
ARG PYTHON_IMAGE
FROM ${PYTHON_IMAGE}
COPY *.whl constraints.txt /wheels/
ENV PIP_FIND_LINKS=/wheels PIP_CONSTRAINT=/wheels/constraints.txt
"""


@pytest.fixture(scope="module")
def plain(images: Images, tmp_path_factory: pytest.TempPathFactory) -> str:
    """The image, of the project under test."""
    index = tmp_path_factory.mktemp("index")
    uv = [str(harness.BIN / "uv"), "build", "--quiet", "--wheel"]
    subprocess.run([*uv, "--out-dir", str(index), str(ROOT)], check=True)
    shutil.copy2(ROOT / "constraints.txt", index)
    (index / "Dockerfile").write_text(INDEX)
    python = make(index, f"{PREFIX}:index", PYTHON_IMAGE=images.python)

    site = tmp_path_factory.mktemp("plain") / "site"
    ignored = shutil.ignore_patterns("__pycache__", "*.sqlite3*")
    shutil.copytree(PROJECT, site, ignore=ignored)
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    needs = f"{project['name']}[gunicorn,django-tasks]=={project['version']}\n"
    (site / "requirements.txt").write_text(needs)
    return make(site, f"{PREFIX}:plain", file=DOCKERFILE, PYTHON_IMAGE=python)


def test_it_serves_is_healthy_and_stops_without_a_loss(
    containers: Containers, plain: str
) -> None:
    web = containers.start(image=plain, ports=[PORT], init=True)
    web.until(web.answers, "the first answer")
    web.healthy()
    assert web.probe("--live").output == "web is live: it listens on 0.0.0.0:8000\n"
    request = web.in_flight("/slow?s=3")
    stopped = web.stop()
    assert request.result() == "slow done"
    assert stopped.code == 0
    web.log_is_clean(r"Not Found: / ")  # which the probe asks for


def test_without_an_init_it_is_pid_1_itself(containers: Containers, plain: str) -> None:
    web = containers.start(image=plain, ports=[PORT])
    web.until(web.answers, "the first answer")
    assert web.stop().code == 0


def test_it_runs_the_other_processes_too(containers: Containers, plain: str) -> None:
    done = containers.run("prodserver", "--list", image=plain)
    assert done.code == 0
    assert "gunicorn proj.wsgi:application" in done.output
    assert "--bind=0.0.0.0:8000" in done.output
    wrong = containers.run("prodserver", "wbe", image=plain)
    assert wrong.code == 78
    assert "Did you mean 'web'?" in wrong.output


def test_the_log_says_why_nothing_answers_without_an_address(
    containers: Containers, plain: str
) -> None:
    """It is healthy, because its probe is in the container too."""
    env = {"PRODSERVER_HOST": "", "TEST_SETTINGS": '{"SILENCED_SYSTEM_CHECKS": []}'}
    web = containers.start(image=plain, env=env, ports=[PORT], init=True)
    web.healthy()
    assert not web.answers()
    assert "nothing outside this container can reach tcp://127.0.0.1:8000" in web.log
