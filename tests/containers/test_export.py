"""Exported files, used for real: compose up, and a rolling update of a Deployment."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.containers import test_compose as compose
from tests.containers.harness import PORT, Container, Containers
from tests.containers.images import Images
from tests.containers.proxy import Load, Proxy, get
from tests.containers.test_kubernetes import probed
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
    assert "keeps serving" in compose._docker("logs", web)
    for service in services:
        [container] = project.containers(service)
        assert compose._state(container)["ExitCode"] == 0, project.report()
    project("down", "--volumes")
    assert project.containers() == []


# Kubernetes


class Cluster:
    """Runs the Pods of a Deployment, as a kubelet and a Service would."""

    def __init__(self, deployment: Any, containers: Containers, proxy: Proxy) -> None:
        self._pod = deployment["spec"]["template"]["spec"]
        [self._wanted] = self._pod["containers"]
        self._containers = containers
        self._proxy = proxy

    def start(self) -> Container:
        """Start a Pod, and wait until its own probes say that it is ready."""
        security = self._wanted["securityContext"]
        container = self._containers.start(
            *self._wanted["args"],
            env={v["name"]: v["value"] for v in self._wanted["env"]} | TEST_SETTINGS,
            ports=[PORT],
            read_only=security["readOnlyRootFilesystem"],
            cap_drop=security["capabilities"]["drop"],
            security_opt=["no-new-privileges"],
            tmpfs={mount["mountPath"]: "" for mount in self._wanted["volumeMounts"]},
            mem_limit=self._wanted["resources"]["limits"]["memory"].lower()[:-1],
        )
        for probe in ("startupProbe", "livenessProbe", "readinessProbe"):
            container.until(partial(probed, container, self._wanted[probe]), probe)
        port = int(container.testcontainer.get_exposed_port(PORT))
        replica = self._proxy.add(str(container.docker.name), port)
        container.until(lambda: replica.is_ready, "in the Service")
        return container

    def stop(self, container: Container) -> int:
        """Stop a Pod: the hook, then SIGTERM, and SIGKILL after the grace period."""
        hook = self._wanted["lifecycle"]["preStop"]["exec"]["command"]
        ready = self._wanted["readinessProbe"]
        with ThreadPoolExecutor() as threads:
            draining = threads.submit(container.exec, *hook)
            container.until(lambda: not probed(container, ready), "not ready")
            assert draining.result().code == 0
        stopped = container.stop(self._pod["terminationGracePeriodSeconds"])
        self._proxy.forget(str(container.docker.name))
        return stopped.code


TEST_SETTINGS = {
    "TEST_SETTINGS": json.dumps(
        {"MIDDLEWARE": ["django_prodserver.health.middleware.HealthMiddleware"]}
    )
}


def test_a_rolling_update_of_the_deployment_loses_no_request(
    containers: Containers,
) -> None:
    command = ("prodserver", "--export", "kubernetes", "gunicorn")
    done = containers.run(*command, env=TEST_SETTINGS)
    assert done.code == 0, done.output
    found = [each for each in yaml.safe_load_all(done.output) if each]
    [deployment] = [each for each in found if each["kind"] == "Deployment"]
    update = deployment["spec"]["strategy"]["rollingUpdate"]
    assert update == {"maxUnavailable": 0, "maxSurge": 1}
    with Proxy() as proxy:
        cluster = Cluster(deployment, containers, proxy)
        old = [cluster.start(), cluster.start()]
        with Load(proxy.port) as load:
            for container in old:
                load.more(30)
                cluster.start()
                assert cluster.stop(container) == 0
            load.more(30)
    assert load.failures == []
    assert load.served >= 90
    print(f"rolling update: 2 Pods replaced, {load.served} served, 0 lost")
