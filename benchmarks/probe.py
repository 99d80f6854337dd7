"""
What a probe costs, in the image: its own time and its peak memory.

    python -m benchmarks.probe [--runs 9] [PROCESS ...]

Each kind of process is started in a container of the test image, and asked there
by the probe and by what is used in its place: for a web server curl, a line of
Python with urllib, and django-health-check's command as its documentation has it
for containers; for Celery's worker ``celery inspect ping``, and django-health-check's
command with its check that does the same; for each the management command
``check --database default``. curl and django-health-check are in an image of this
measurement alone, and the latter in the settings of those that it asks. Runs
alternate, so that what else the machine does meets all of them alike. "cpu" is user
and system time, which a busy machine hardly changes; "wall" is what an orchestrator
waits for, without the runtime's own part. Written to benchmarks/results/probe.json.
"""

from __future__ import annotations

import argparse
import os
import statistics
import sys
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

# Before testcontainers reads it; as in the tests' conftest.
os.environ["TESTCONTAINERS_RYUK_DISABLED"] = "true"

from testcontainers.core.network import Network

from benchmarks import subject
from benchmarks.machine import MEASURE, machine
from tests.containers.harness import Container, Containers, Databases, Site
from tests.containers.images import LABEL, PREFIX, Images, build, make

PROCESSES = ("gunicorn", "worker", "beat", "db_worker", "qcluster")
PROBES = {
    "--live": ("prodserver-probe", "--live"),
    "--ready": ("prodserver-probe", "--ready"),
}
URL = "http://127.0.0.1:8000/"
ONE_LINE = f"import urllib.request as request; request.urlopen('{URL}', timeout=3)"
HEALTH = ("python", "manage.py", "health_check")
#: What is used in the probe's place.
OTHERS: Mapping[str, Mapping[str, Sequence[str]]] = {
    "gunicorn": {
        "curl": ("curl", "-fsS", "--output", "/dev/null", URL),
        "python -c": ("python", "-c", ONE_LINE),
        "manage.py health_check": (*HEALTH, "health_check-container"),
    },
    "worker": {
        "celery inspect ping": (
            *("sh", "-c"),
            "exec celery -A proj.celery inspect ping -d celery@$(hostname)",
        ),
        "manage.py health_check": (*HEALTH, "health_check-celery", "--no-http"),
    },
}
CHECK = {"manage.py check": ("python", "manage.py", "check", "--database", "default")}
DOCKERFILE = """
ARG TEST
ARG BUILDER
FROM ${TEST} AS test
FROM ${BUILDER} AS build
COPY --from=test /opt/venv /opt/venv
RUN pip install --no-cache-dir django-health-check
FROM test
USER 0
RUN apt-get update && apt-get install -y --no-install-recommends curl
COPY --from=build /opt/venv /opt/venv
COPY proj /app/proj
USER 10001:0
"""
SETTINGS = """
from proj.image import *
INSTALLED_APPS += ["health_check"]
ROOT_URLCONF = "proj.health_urls"
"""
# The first as that documentation has it, but for its checks: those of the disk and
# of the memory need psutil. A response is what the other ways have, too.
URLS = """
from django.urls import include, path
from health_check.views import HealthCheckView

urlpatterns = [
    path("", include("proj.image_urls")),
    path(
        "container/health/",
        HealthCheckView.as_view(checks=[]),
        name="health_check-container",
    ),
    path(
        "container/celery/",
        HealthCheckView.as_view(checks=["health_check.contrib.celery.Ping"]),
        name="health_check-celery",
    ),
]
"""


class Cost(NamedTuple):
    """Milliseconds, and MB of 10**6 bytes."""

    cpu: float
    wall: float
    memory: float


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=9)
    parser.add_argument("processes", nargs="*", default=list(PROCESSES))
    options = subject.options(parser, runs=1, processes=["gunicorn", "worker"])
    images = build()
    images = images._replace(test=build_measured(images))
    network = Network(docker_network_kw={"labels": {LABEL: PREFIX}})
    with tempfile.TemporaryDirectory() as folder, network:
        databases: list[Databases] = []
        containers = Containers(
            images, network, Path(folder) / "data", lambda: databases[0]
        )
        try:
            databases.append(Databases(containers))
            site = containers.site()
            python = site.shell.exec("python", "--version").output.split()[1]
            found = subject.read("probe").get("processes", {})
            result = {
                "machine": {**machine(), "python": python},
                "options": vars(options),
                "processes": found,
            }
            for name in options.processes:
                found[name] = compare(site, name, options.runs)
                subject.write("probe", result)
        finally:
            containers.remove()


def build_measured(images: Images) -> str:
    """Return the test image with the other means in it."""
    with tempfile.TemporaryDirectory() as folder:
        module = Path(folder) / "proj"
        module.mkdir()
        (Path(folder) / "Dockerfile").write_text(DOCKERFILE)
        (module / "health.py").write_text(SETTINGS)
        (module / "health_urls.py").write_text(URLS)
        return make(
            Path(folder), f"{PREFIX}:probe", TEST=images.test, BUILDER=images.builder
        )


def compare(site: Site, name: str, runs: int) -> dict[str, Any]:
    """Measure every way to ask one process."""
    container = site.start(name, env={"DJANGO_SETTINGS_MODULE": "proj.health"})
    container.until(lambda: container.probe().code == 0, f"{name} ready")
    ways: Mapping[str, Sequence[str]] = {**PROBES, **OTHERS.get(name, {}), **CHECK}
    rows: dict[str, list[Cost]] = {way: [] for way in ways}
    for run in range(runs + 1):
        for way, argv in ways.items():
            cost = measure(container, argv)
            if run:  # the first fills the disk cache
                rows[way].append(cost)
        print(".", end="", flush=True, file=sys.stderr)
    print(f" {name}", file=sys.stderr)
    container.stop()
    return {
        way: {
            "runs": costs,
            "median": Cost(
                *(
                    round(statistics.median(column), 1)
                    for column in zip(*costs, strict=True)
                )
            ),
        }
        for way, costs in rows.items()
    }


def measure(container: Container, argv: Sequence[str]) -> Cost:
    # django-health-check is no part of what the others load.
    settings = "proj.health" if "health_check" in argv else "proj.image"
    done = container.exec(
        *("python", "-IS", "-c", MEASURE, *argv), DJANGO_SETTINGS_MODULE=settings
    )
    code, cpu, wall, kibibytes = map(float, done.output.split())
    if code:
        sys.exit(f"{argv} exits with {code:.0f}: {done.output}")
    return Cost(
        round(cpu * 1000, 1), round(wall * 1000, 1), round(kibibytes * 1024 / 1e6, 1)
    )


if __name__ == "__main__":
    main()
