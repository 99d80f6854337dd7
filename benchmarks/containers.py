"""
From ``docker run`` to the first 200: our image against a hand-written Dockerfile.

    python -m benchmarks.containers [--runs 9] [--workers 4]

The same project (the example), on the same base image, as another user than root
and with a read-only root. The hand-written one is what gunicorn's and Django's
documentation lead to: a venv, pip install, COPY, ``CMD ["gunicorn", ...]``.
A third way is ours without the byte code of the standard library, which says what
that buys. Runs alternate, so that what else the machine does meets all of them
alike. Written to benchmarks/results/containers.json: each way's seconds, their
medians, the ratios to the hand-written one's, and the images' sizes in MiB.
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.request
from pathlib import Path

from benchmarks.machine import machine
from tests.containers.images import PREFIX, Images, build, make
from tests.harness import free_port

ROOT = Path(__file__).parent.parent
RESULTS = ROOT / "benchmarks" / "results" / "containers.json"
# With our package, which the settings name, as a user has it from the index.
HAND_WRITTEN = """
ARG BASE
ARG OURS
FROM ${OURS} AS ours
FROM ${BASE}
ENV PYTHONUNBUFFERED=1 HOME=/tmp
COPY --from=ours /opt/prodserver /opt/prodserver
ENV PYTHONPATH=/opt/prodserver/lib/python3.13/site-packages
RUN python -m venv /venv
ENV PATH=/venv/bin:$PATH
COPY requirements.txt /tmp/
RUN pip install --no-cache-dir -r /tmp/requirements.txt
WORKDIR /app
COPY . /app
ENV DJANGO_SETTINGS_MODULE=paperwork.settings DJANGO_DEBUG=false
RUN DJANGO_SECRET_KEY=build EXAMPLE_DATA_DIR=/tmp/data \\
    python manage.py collectstatic --noinput
USER 10001:0
CMD ["gunicorn", "--bind=0.0.0.0:8000", "paperwork.wsgi:application"]
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


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=9)
    parser.add_argument("--workers", type=int, default=4)
    options = parser.parse_args()
    images = build()
    ways = build_ways(images)
    seconds: dict[str, list[float]] = {way: [] for way in ways}
    for run in range(options.runs + 1):
        for way, image in ways.items():
            measured = measure(way, image, options.workers)
            if run:  # the first fills the disk cache
                seconds[way].append(measured)
        print(".", end="", flush=True, file=sys.stderr)
    medians = {way: round(statistics.median(s), 3) for way, s in seconds.items()}
    ask = ["docker", "run", "--rm", "--entrypoint=python", images.base, "--version"]
    python = subprocess.check_output(ask, text=True).split()[1]
    result = {
        "machine": {**machine(), "python": python},
        "options": vars(options),
        "seconds": seconds,
        "medians": medians,
        "ratios": {way: round(m / medians[BY_HAND], 2) for way, m in medians.items()},
        "MiB": {name: size(image) for name, image in sized(images, ways).items()},
    }
    RESULTS.write_text(json.dumps(result, indent=2) + "\n")
    print(json.dumps({k: result[k] for k in ("medians", "ratios", "MiB")}, indent=2))


def build_ways(images: Images) -> dict[str, str]:
    """Return each way's image."""
    example = ROOT / "example"
    ours = make(example, f"{PREFIX}:example", BASE=images.base, BUILDER=images.builder)
    with tempfile.TemporaryDirectory() as folder:
        by_hand, bare = Path(folder) / "by-hand", Path(folder) / "bare"
        by_hand.write_text(HAND_WRITTEN)
        bare.write_text(BARE)
        tag = f"{PREFIX}:by-hand"
        return {
            OURS: ours,
            BY_HAND: make(
                example, tag, file=by_hand, BASE=images.python, OURS=images.base
            ),
            WITHOUT: make(example, f"{PREFIX}:bare", file=bare, BASE=ours),
        }


def measure(way: str, image: str, workers: int) -> float:
    """Return the seconds from ``docker run`` to the first 200."""
    port = free_port()
    command = [
        *("docker", "run", "--detach", *HARDENED, f"--publish=127.0.0.1:{port}:8000"),
        *("--env=DJANGO_SECRET_KEY=benchmark", "--env=EXAMPLE_DATA_DIR=/tmp/data"),
        *(f"--env=WEB_CONCURRENCY={workers}", "--no-healthcheck", image),
        *(
            [
                "gunicorn",
                "--bind=0.0.0.0:8000",
                f"--workers={workers}",
                "--threads=4",
                "paperwork.wsgi:application",
            ]
            if way == BY_HAND
            else [f"--workers={workers}"]
        ),
    ]
    began = time.monotonic()
    container = subprocess.check_output(command, text=True).strip()
    try:
        # No page of the database, which is not there.
        while not answers(f"http://127.0.0.1:{port}/health/"):
            if time.monotonic() - began > 120:
                subprocess.run(["docker", "logs", container])
                sys.exit(f"{way}: no answer")
            time.sleep(0.01)
        return round(time.monotonic() - began, 3)
    finally:
        subprocess.run(["docker", "rm", "--force", container], capture_output=True)


def answers(url: str) -> bool:
    try:
        with urllib.request.urlopen(url, timeout=5) as response:
            return bool(response.status == 200)
    except OSError:
        return False


def sized(images: Images, ways: dict[str, str]) -> dict[str, str]:
    names = {"base": images.python, "ours": images.base, "builder": images.builder}
    return {**names, "example": ways[OURS], "example by hand": ways[BY_HAND]}


def size(image: str) -> float:
    inspect = ["docker", "image", "inspect", "--format={{.Size}}", image]
    return round(int(subprocess.check_output(inspect, text=True)) / 2**20, 1)


if __name__ == "__main__":
    main()
