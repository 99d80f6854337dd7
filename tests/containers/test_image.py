"""What is in the images, and what is not."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import Row
from tests.containers.harness import Containers
from tests.containers.images import PREFIX, Images, make

pytestmark = pytest.mark.container

ROOT = Path(__file__).parents[2]
OCI = "org.opencontainers.image"

# Each line is a file whose byte code is missing or not of this source.
_STALE = """
import importlib.util, os, sys, sysconfig
for top in [sysconfig.get_path("stdlib"), *sys.argv[1:]]:
    for folder, _, names in os.walk(top):
        if top.startswith(("/usr/lib", "/usr/local/lib")) and "site-packages" in folder:
            continue
        for name in names:
            path = os.path.join(folder, name)
            if not name.endswith(".py") or os.path.islink(path):
                continue
            try:
                header = open(importlib.util.cache_from_source(path), "rb").read(16)
            except OSError:
                try:
                    compile(open(path, "rb").read(), path, "exec")
                except (SyntaxError, ValueError):
                    continue
                print("missing:", path)
                continue
            stat = os.stat(path)
            found = [int.from_bytes(header[i : i + 4], "little") for i in (4, 8, 12)]
            if found != [0, int(stat.st_mtime), stat.st_size]:
                print("stale:", path)
            if header[:4] != importlib.util.MAGIC_NUMBER:
                print("of another Python:", path)
"""


def _inspect(image: str) -> dict[str, Any]:
    found = subprocess.check_output(["docker", "image", "inspect", image], text=True)
    return dict(json.loads(found)[0])


@pytest.mark.parametrize("which", ["base", "builder", "test"])
def test_what_it_says_of_itself(which: str, images: Images) -> None:
    config = _inspect(getattr(images, which))["Config"]
    assert config["Entrypoint"][:5] == ["/usr/bin/tini", "-s", "-e", "143", "--"]
    assert config["StopSignal"] == "SIGTERM"
    assert config["WorkingDir"] == "/app"
    assert config["Healthcheck"]["Test"] == ["CMD", "prodserver-probe"]
    assert not config.get("ExposedPorts")
    assert not config.get("Volumes")
    # A number is what Kubernetes' runAsNonRoot can check.
    assert config["User"] == ("0:0" if which == "builder" else "10001:0")
    labels = config["Labels"]
    for label in ("title", "description", "version", "revision", "source"):
        assert f"{OCI}.{label}" in labels
    assert labels[f"{OCI}.licenses"] == "MIT"
    assert labels[f"{OCI}.base.name"] == images.python
    environment = dict(pair.split("=", 1) for pair in config["Env"])
    assert environment["PATH"].startswith("/opt/venv/bin:/opt/prodserver/bin:")
    assert environment["UV_PROJECT_ENVIRONMENT"] == environment["VIRTUAL_ENV"]


@pytest.mark.parametrize("which", ["base", "test"])
def test_no_byte_code_is_missing_or_stale(
    which: str, images: Images, containers: Containers
) -> None:
    done = containers.run(
        *("python", "-c", _STALE, "/opt/venv", "/opt/prodserver", "/app"),
        image=getattr(images, which),
    )
    assert done == (0, "")


def test_what_is_not_in_it(images: Images, containers: Containers) -> None:
    look = """
import importlib.util, shutil
words = ["cc", "gcc", "make", "curl", "wget", "uv", "git", "gunicorn", "uvicorn",
         "granian", "waitress-serve", "celery", "django-admin"]
modules = ["django", "gunicorn", "uvicorn", "granian", "waitress", "celery"]
print(*filter(shutil.which, words), *filter(importlib.util.find_spec, modules))
import django_prodserver
print(django_prodserver.__file__)
"""
    done = containers.run("python", "-c", look, image=images.base)
    where = "/opt/prodserver/lib/python"
    nothing, file = done.output.split("\n", 1)
    assert (done.code, nothing) == (0, "")
    assert file.startswith(where)


def test_no_program_gains_rights(images: Images, containers: Containers) -> None:
    find = ("find", "/", "-xdev", "-perm", "/6000", "-type", "f")
    ours = containers.run("--", *find, image=images.base, user="0")
    base = containers.run(*find, image=images.python, user="0")
    assert ours == (0, "")
    assert base.code == 0
    assert "/su" in base.output, "the base has some to take the right from"


def test_root_runs_nothing_of_the_application(
    images: Images, containers: Containers
) -> None:
    """What the application leaves in its home must not run as root."""
    container = containers.idle(image=images.base)
    container.exec("sh", "-c", "echo echo taken >/tmp/.bashrc")
    assert container.exec("sh", "-c", "echo $HOME").output == "/tmp\n"
    # In a container of its own each has a home that it can write to.
    show = ("sh", "-c", "touch $HOME/file && echo $HOME")
    for user in ("10001:0", "123456:0"):
        done = containers.run(*show, image=images.base, user=user)
        assert (done.code, done.output.strip()) == (0, "/tmp"), user
    assert container.exec("sh", "-c", "echo $HOME", user="0").output == "/root\n"
    done = container.exec("bash", "-ic", "true", user="0")
    assert "taken" not in done.output


def test_nothing_of_it_can_be_written(images: Images, containers: Containers) -> None:
    """By the process, but for its own folder of the runtime's and temporary files."""
    find = "find / -xdev -writable ! -type l ! -path '/proc/*' 2>/dev/null || :"
    for user in ("10001:0", "123456:0"):
        done = containers.run("sh", "-c", find, image=images.base, user=user)
        found = set(done.output.split())
        found.remove("/data")  # the harness's
        assert found == {"/run/lock", "/run/prodserver", "/tmp", "/var/tmp"}, found


