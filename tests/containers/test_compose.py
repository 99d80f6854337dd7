"""compose.example.yaml, brought up for real: scaled, replaced under load, down."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import urllib.parse
import urllib.request
import uuid
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from tests.containers.images import PREFIX, Images, make
from tests.containers.logs import problems
from tests.containers.proxy import Load, Proxy, Replica, get
from tests.harness import wait_for

pytestmark = pytest.mark.container

ROOT = Path(__file__).parents[2]
SECRETS = ("postgres_password", "django_secret_key")
#: Seconds for all of it to be healthy, which is asked each 10 s.
UP = 180


class Project:
    """A file of compose's, as compose runs it."""

    def __init__(self, file: Path, environment: Mapping[str, str]) -> None:
        self.name = f"paperwork{uuid.uuid4().hex[:8]}"
        self._file = file
        self._environment = {
            **os.environ,
            **environment,
            # Any that is free, for each replica.
            "PORTS": "0",
            "COMPOSE_PROJECT_NAME": self.name,
        }

    def __call__(self, *args: str) -> str:
        # The oldest that has to take the file; else what is there.
        old = shutil.which("docker-compose")
        command = [old] if old else ["docker", "compose"]
        done = subprocess.run(
            [*command, f"--file={self._file.name}", *args],
            cwd=self._file.parent,
            env=self._environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        assert done.returncode == 0, f"{args}\n{done.stdout}\n{self.report()}"
        return done.stdout

    def containers(self, service: str = "") -> list[str]:
        labels = [f"project={self.name}", *([f"service={service}"] if service else [])]
        filters = [f"--filter=label=com.docker.compose.{label}" for label in labels]
        return _docker("ps", "--all", "--quiet", *filters).split()

    def healthy(self, *services: str) -> None:
        def are() -> bool:
            found = [c for service in services for c in self.containers(service)]
            return all(_state(c)["Health"]["Status"] == "healthy" for c in found)

        try:
            wait_for(are, f"{services} healthy", UP)
        except AssertionError as error:
            raise AssertionError(f"{error}\n{self.report()}") from None

    def report(self) -> str:
        return "\n".join(
            f"{_inspect(container)['Name']} {_state(container)}\n"
            f"{_docker('logs', '--tail=30', container)}"
            for container in self.containers()
        )


def example_image(images: Images) -> str:
    context, tag = ROOT / "example", f"{PREFIX}:example"
    return make(context, tag, BASE=images.base, BUILDER=images.builder)


def _docker(*args: str) -> str:
    done = subprocess.run(
        ["docker", *args], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    )
    return done.stdout


def _inspect(container: str) -> dict[str, Any]:
    return dict(json.loads(_docker("inspect", container))[0])


def _state(container: str) -> dict[str, Any]:
    return dict(_inspect(container)["State"])


def _port(container: str) -> int:
    [binding] = _inspect(container)["NetworkSettings"]["Ports"]["8000/tcp"]
    return int(binding["HostPort"])


def _wait_until_ready(replicas: list[Replica]) -> None:
    wait_for(lambda: all(replica.is_ready for replica in replicas), "ready", UP)


def _hand_in(port: int, text: str) -> str:
    """Hand a text in, as a browser does; return the path of its page."""
    opener = urllib.request.build_opener(urllib.request.HTTPCookieProcessor())
    url = f"http://127.0.0.1:{port}/"
    with opener.open(url, timeout=60) as page:
        form = page.read().decode()
    token = re.search(r'name="csrfmiddlewaretoken" value="(\w+)"', form)
    assert token
    fields = {"csrfmiddlewaretoken": token[1], "text": text}
    data = urllib.parse.urlencode(fields).encode()
    with opener.open(url, data, timeout=60) as page:
        return str(urllib.parse.urlsplit(page.url).path)


def _is_done(port: int, path: str) -> bool:
    status, body = get(port, f"{path}progress/")
    assert status == 200, body
    return bool(json.loads(body)["status"] == "done")


class Visitors(Load):
    """Requests for the page that lists the documents, out of the database."""

    PATHS = ("/",) * 10

    def _one(self, path: str) -> str:
        status, body = get(self._port, path)
        return (
            "" if status == 200 and b"</html>" in body else f"{status} {body[:200]!r}"
        )


@pytest.fixture
def project(images: Images) -> Iterator[Project]:
    environment = {
        "APP_IMAGE": example_image(images),
        "POSTGRES_IMAGE": images.postgres,
        "REDIS_IMAGE": images.redis,
    }
    made = Project(ROOT / "compose.example.yaml", environment)
    yield made
    if made.containers():
        made("down", "--volumes", "--timeout=1")


def test_it_runs_is_scaled_and_is_replaced_without_loss(project: Project) -> None:
    project("up", "--detach", "--scale=web=2", "--scale=worker=3")
    [release] = project.containers("release")
    assert _state(release)["ExitCode"] == 0
    webs, workers = project.containers("web"), project.containers("worker")
    assert (len(webs), len(workers)) == (2, 3)
    project.healthy("web", "worker", "beat")

    with Proxy() as proxy:
        for web in webs:
            proxy.add(web, _port(web))
        _wait_until_ready(list(proxy.replicas.values()))
        # By the proxy's back: it passes on what reads, and no more.
        port = _port(webs[0])
        pages = [_hand_in(port, f"The fox and the {n} dogs.") for n in range(4)]
        with Visitors(proxy.port, clients=2) as load:
            load.more(10)
            for web in webs:
                # It is in the proxy's list meanwhile, which goes by readiness.
                _docker("stop", web)
                assert _state(web)["ExitCode"] == 0, project.report()
                proxy.forget(web)
                _docker("start", web)
                replica = proxy.add(web, _port(web))
                _wait_until_ready([replica])
                load.more(10)
        assert load.failures == []
        assert load.served >= 30
        wait_for(lambda: all(_is_done(proxy.port, page) for page in pages), "done", UP)

    beat = project.containers("beat")
    for container in (*webs, *workers, *beat, release):
        made = _inspect(container)
        assert made["HostConfig"]["ReadonlyRootfs"]
        assert made["HostConfig"]["CapDrop"] == ["ALL"]
        assert "no-new-privileges:true" in made["HostConfig"]["SecurityOpt"]
        log = _docker("logs", container)
        assert problems(log) == []
        for name in SECRETS:
            secret = (ROOT / "example" / "secrets" / name).read_text().strip()
            assert secret not in log
            assert secret not in json.dumps(made)

    project("stop", "--timeout=35")
    for container in (*webs, *workers, *beat):
        assert _state(container)["ExitCode"] == 0, project.report()
    project("down", "--volumes")
    assert project.containers() == []
