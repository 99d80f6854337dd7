""" "auto" in containers: the number of workers, and why, by what each really has."""

from __future__ import annotations

import json
import os
from typing import Any

import pytest

from tests.containers.harness import Containers

pytestmark = pytest.mark.container

#: The engine is on this machine.
CPUS = os.cpu_count() or 1
AUTO = {"PROCESS_NAME": "gunicorn", "WEB_CONCURRENCY": "auto"}
MIB = 2**20
LIMITS: dict[str, tuple[dict[str, Any], int, str]] = {
    "cpus-0.5": ({"nano_cpus": 500_000_000}, 1, "0.5 CPU (cgroup quota)"),
    "cpus-1.5": ({"nano_cpus": 1_500_000_000}, 2, "1.5 CPUs (cgroup quota)"),
    "cpus-2": ({"nano_cpus": 2_000_000_000}, 2, "2 CPUs (cgroup quota)"),
    "cpuset": ({"cpuset_cpus": "0"}, 1, "1 CPU (affinity)"),
    "128m": (
        {"mem_limit": 128 * MIB},
        *(1, "memory allows 1 (128 MiB, cgroup limit)"),
    ),
    "1g": (
        {"mem_limit": 1024 * MIB},
        *(min(CPUS, 7), "memory allows 7 (1024 MiB, cgroup limit)"),
    ),
}


@pytest.mark.parametrize(("limits", "number", "why"), LIMITS.values(), ids=list(LIMITS))
def test_auto_is_what_the_container_has(
    limits: dict[str, Any], number: int, why: str, containers: Containers
) -> None:
    done = containers.run("--dry-run", env=AUTO, **limits)
    assert done.code == 0, done.output
    assert f"--workers={number}" in done.output
    [told] = [line for line in done.output.splitlines() if "WEB_CONCURRENCY is" in line]
    assert f"prodserver: WEB_CONCURRENCY is {number}: " in told
    assert why in told


def test_the_start_says_it_and_there_are_so_many(containers: Containers) -> None:
    env = {"WEB_CONCURRENCY": "auto"}
    web = containers.web("gunicorn", env=env, nano_cpus=1_500_000_000)
    assert "WEB_CONCURRENCY is 2: 1.5 CPUs (cgroup quota)" in web.log
    processes = web.processes()
    # Under tini, which is the first.
    [server] = [process.pid for process in processes if process.ppid == 1]
    assert len([process for process in processes if process.ppid == server]) == 2
    assert web.stop().code == 0


def test_beat_needs_no_disk(containers: Containers) -> None:
    """Where its folder cannot be written, its schedule is where the probe's file is."""
    beat = {
        "BACKEND": "django_prodserver.backends.celery.CeleryBeat",
        "APP": "proj.celery.app",
        "ARGS": {"loglevel": "INFO"},
    }
    settings = {"PRODUCTION_PROCESSES": {"beat": beat}}
    env = {"TEST_SETTINGS": json.dumps(settings), "TEST_BROKER_URL": "memory://"}
    container = containers.process("beat", hardened=True, env=env)
    container.says("Sending due task tick")
    assert container.stop().code == 0
