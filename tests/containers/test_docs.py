"""The samples of the documentation that need containers."""

from __future__ import annotations

import re
import subprocess
import uuid
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

pytest.importorskip("sybil", reason="the documentation's tools are not installed")
from docs._ext import console, samples
from tests.containers.images import LABEL, PREFIX, Images, make
from tests.harness import environment

pytestmark = pytest.mark.container

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs"
#: The container's name on the page.
NAME = "shop-web"
TIMEOUT = 300


def here(page: str) -> Iterator[console.Command]:
    """Yield the commands of a page that are run here, and not with its others."""
    for sample in samples.of_page(DOCS / page):
        if "containers/test_docs.py" in sample.skipped:
            yield from console.commands(sample.source)


@pytest.fixture
def run(images: Images) -> Iterator[object]:
    """Runs commands, with the images of this run, and a name of its own."""
    tag, name = f"{PREFIX}:example", f"{NAME}-{uuid.uuid4().hex[:8]}"
    build = f"--build-arg=BASE={images.base} --build-arg=BUILDER={images.builder}"
    make(ROOT / "example", tag, BASE=images.base, BUILDER=images.builder)
    words = {
        r"\bpaperwork\b": tag,
        rf"\b{NAME}\b": name,
        r"^docker build\b": f"docker build {build}",
        r"^docker run\b": f"docker run --label={LABEL}={PREFIX}",
    }
    env = environment(ROOT, {})

    def run_one(command: console.Command) -> None:
        for pattern, text in words.items():
            command = replace(command, words=re.sub(pattern, text, command.words))
        output = [re.sub(rf"\b{NAME}\b", name, line) for line in command.output]
        command = replace(command, output=output)
        console.execute(command, ROOT, env, timeout=TIMEOUT)

    yield run_one
    subprocess.run(["docker", "rm", "--force", name], capture_output=True, check=False)


def test_the_commands_of_the_page_on_containers(run) -> None:
    found = list(here("guides/docker-deployment.md"))
    assert len(found) >= 10
    for command in found:
        run(command)


def test_a_port_of_root_is_refused_as_the_page_says(run) -> None:
    """Docker lets any user have any port; this container is as a machine is."""
    (command,) = here("troubleshooting.md")
    limit = "net.ipv4.ip_unprivileged_port_start=1024"
    options = f"--rm --sysctl {limit} --env DJANGO_SECRET_KEY=of-a-test"
    run(replace(command, words=f"docker run {options} paperwork {command.words}"))
