"""Fixtures of the tests with containers; ``harness`` says how to use them."""

from __future__ import annotations

import os
from collections.abc import Callable, Generator, Iterator
from functools import cache
from pathlib import Path

import pytest

# Before testcontainers reads them. Its reaper is an image of a registry's; and a
# published port is on this machine, also where it takes the bridge's address.
os.environ["TESTCONTAINERS_RYUK_DISABLED"] = "true"
os.environ.setdefault("TESTCONTAINERS_HOST_OVERRIDE", "localhost")

from testcontainers.core.network import Network

from tests.containers.harness import Containers, Databases, Site
from tests.containers.images import LABEL, PREFIX, Images, build_once
from tests.containers.leftovers import leave_swarm

_failed = pytest.StashKey[bool]()


def pytest_sessionfinish() -> None:
    """Leave the swarm, once the workers of this run have ended."""
    if "PYTEST_XDIST_WORKER" not in os.environ:
        leave_swarm()


@pytest.fixture(scope="session")
def images(tmp_path_factory: pytest.TempPathFactory) -> Images:
    """The images under test, built once for all of this run's workers."""
    folder = tmp_path_factory.getbasetemp()
    if "PYTEST_XDIST_WORKER" in os.environ:
        folder = folder.parent
    return build_once(folder)


@pytest.fixture(scope="session")
def network(images: Images) -> Iterator[Network]:
    with Network(docker_network_kw={"labels": {LABEL: PREFIX}}) as made:
        yield made


@pytest.fixture(scope="session")
def databases(
    images: Images, network: Network, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Callable[[], Databases]]:
    """A PostgreSQL for all tests of a worker, started when one asks for it."""
    folder = tmp_path_factory.mktemp("databases") / "data"
    containers = Containers(images, network, folder, lambda: get())

    @cache
    def get() -> Databases:
        return Databases(containers)

    yield get
    containers.remove()


@pytest.fixture
def containers(
    images: Images,
    network: Network,
    databases: Callable[[], Databases],
    tmp_path: Path,
    request: pytest.FixtureRequest,
) -> Iterator[Containers]:
    """Starts containers of the test image, and removes them."""
    made = Containers(images, network, tmp_path / "data", databases)
    yield made
    if request.node.stash.get(_failed, False):
        for container in made.started:
            print(f"\n{container.report()}")
    made.remove()


@pytest.fixture
def site(containers: Containers) -> Site:
    """The project with a Redis and a migrated database of its own."""
    return containers.site()


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item,
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    report = yield
    if report.when == "call":
        item.stash[_failed] = report.failed
    return report
