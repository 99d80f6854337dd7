"""Remove what this checkout's tests with containers leave, also if they were killed."""

from __future__ import annotations

import subprocess
import tempfile
from pathlib import Path

from tests.containers.images import LABEL, PREFIX

LABELLED = f"--filter=label={LABEL}={PREFIX}"
#: There while a test has made the engine a swarm; it holds the network to remove.
SWARM = Path(tempfile.gettempdir(), f"{PREFIX.replace('/', '-')}.swarm")


def _docker(*args: str) -> list[str]:
    done = subprocess.run(["docker", *args], capture_output=True, text=True)
    return done.stdout.split()


def leave_swarm() -> None:
    """Leave the swarm that a test has made, if it has made one."""
    if SWARM.exists():
        _docker("swarm", "leave", "--force")
        if network := SWARM.read_text():
            _docker("network", "rm", network)
        SWARM.unlink()


if __name__ == "__main__":
    leave_swarm()
    if found := _docker("ps", "--all", "--quiet", LABELLED):
        _docker("rm", "--force", "--volumes", *found)
    if found := _docker("network", "ls", "--quiet", LABELLED):
        _docker("network", "rm", *found)
