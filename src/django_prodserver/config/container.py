"""Whether this process runs in a container, whose loopback addresses are its own."""

from __future__ import annotations

import os
from pathlib import Path

#: Written by Docker, and by Podman and Buildah.
_FILES = (".dockerenv", "run/.containerenv")
#: Set by Kubernetes, by ECS, and by Podman, systemd-nspawn and LXC.
_VARIABLES = ("KUBERNETES_SERVICE_HOST", "ECS_CONTAINER_METADATA_URI_V4", "container")
#: In the path of the cgroup, where the container sees the host's.
_CGROUPS = ("/docker", "/kubepods", "/libpod", "/containerd", "/lxc", "/ecs")


def in_container(root: Path = Path("/")) -> bool:
    """Tell whether this process runs in a container."""
    if any(os.environ.get(name) for name in _VARIABLES):
        return True
    if any((root / file).exists() for file in _FILES):
        return True
    try:
        groups = (root / "proc/self/cgroup").read_text()
    except (OSError, ValueError):
        return False
    return any(name in groups for name in _CGROUPS)
