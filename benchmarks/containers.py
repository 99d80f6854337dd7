"""
A start in a container, and its memory: our image against a hand-written Dockerfile.

    python -m benchmarks.containers [--runs 5] [--workers 2] [SERVER ...]

The same project (the example), on the same base image, as another user than root, with
a read-only root and without capabilities. The hand-written one is what the servers'
and Django's documentation lead to: a venv, pip install, COPY, and the server's own
command, with the same options; there is nothing of ours in it. For Gunicorn a third
way is ours without the byte code of the standard library, which says what that buys.
Runs alternate, so that what else the machine does meets all of them alike. Of each
run: seconds from ``docker run`` to the first 200; the proportional set size of all the
container's processes (MiB) when nothing more happens, and after 200 requests, as this
machine sees them: null where the engine is on another one, or where that is for root
alone. Written to benchmarks/results/containers.json, with the images' sizes in MiB;
the results of servers that are not named stay.
"""

from __future__ import annotations

import argparse
import json
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

from benchmarks import subject
from benchmarks.machine import BACKENDS, machine
from benchmarks.starts import REQUESTS, SERVERS, arguments, ask, settle
from tests.containers.images import PREFIX, Images, build, make
from tests.harness import free_port, memory

ROOT = Path(__file__).parent.parent
SETTINGS = """
from paperwork.settings import *
INSTALLED_APPS = [app for app in INSTALLED_APPS if app != "django_prodserver"]
MIDDLEWARE = [each for each in MIDDLEWARE if "prodserver" not in each]
"""
OURS_TOO = """
from paperwork.settings import *
import json, os
PRODUCTION_PROCESSES = json.loads(os.environ.get("BENCH_PROCESSES", "{}"))
"""
# In both images, at the same versions.
PACKAGES = (
    *("django", "gunicorn", "uvicorn", "granian", "waitress"),
    *("django-tasks-db", "whitenoise"),
)
HAND_WRITTEN = """
ARG BASE
FROM ${BASE}
ENV PYTHONUNBUFFERED=1 HOME=/tmp
RUN python -m venv /venv
ENV PATH=/venv/bin:$PATH
COPY requirements.txt /tmp/
RUN pip install --no-cache-dir -r /tmp/requirements.txt
WORKDIR /app
COPY . /app
ENV DJANGO_SETTINGS_MODULE=paperwork.bench DJANGO_DEBUG=false
RUN DJANGO_SECRET_KEY=build EXAMPLE_DATA_DIR=/tmp/data \\
    python manage.py collectstatic --noinput
USER 10001:0
"""
# Hidden by this layer, and so not seen when it runs; the size stays.
BARE = """
ARG BASE
FROM ${BASE}
USER 0
RUN find /usr/lib/python3* /usr/local/lib/python3* -name __pycache__ \\
    -not -path '*-packages/*' -prune -exec rm -r {} + 2>/dev/null; true
USER 10001:0
"""
OURS, BY_HAND, WITHOUT = "prodserver-base", "by hand", "without byte code"
HARDENED = (
    *("--read-only", "--tmpfs=/tmp", "--cap-drop=ALL"),
    *("--security-opt=no-new-privileges", "--user=123456:0"),
)


class Run(NamedTuple):
    """Seconds, MiB and MiB."""

    first_200: float
    idle: float | None
    used: float | None


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--workers", type=int, default=2)
    known = [name for name in SERVERS if name != "uvicorn-wsgi"]
    parser.add_argument("servers", nargs="*", default=known)
    options = subject.options(parser, runs=1, servers=["gunicorn", "waitress"])
    images = build()
    ways = build_ways(images)
    ask_it = ["docker", "run", "--rm", "--entrypoint=python", images.base, "--version"]
    python = subprocess.check_output(ask_it, text=True).split()[1]
    found = subject.read("containers").get("servers", {})
    for server in options.servers:
        found[server] = compare(server, ways, options.runs, options.workers)
        result = {
            "machine": {**machine(), "python": python},
            "options": vars(options),
            "servers": found,
            "MiB": {name: size(image) for name, image in sized(images, ways).items()},
        }
        subject.write("containers", result)
        print(f" {server}", file=sys.stderr)


def build_ways(images: Images) -> dict[str, str]:
    """Return each way's image."""
    with tempfile.TemporaryDirectory() as folder:
        context = Path(folder) / "example"
        ignored = shutil.ignore_patterns(".data", "static-root", "__pycache__")
        shutil.copytree(ROOT / "example", context, ignore=ignored)
        (context / "paperwork" / "bench.py").write_text(SETTINGS)
        (context / "paperwork" / "bench_ours.py").write_text(OURS_TOO)
        (context / "requirements.txt").write_text(pinned())
        by_hand, bare = Path(folder) / "by-hand", Path(folder) / "bare"
        by_hand.write_text(HAND_WRITTEN)
        bare.write_text(BARE)
        tags = [f"{PREFIX}:{name}" for name in ("bench", "by-hand", "bare")]
        return {
            OURS: make(context, tags[0], BASE=images.base, BUILDER=images.builder),
            BY_HAND: make(context, tags[1], file=by_hand, BASE=images.python),
            WITHOUT: make(context, tags[2], file=bare, BASE=tags[0]),
        }


