"""An orchestrator that exists: Docker's swarm mode, one rolling update under load."""

from __future__ import annotations

import json
import subprocess
import threading
import uuid
from contextlib import suppress
from typing import Any

import docker.errors
import pytest
from testcontainers.core.docker_client import DockerClient

from tests.conftest import Row
from tests.containers import leftovers
from tests.containers.harness import PORT
from tests.containers.images import LABEL, PREFIX, Images
from tests.containers.proxy import Load, Proxy
from tests.containers.test_zero_loss import DRAIN, TABLE
from tests.harness import free_port, wait_for

pytestmark = pytest.mark.container

SERVER = "gunicorn"
#: A network that a swarm makes, and leaves behind.
GATEWAY = "docker_gwbridge"
# The image's own HEALTHCHECK, asked more often: it decides when the next comes.
HEALTH = {"interval": "1s", "timeout": "30s", "start-period": "60s"}
PATIENCE = 240


def run(*command: str) -> str:
    done = subprocess.run(["docker", *command], capture_output=True, text=True)
    assert done.returncode == 0, f"{' '.join(command)}: {done.stderr}"
    return done.stdout.strip()


@pytest.fixture
def swarm() -> None:
    """
    Make the engine a swarm of one.

    It leaves the swarm once all tests have ended: with that, an engine forgets the
    names of the containers on all its networks, which other tests are looking up.
    """
    if run("info", "--format={{.Swarm.LocalNodeState}}") == "active":
        return
    bridges = run("network", "ls", "--format={{.Name}}").split()
    listen = f"--listen-addr=127.0.0.1:{free_port()}"
    leftovers.SWARM.write_text("" if GATEWAY in bridges else GATEWAY)
    run("swarm", "init", "--advertise-addr=127.0.0.1", listen)


class Service:
    """A service of two replicas; the proxy learns where they are, as they come."""

    def __init__(self, image: str, proxy: Proxy) -> None:
        self.name = f"prodserver-{uuid.uuid4().hex[:8]}"
        self._proxy = proxy
        self._client = DockerClient().client
        self._ended = threading.Event()
        self._follower = threading.Thread(target=self._follow, daemon=True)
        env = {**DRAIN, "PROCESS_NAME": SERVER, "RELEASE": "1"}
        run(
            *("service", "create", "--detach", "--no-resolve-image"),
            *(f"--name={self.name}", "--replicas=2", "--stop-grace-period=60s"),
            # Of any number: for a while there are more of them than two.
            f"--publish=mode=host,target={PORT}",
            *("--update-order=start-first", "--update-monitor=1s"),
            *(f"--health-{name}={value}" for name, value in HEALTH.items()),
            f"--container-label={LABEL}={PREFIX}",
            *(f"--env={name}={value}" for name, value in env.items()),
            image,
        )
        self._follower.start()

    def tasks(self) -> list[Any]:
        """Return its containers that run."""
        label = f"com.docker.swarm.service.name={self.name}"
        return list(self._client.containers.list(filters={"label": label}))

    def releases(self) -> list[str]:
        """Return what each of the containers that run has as RELEASE."""
        variables = [set(task.attrs["Config"]["Env"]) for task in self.tasks()]
        return sorted("2" if "RELEASE=2" in env else "1" for env in variables)

    def ready(self) -> int:
        return sum(replica.is_ready for replica in self._proxy.replicas.values())

    def update(self) -> str:
        """Give it another release; return how that went."""
        run("service", "update", "--detach", "--env-add=RELEASE=2", self.name)

        def state() -> str:
            [service] = json.loads(run("service", "inspect", self.name))
            found = str(service.get("UpdateStatus", {}).get("State", ""))
            return "" if found in ("", "updating") else found

        return wait_for(state, f"an update: {self.report()}", PATIENCE)

    def report(self) -> str:
        return run("service", "ps", "--no-trunc", self.name)

    def remove(self) -> None:
        self._ended.set()
        self._follower.join()
        run("service", "rm", self.name)
        wait_for(lambda: not self.tasks(), "the end of its containers", PATIENCE)
        self._client.close()

    def _follow(self) -> None:
        while not self._ended.wait(0.2):
            # One that ends while it is looked at.
            with suppress(docker.errors.APIError):
                self._look()

    def _look(self) -> None:
        there = {}
        for task in self.tasks():
            if bound := task.attrs["NetworkSettings"]["Ports"].get(f"{PORT}/tcp"):
                there[task.name] = int(bound[0]["HostPort"])
        for name in self._proxy.replicas.keys() - there.keys():
            self._proxy.forget(name)
        for name in there.keys() - self._proxy.replicas.keys():
            self._proxy.add(name, there[name])


@pytest.mark.usefixtures("swarm")
def test_a_rolling_update_loses_no_request(images: Images, row: Row) -> None:
    """Start-first: the next is healthy before one is stopped, and that one drains."""
    with Proxy() as proxy:
        service = Service(images.test, proxy)
        try:
            wait_for(lambda: service.ready() == 2, "two replicas", PATIENCE)
            with Load(proxy.port) as load:
                load.more(100)
                assert service.releases() == ["1", "1"]
                assert service.update() == "completed", service.report()
                updated = ["2", "2"]
                wait_for(lambda: service.releases() == updated, "no other", PATIENCE)
                load.more(100)
        finally:
            service.remove()
    assert load.failures == []
    row(TABLE, process="swarm, gunicorn", stops=2, served=load.served, lost=0, twice=0)
