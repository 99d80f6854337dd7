"""What "auto" goes by: the files in which the kernel says what a process may use.

Version 1's files are as Docker writes them on such a machine; those of version 2, of
pods and of systemd are written after their documentation.
"""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from django_prodserver.config import cgroups

MIB = 2**20
UNLIMITED = 9223372036854771712
#: The files of a machine, and the CPUs and MiB it comes to; 0 for no limit.
MACHINES: dict[str, tuple[dict[str, str], float, float]] = {
    "bare": ({"proc/self/cgroup": "0::/init.scope"}, 0, 0),
    "nothing": ({}, 0, 0),
    "v2-container": (
        {
            "proc/self/cgroup": "0::/",
            "sys/fs/cgroup/cpu.max": "50000 100000",
            "sys/fs/cgroup/memory.max": str(128 * MIB),
        },
        *(0.5, 128),
    ),
    "v2-unlimited": (
        {
            "proc/self/cgroup": "0::/",
            "sys/fs/cgroup/cpu.max": "max 100000",
            "sys/fs/cgroup/memory.max": "max",
        },
        *(0, 0),
    ),
    "v2-pod-above-its-container": (
        {
            "proc/self/cgroup": "0::/kubepods/pod1/c1",
            "sys/fs/cgroup/kubepods/pod1/c1/cpu.max": "max 100000",
            "sys/fs/cgroup/kubepods/pod1/cpu.max": "75000 100000",
            "sys/fs/cgroup/kubepods/pod1/c1/memory.max": "max",
            "sys/fs/cgroup/kubepods/memory.max": str(512 * MIB),
        },
        *(0.75, 512),
    ),
    "v2-systemd-unit": (
        {
            "proc/self/cgroup": "0::/system.slice/web.service",
            "sys/fs/cgroup/system.slice/web.service/cpu.max": "25000 100000",
            "sys/fs/cgroup/system.slice/web.service/memory.max": str(256 * MIB),
        },
        *(0.25, 256),
    ),
    # The path is the host's, and what is mounted the container's own.
    "v1-container": (
        {
            "proc/self/cgroup": "4:memory:/docker/abc\n3:cpu,cpuacct:/docker/abc\n",
            "sys/fs/cgroup/cpu,cpuacct/cpu.cfs_quota_us": "15000",
            "sys/fs/cgroup/cpu,cpuacct/cpu.cfs_period_us": "100000",
            "sys/fs/cgroup/memory/memory.limit_in_bytes": str(64 * MIB),
        },
        *(0.15, 64),
    ),
    "v1-on-the-host": (
        {
            "proc/self/cgroup": "4:memory:/docker/abc\n3:cpu,cpuacct:/docker/abc\n",
            "sys/fs/cgroup/cpu/docker/abc/cpu.cfs_quota_us": "20000",
            "sys/fs/cgroup/cpu/docker/abc/cpu.cfs_period_us": "100000",
            "sys/fs/cgroup/memory/docker/abc/memory.limit_in_bytes": str(64 * MIB),
        },
        *(0.2, 64),
    ),
    "v1-unlimited": (
        {
            "proc/self/cgroup": "4:memory:/\n3:cpu,cpuacct:/\n",
            "sys/fs/cgroup/cpu,cpuacct/cpu.cfs_quota_us": "-1",
            "sys/fs/cgroup/cpu,cpuacct/cpu.cfs_period_us": "100000",
            "sys/fs/cgroup/memory/memory.limit_in_bytes": str(UNLIMITED),
        },
        *(0, 0),
    ),
    "hybrid": (
        {
            "proc/self/cgroup": "3:cpu,cpuacct:/a\n0::/a\n",
            "sys/fs/cgroup/cpu/a/cpu.cfs_quota_us": "30000",
            "sys/fs/cgroup/cpu/a/cpu.cfs_period_us": "100000",
            "sys/fs/cgroup/unified/a/memory.max": str(32 * MIB),
        },
        *(0.3, 32),
    ),
    "broken": (
        {
            "proc/self/cgroup": "0::/",
            "sys/fs/cgroup/cpu.max": "much",
            "sys/fs/cgroup/memory.max": "",
        },
        *(0, 0),
    ),
}


@pytest.fixture(params=MACHINES.values(), ids=list(MACHINES))
def machine(request, tmp_path):
    files, cpus, mib = request.param
    for name, text in {"proc/meminfo": "MemTotal: 8388608 kB\n", **files}.items():
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(f"{text}\n")
    return tmp_path, cpus, mib


def test_the_cpus_are_those_of_the_quota(machine):
    root, cpus, _ = machine
    found = cgroups.cpus(root)
    if cpus:
        assert found == (cpus, "cgroup quota")
    else:
        assert found.source != "cgroup quota"
        assert found.value == len(os.sched_getaffinity(0))


def test_the_memory_is_that_of_the_limit(machine):
    root, _, mib = machine
    found = cgroups.memory(root)
    expected = (mib * MIB, "cgroup limit") if mib else (8192 * MIB, "")
    assert found == expected


def test_a_machine_that_tells_nothing_of_its_memory(tmp_path: Path) -> None:
    assert cgroups.memory(tmp_path) is None


def test_the_affinity_counts():
    mine = os.sched_getaffinity(0)
    one = {min(mine)}
    try:
        os.sched_setaffinity(0, one)
        assert cgroups.cpus(Path("/nowhere")).value == 1
    finally:
        os.sched_setaffinity(0, mine)
