"""Replicas that all run the release before they serve, started at once."""

from __future__ import annotations

import pytest

from tests.containers.harness import PORT, Container, Containers

pytestmark = pytest.mark.container

REPLICAS = 5
#: The release, and then the server: what an image does where nobody else does it.
COMMAND = ("sh", "-c", "prodserver release && exec prodserver gunicorn")


def test_an_empty_database_is_migrated_once_and_all_are_ready(
    containers: Containers,
) -> None:
    # Not waited for, and not by its name, which a busy engine loses at times: the
    # release waits for it.
    password = {"POSTGRES_PASSWORD": "postgres"}
    server = containers.start(image=containers.images.postgres, env=password)
    env = {"TEST_DATABASE_HOST": server.address, "TEST_DATABASE": "postgres"}
    replicas = [
        containers.start(*COMMAND, env=env, ports=[PORT]) for _ in range(REPLICAS)
    ]
    for replica in replicas:
        replica.until(replica.answers, "the first answer", 180)
        assert replica.probe("gunicorn").code == 0
    applied = [migration for replica in replicas for migration in _applied(replica)]
    assert len(applied) == len(set(applied))
    assert "auth.0001_initial" in applied
    assert sum(bool(_applied(replica)) for replica in replicas) == 1
    nothing = "No migrations to apply"
    assert sum(nothing in replica.log for replica in replicas) == REPLICAS - 1


def _applied(replica: Container) -> list[str]:
    lines = [line.strip() for line in replica.log.splitlines()]
    return [
        line.removeprefix("Applying ").partition("...")[0]
        for line in lines
        if line.startswith("Applying ")
    ]
