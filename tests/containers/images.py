"""
The images under test, built once per run.

``python -m tests.containers.images`` builds them beforehand, as ``make test`` does
while other tests run: what is there already is taken from the builder's cache.
"""

from __future__ import annotations

import fcntl
import hashlib
import json
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).parents[2]
HERE = Path(__file__).parent
# Another checkout on the same engine has images of its own.
PREFIX = f"prodserver-test-{hashlib.sha256(str(ROOT).encode()).hexdigest()[:8]}"

#: Containers and networks have it, with PREFIX as its value.
LABEL = "prodserver-test"


class Images(NamedTuple):
    """Names of the images; ``test`` has the project under test in it."""

    base: str
    builder: str
    test: str
    python: str
    redis: str
    postgres: str


def build() -> Images:
    """
    Build what the tests need of this checkout.

    Raises:
        AssertionError: No engine answers, or a build failed; with its last words.
    """
    _output("docker", "version", hint="scripts/engine makes sure of an engine")
    python, redis, postgres = (
        _output(str(ROOT / "docker" / "offline" / "choose"), name)
        for name in ("python", "redis", "postgres")
    )
    base, builder, test = (f"{PREFIX}:{n}" for n in ("runtime", "builder", "test"))
    images = Images(base, builder, test, python, redis, postgres)
    before = [_id(name) for name in (images.test, images.builder, images.base)]
    dockerfile = ROOT / "docker" / "Dockerfile"
    for target, tag in (("runtime", images.base), ("builder", images.builder)):
        make(ROOT, tag, file=dockerfile, target=target, PYTHON_IMAGE=python)
    with tempfile.TemporaryDirectory() as context:
        for path in ("project", "containers/Dockerfile", "containers/requirements.txt"):
            _copy(ROOT / "tests" / path, Path(context))
        _copy(ROOT / "constraints.txt", Path(context))
        make(Path(context), images.test, BASE=images.base, BUILDER=images.builder)
    now = [_id(name) for name in (images.test, images.builder, images.base)]
    for stale in filter(None, before):
        if stale not in now:
            # Not by force: it may be in use.
            subprocess.run(["docker", "image", "rm", stale], capture_output=True)
    return images


def build_once(folder: Path) -> Images:
    """Build them, or say what another of this run's workers has built."""
    with (folder / "images.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        done = folder / "images.json"
        if not done.exists():
            done.write_text(json.dumps(build()))
        return Images(*json.loads(done.read_text()))


def make(
    context: Path, tag: str, *, file: Path | None = None, target: str = "", **args: str
) -> str:
    """
    Build an image, and return its name.

    Args:
        context: The folder that is sent to the engine.
        tag: The image's name.
        file: The Dockerfile; the context's by default.
        target: The stage; the last one by default.
        args: Build arguments.
    """
    _output(
        *("docker", "build", "--tag", tag),
        *(("--file", str(file)) if file else ()),
        *(("--target", target) if target else ()),
        *(f"--build-arg={name}={value}" for name, value in args.items()),
        str(context),
    )
    return tag


def _id(tag: str) -> str:
    inspect = ["docker", "image", "inspect", "--format={{.Id}}", tag]
    return subprocess.run(inspect, capture_output=True, text=True).stdout.strip()


def _copy(path: Path, folder: Path) -> None:
    if path.is_dir():
        ignored = shutil.ignore_patterns("__pycache__", "*.sqlite3*")
        shutil.copytree(path, folder / path.name, ignore=ignored)
    else:
        shutil.copy2(path, folder)


def _output(*command: str, hint: str = "") -> str:
    done = subprocess.run(command, capture_output=True, text=True)
    last = (done.stdout + done.stderr)[-3000:]
    assert done.returncode == 0, f"{' '.join(command)} failed; {hint}\n{last}"
    return done.stdout.strip()


if __name__ == "__main__":
    for image in build():
        sys.stdout.write(f"{image}\n")
