"""A new project with Celery and PostgreSQL: ``--init``, build, up, healthy."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.containers.images import PREFIX, Images
from tests.containers.proxy import get
from tests.harness import wait_for

pytestmark = pytest.mark.container

#: Seconds for all of it to be healthy, which is asked each 10 s.
UP = 180
SERVICES = ("web", "worker", "beat", "database", "broker")
CELERY = """
import os
from celery import Celery

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "shop.settings")
app = Celery("shop")
app.config_from_object("django.conf:settings", namespace="CELERY")


@app.task
def add(a, b):
    return a + b
"""
SETTINGS = """
DATABASES = {
    "default": {
        "ENGINE": "django.db.backends.postgresql",
        "NAME": "shop",
        "USER": "shop",
        "PASSWORD": "local",
        "HOST": "localhost",
    }
}
CELERY_BROKER_URL = "redis://localhost:6379/0"
CELERY_RESULT_BACKEND = "redis://localhost:6379/0"
"""
TASK = "from shop.celery import add; print(add.delay(2, 3).get(timeout=60))"


class Project:
    """A project as ``startproject`` makes it, with Celery and PostgreSQL."""

    def __init__(self, root: Path, images: Images) -> None:
        self.root = root
        self._name = f"init{uuid.uuid4().hex[:8]}"
        self._environment = {
            **os.environ,
            "BASE_IMAGE": images.base,
            "BUILDER_IMAGE": images.builder,
            "DATABASE_IMAGE": images.postgres,
            "BROKER_IMAGE": images.redis,
            "APP_IMAGE": f"{PREFIX}:init",
            # Any that is free.
            "PORTS": "0",
            "COMPOSE_PROJECT_NAME": self._name,
        }
        self._environment.pop("DJANGO_SETTINGS_MODULE", None)
        root.mkdir()
        self.run(sys.executable, "-m", "django", "startproject", "shop", ".")
        (root / "shop" / "celery.py").write_text(CELERY)
        init = "from .celery import app as celery_app\n"
        (root / "shop" / "__init__.py").write_text(init)
        with (root / "shop" / "settings.py").open("a") as settings:
            settings.write(SETTINGS)

    def run(self, *words: str) -> str:
        done = subprocess.run(
            words,
            cwd=self.root,
            env=self._environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        assert done.returncode == 0, f"{words}\n{done.stdout}\n{self.report()}"
        return done.stdout

    def compose(self, *words: str) -> str:
        # The oldest that has to take the file; else what is there.
        old = shutil.which("docker-compose")
        return self.run(*([old] if old else ["docker", "compose"]), *words)

    def container(self, service: str) -> str:
        filters = (
            f"--filter=label=com.docker.compose.project={self._name}",
            f"--filter=label=com.docker.compose.service={service}",
        )
        return _docker("ps", "--all", "--quiet", *filters).strip()

    def health(self, service: str) -> str:
        """Return "healthy", or what else it is."""
        [about] = json.loads(_docker("inspect", self.container(service)))
        return str(about["State"].get("Health", {}).get("Status"))

    def report(self) -> str:
        names = (*SERVICES, "release")
        return "\n".join(
            f"{name}: {_docker('logs', '--tail=30', container)}"
            for name in names
            if (container := self.container(name))
        )


def _docker(*words: str) -> str:
    done = subprocess.run(
        ["docker", *words], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    )
    return done.stdout


@pytest.fixture
def project(images: Images, tmp_path: Path) -> Iterator[Project]:
    made = Project(tmp_path / "shop", images)
    yield made
    if (made.root / "compose.yaml").exists():
        made.compose("down", "--volumes", "--timeout=1")


def test_a_new_project_comes_up_healthy(project: Project) -> None:
    project.run(sys.executable, "-m", "django_prodserver", "--init", "--yes")
    project.compose("up", "--build", "--detach")
    [release] = json.loads(_docker("inspect", project.container("release")))
    assert release["State"]["ExitCode"] == 0, project.report()

    def are_healthy() -> bool:
        return all(project.health(service) == "healthy" for service in SERVICES)

    try:
        wait_for(are_healthy, "healthy", UP)
    except AssertionError as error:
        raise AssertionError(f"{error}\n{project.report()}") from None
    [about] = json.loads(_docker("inspect", project.container("web")))
    [binding] = about["NetworkSettings"]["Ports"]["8000/tcp"]
    for path in ("/admin/login/", "/static/admin/css/base.css", "/-/ready"):
        status, body = get(int(binding["HostPort"]), path)
        assert status == 200, body
    shell = ("python", "manage.py", "shell", "--no-imports", "-c", TASK)
    answer = project.compose("exec", "-T", "web", *shell)
    assert answer.split()[-1] == "5"
