"""
A project as there are many: uv, psycopg[c], settings of variables, a media volume.

Its Dockerfile is the one that the guide shows.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests import harness
from tests.containers.harness import PORT, Containers
from tests.containers.images import PREFIX, ROOT, Images, make

pytestmark = pytest.mark.container

FIELD = Path(__file__).parent / "field"
NEEDS = {"django": "", "gunicorn": "", "psycopg": "[c]"}
PROJECT = """
[project]
name = "field"
version = "1"
requires-python = ">=3.12"
dependencies = {needs}
"""


def pinned() -> list[str]:
    """Return what it needs, in the releases that are tested."""
    pins = (line.partition(" ;")[0] for line in lines())
    found = {pin.partition("==")[0]: pin.partition("==")[2] for pin in pins}
    return [f"{name}{extra}=={found[name]}" for name, extra in NEEDS.items()]


def lines() -> list[str]:
    return (ROOT / "constraints.txt").read_text().splitlines()


@pytest.fixture(scope="module")
def field(images: Images, tmp_path_factory: pytest.TempPathFactory) -> str:
    context = tmp_path_factory.mktemp("field") / "field"
    shutil.copytree(FIELD, context, ignore=shutil.ignore_patterns("__pycache__"))
    (context / "pyproject.toml").write_text(PROJECT.format(needs=pinned()))
    lock = [str(harness.BIN / "uv"), "lock", "--quiet", "--project", str(context)]
    python = [f"--python={sys.executable}", "--no-python-downloads"]
    subprocess.run([*lock, *python], check=True)
    tag = f"{PREFIX}:field"
    return make(context, tag, BASE=images.base, BUILDER=images.builder)


@pytest.fixture
def site(containers: Containers, field: str) -> dict[str, str]:
    """The variables of the project, and the database that they name."""
    server = containers.postgres()
    return {
        "DJANGO_SECRET_KEY": "of-a-test",
        "POSTGRES_HOST": server.address,
        "POSTGRES_PASSWORD": "postgres",
    }


def test_it_is_released_serves_and_stops(
    containers: Containers, field: str, site: dict[str, str]
) -> None:
    release = containers.run("release", image=field, env=site)
    assert release.code == 0, release.output
    web = containers.start(image=field, env=site, ports=[PORT])
    web.until(web.answers, "the first answer")
    assert web.get("/about") == "0 users"
    implementation = "import psycopg; print(psycopg.pq.__impl__)"
    assert web.exec("python", "-c", implementation).output == "c\n"
    assert web.exec("test", "-e", "/app/static-root/urls.py").code == 0
    assert web.exec("touch", "/app/media/upload").code == 0
    assert "MEDIA_ROOT" not in web.log
    variables = web.exec("env").output
    assert "DJANGO_SECRET_KEY=of-a-test" in variables, "not that of the build"
    assert web.stop().code == 0


def test_a_media_volume_of_another_user_is_warned_of(
    containers: Containers, field: str, tmp_path: Path
) -> None:
    volume = tmp_path / "volume"
    volume.mkdir()
    if os.geteuid() == 0:
        os.chown(volume, 1000, 1000)
    volume.chmod(0o755)
    owner = volume.stat().st_uid
    env = {"DJANGO_SECRET_KEY": "x", "POSTGRES_HOST": "::1", "POSTGRES_PASSWORD": "x"}
    env["PRODSERVER_WAIT_TIMEOUT"] = "0"
    mounts = {"/app/media": volume}
    web = containers.run(image=field, env=env, mounts=mounts)
    assert web.code == 69, web.output
    message = (
        f"uid 10001 cannot write to MEDIA_ROOT, the volume /app/media of uid {owner}:"
    )
    assert message in web.output
    web = containers.run(image=field, env=env, mounts=mounts, user=f"{owner}:0")
    assert "MEDIA_ROOT" not in web.output


def test_a_variable_that_is_missing_is_one_message(
    containers: Containers, field: str
) -> None:
    done = containers.run(image=field)
    assert done.code == 78
    assert "KeyError: 'DJANGO_SECRET_KEY' (config/settings.py, line 5)" in done.output
    assert "Traceback" not in done.output


def test_a_django_prodserver_before_4_is_one_message(
    images: Images, containers: Containers, tmp_path: Path
) -> None:
    """Of the index, as a project's requirements may have it."""
    (tmp_path / "Dockerfile").write_text(
        "ARG BASE\nARG BUILDER\nFROM ${BUILDER} AS build\n"
        "RUN pip install --no-cache-dir --no-deps django-prodserver==3.0.0\n"
        "FROM ${BASE}\nCOPY --from=build /opt/venv /opt/venv\n"
    )
    tag = make(tmp_path, f"{PREFIX}:old", BASE=images.base, BUILDER=images.builder)
    for command in ((), ("web",), ("prodserver", "release")):
        done = containers.run(*command, image=tag)
        assert done.code == 78, done.output
        message = (
            "entrypoint: the project installs django-prodserver 3.0.0, which hides"
        )
        assert done.output.startswith(message)
        assert len(done.output.splitlines()) == 1