def test_the_builder_compiles_and_syncs(images: Images, containers: Containers) -> None:
    """A C extension; and "uv sync" leaves the launcher where it is."""
    script = """
set -eu
mkdir /work; cd /work
cat >ext.c <<'C'
#include <Python.h>
static struct PyModuleDef module = {PyModuleDef_HEAD_INIT, "ext", NULL, -1, NULL};
PyMODINIT_FUNC PyInit_ext(void) { return PyModule_Create(&module); }
C
include=$(python -c 'import sysconfig; print(sysconfig.get_path("include"))')
gcc -shared -fPIC -I "$include" ext.c -o ext.so
python -c 'import ext; print(ext.__name__)'
cat >pyproject.toml <<'TOML'
[project]
name = "x"
version = "1"
requires-python = ">=3.11"
TOML
uv sync --quiet --offline
test ! -e .venv
python -c 'import sys, django_prodserver; print(sys.prefix)'
prodserver-probe || echo "probe: $?"
"""
    done = containers.run("sh", "-c", script, image=images.builder)
    assert done.code == 0, done.output
    words = done.output.splitlines()
    assert words[:2] == ["ext", "/opt/venv"]
    assert words[-1] == "probe: 2"


def test_sizes(images: Images, row: Row) -> None:
    sizes = {
        name: _inspect(getattr(images, name))["Size"] / 2**20
        for name in ("python", "base", "builder", "test")
    }
    for name, size in sizes.items():
        row("The images' sizes", image=name, MiB=f"{size:.1f}")
    # tini, the launcher, and the byte code of the standard library.
    assert sizes["base"] - sizes["python"] < 40


#: The most that each layer may hold, in MB: what an image adds to the one it is
#: made from, so that it does not matter which Python that has. A layer is known by
#: a part of its command; one that is not here may hold next to nothing.
_BUDGETS = {
    "base": {
        # 0.8 MB of it are programs that are no longer setuid.
        "libpq5 tini": 5.2,
        # 11.4 MB of Python 3.13's, 12.4 of 3.14's.
        "compileall": 13.5,
        # 2.8 MB with Python 3.14's byte code.
        "/opt/prodserver": 2.9,
    },
    "builder": {
        "libpq5 tini": 5.2,
        "compileall": 13.5,
        "/opt/prodserver": 2.9,
        # gcc, headers and uv; less with the official image, which has Python's.
        "gcc libc6-dev": 325,
    },
    "example": {"/opt/venv": 66, "/app": 1.9},
}
_NEXT_TO_NOTHING = 0.1


@pytest.mark.parametrize("which", _BUDGETS)
def test_no_layer_is_larger_than_its_budget(which: str, images: Images) -> None:
    if which == "example":
        tag = f"{PREFIX}:example"
        image = make(ROOT / "example", tag, BASE=images.base, BUILDER=images.builder)
        below = images.base
    else:
        image, below = getattr(images, which), images.python
    layers = _layers(image)
    ours = layers[: len(layers) - len(_layers(below))]
    table = "".join(f"\n{size:9.2f} MB  {command[:90]}" for size, command in ours)
    budgets = _BUDGETS[which]
    for size, command in ours:
        known = [limit for part, limit in budgets.items() if part in command]
        limit = max(known, default=_NEXT_TO_NOTHING)
        assert size <= limit, f"{size:.2f} MB, and {limit} are enough:{table}"
    total = sum(size for size, _ in ours)
    assert total > sum(budgets.values()) / 2, f"the budgets are too large:{table}"


def _layers(image: str) -> list[tuple[float, str]]:
    """Return the size in MB and the command of each layer, the last one first."""
    history = ["docker", "history", "--no-trunc", "--human=false"]
    lines = subprocess.check_output(
        [*history, "--format={{.Size}} {{.CreatedBy}}", image], text=True
    ).splitlines()
    split = [line.partition(" ") for line in lines]
    return [(int(size) / 1e6, command) for size, _, command in split]
