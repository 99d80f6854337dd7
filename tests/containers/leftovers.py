"""Remove the containers and networks of this checkout's tests that were killed."""

from __future__ import annotations

import subprocess

from tests.containers.images import LABEL, PREFIX

LABELLED = f"--filter=label={LABEL}={PREFIX}"


def _docker(*args: str) -> list[str]:
    done = subprocess.run(["docker", *args], capture_output=True, text=True)
    return done.stdout.split()


if __name__ == "__main__":
    if found := _docker("ps", "--all", "--quiet", LABELLED):
        _docker("rm", "--force", "--volumes", *found)
    if found := _docker("network", "ls", "--quiet", LABELLED):
        _docker("network", "rm", *found)
