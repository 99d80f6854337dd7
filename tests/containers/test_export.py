"""Exported files, used for real: compose up."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.containers import test_compose as compose
from tests.containers.images import Images
from tests.containers.proxy import get
from tests.harness import BIN, wait_for

pytestmark = pytest.mark.container

EXAMPLE = compose.ROOT / "example"
SECRET = "of-a-test-and-secret"
#: What an operator writes; the example's settings read other names than ours.
ENV_FILE = {
    "DATABASE_PASSWORD": SECRET,
    "DATABASE_URL": f"postgresql://paperwork:{SECRET}@database/paperwork",
    "CELERY_BROKER_URL": "redis://broker:6379/0",
    "DJANGO_SECRET_KEY": SECRET * 3,
    "EXAMPLE_QUEUE": "celery",
    "EXAMPLE_DATA_DIR": "/tmp/data",
}


def export(form: str, folder: Path, *names: str) -> None:
    """Run the command itself, with the settings that production has."""
    url = ENV_FILE["DATABASE_URL"]
    settings = {"DATABASE_URL": url, "DJANGO_SETTINGS_MODULE": "paperwork.settings"}
    done = subprocess.run(
        [BIN / "prodserver", "--export", form, "-o", folder, *names],
        cwd=EXAMPLE,
        env={**os.environ, **settings, "EXAMPLE_DATA_DIR": str(folder / "data")},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr


@pytest.fixture
def project(images: Images, tmp_path: Path) -> Iterator[compose.Project]:
    export("compose", tmp_path, "web", "celery", "beat", "release")
    lines = [f"{name}={value}\n" for name, value in ENV_FILE.items()]
    (tmp_path / ".env").write_text("".join(lines))
    image, _, tag = compose.example_image(images).rpartition(":")
    environment = {
        "IMAGE": image,
        "TAG": tag,
        "DATABASE_IMAGE": images.postgres,
        "BROKER_IMAGE": images.redis,
    }
    made = compose.Project(tmp_path / "compose.yaml", environment)
    yield made
    if made.containers():
        made("down", "--volumes", "--timeout=1")


def test_the_compose_file_comes_up_and_stops(project: compose.Project) -> None:
    project("up", "--detach")
    [release] = project.containers("release")
    assert compose._state(release)["ExitCode"] == 0, project.report()
    services = ("web", "celery", "beat")
    project.healthy(*services)
    [web] = project.containers("web")
    port = compose._port(web)
    assert get(port, "/")[0] == 200
    page = compose._hand_in(port, "The fox and the dogs.")
    wait_for(lambda: compose._is_done(port, page), "a task of the worker", compose.UP)
    for service in services:
        [container] = project.containers(service)
        made = compose._inspect(container)
        assert made["HostConfig"]["ReadonlyRootfs"]
        assert made["HostConfig"]["CapDrop"] == ["ALL"]
        assert SECRET not in compose._docker("logs", container)
    project("stop")
    assert "serves on" in compose._docker("logs", web)
    for service in services:
        [container] = project.containers(service)
        assert compose._state(container)["ExitCode"] == 0, project.report()
    project("down", "--volumes")
    assert project.containers() == []