def pinned() -> str:
    """Return the requirements of both images."""
    lines = (ROOT / "constraints.txt").read_text().splitlines()
    pins = [line for line in lines if line.partition("==")[0] in PACKAGES]
    # Whose versions nothing pins, are named alone.
    named = {line.partition("==")[0] for line in pins}
    return "\n".join([*pins, *(name for name in PACKAGES if name not in named), ""])


def compare(
    server: str, images: Mapping[str, str], runs: int, workers: int
) -> dict[str, Any]:
    """Measure one server: the runs of each way, their medians, ratios to by hand."""
    ways = [way for way in images if way != WITHOUT or server == "gunicorn"]
    rows: dict[str, list[Run]] = {way: [] for way in ways}
    for run in range(runs + 1):
        for way in ways:
            measured = measure(server, way, images[way], workers)
            if run:  # the first fills the disk cache
                rows[way].append(measured)
        print(".", end="", flush=True, file=sys.stderr)
    medians = {way: [middle(c) for c in zip(*rows[way], strict=True)] for way in ways}
    return {
        way: {
            "runs": rows[way],
            "median": medians[way],
            "ratio": [
                round(own / theirs, 2) if own and theirs else None
                for own, theirs in zip(medians[way], medians[BY_HAND], strict=True)
            ],
        }
        for way in ways
    }


def middle(column: tuple[float | None, ...]) -> float | None:
    seen = [number for number in column if number is not None]
    return round(statistics.median(seen), 3) if seen else None


def measure(server: str, way: str, image: str, workers: int) -> Run:
    port = free_port()
    command = [
        *("docker", "run", "--detach", *HARDENED, f"--publish=127.0.0.1:{port}:8000"),
        *("--env=DJANGO_SECRET_KEY=benchmark", "--env=EXAMPLE_DATA_DIR=/tmp/data"),
        *("--no-healthcheck", *starts(server, way, image, workers)),
    ]
    # No page of the database, which is not there.
    url = f"http://127.0.0.1:{port}/health/"
    began = time.monotonic()
    container = subprocess.check_output(command, text=True).strip()
    try:
        while not ask(url):
            if time.monotonic() - began > 120:
                subprocess.run(["docker", "logs", container])
                sys.exit(f"{server}, {way}: no answer")
            time.sleep(0.01)
        seconds = time.monotonic() - began
        pid = first_process(container)
        if pid:
            settle(pid)
        idle = round(memory(pid), 1) if pid else None
        for _ in range(REQUESTS):
            ask(url)
        used = round(memory(pid), 1) if pid else None
        return Run(round(seconds, 3), idle, used)
    finally:
        subprocess.run(["docker", "rm", "--force", container], capture_output=True)


def starts(server: str, way: str, image: str, workers: int) -> list[str]:
    """Return what follows ``docker run``: variables, the image, and its command."""
    backend, native = SERVERS[server]
    if way == BY_HAND:
        line = native.format(
            wsgi="paperwork.wsgi:application",
            asgi="paperwork.asgi:application",
            port=8000,
            workers=workers,
        )
        return [image, *line.replace("127.0.0.1", "0.0.0.0").split()]  # noqa: S104
    config = {
        "BACKEND": f"{BACKENDS}.{backend}",
        "ARGS": arguments(server, 8000, workers),
    }
    table = json.dumps({"web": config}).replace("127.0.0.1", "0.0.0.0")  # noqa: S104
    settings = "--env=DJANGO_SETTINGS_MODULE=paperwork.bench_ours"
    return [f"--env=BENCH_PROCESSES={table}", settings, image]


def first_process(container: str) -> int:
    """Return its first process's pid on this machine; 0 where it cannot be seen."""
    asked = ["docker", "inspect", "--format={{.State.Pid}}", container]
    pid = int(subprocess.check_output(asked, text=True))
    try:
        # Of whom else it could be, where the engine is on another machine.
        name = Path(f"/proc/{pid}/root/etc/hostname").read_text().strip()
    except OSError:
        return 0
    return pid if container.startswith(name) else 0


def sized(images: Images, ways: Mapping[str, str]) -> dict[str, str]:
    return {
        "Python's": images.python,
        OURS: images.base,
        f"{OURS}:builder": images.builder,
        f"the example on {OURS}": ways[OURS],
        "the example by hand": ways[BY_HAND],
    }


def size(image: str) -> float:
    inspect = ["docker", "image", "inspect", "--format={{.Size}}", image]
    return round(int(subprocess.check_output(inspect, text=True)) / 2**20, 1)


if __name__ == "__main__":
    main()
