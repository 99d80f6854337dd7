"""The CPUs and the memory that this process may use."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple


class Amount(NamedTuple):
    """An amount of a resource, and where the limit comes from."""

    value: float
    source: str


def cpus(root: Path = Path("/")) -> Amount:
    """Return the number of CPUs: the least of quota, affinity and machine."""
    # On ties, report the cgroup limit: min() returns the first.
    amounts = [Amount(quota, "cgroup quota") for quota in _quotas(root)]
    amounts.append(Amount(os.cpu_count() or 1, ""))
    if hasattr(os, "sched_getaffinity"):
        amounts.append(Amount(len(os.sched_getaffinity(0)), "affinity"))
    return min(amounts, key=lambda amount: amount.value)


def memory(root: Path = Path("/")) -> Amount | None:
    """Return the bytes of memory: the least of cgroup and machine; None if unknown."""
    amounts = [Amount(total, "") for total in _machine_memory(root)]
    amounts += (Amount(limit, "cgroup limit") for limit in _limits(root))
    return min(amounts, key=lambda amount: amount.value, default=None)


def _quotas(root: Path) -> Iterator[float]:
    for group in _groups(root, "cpu"):
        # cgroup v2: "150000 100000" or "max 100000"; v1: one file for each number.
        quota, _, period = _read(group / "cpu.max").partition(" ")
        quota = quota or _read(group / "cpu.cfs_quota_us")
        period = period or _read(group / "cpu.cfs_period_us")
        if quota.isdecimal() and period.isdecimal() and int(period):
            yield int(quota) / int(period)


def _limits(root: Path) -> Iterator[int]:
    for group in _groups(root, "memory"):
        for name in ("memory.max", "memory.limit_in_bytes"):
            if (text := _read(group / name)).isdecimal():
                yield int(text)


def _machine_memory(root: Path) -> Iterator[int]:
    for line in _read(root / "proc/meminfo").splitlines():
        if line.startswith("MemTotal:"):
            yield int(line.split()[1]) * 1024


def _groups(root: Path, controller: str) -> Iterator[Path]:
    """
    Yield the directories of the process's cgroup and of the cgroups above it.

    Each of them may limit it. In a container without a cgroup namespace, the path is
    the host's and does not exist; the container's own cgroup is mounted at the top.
    """
    mounted = root / "sys/fs/cgroup"
    for line in _read(root / "proc/self/cgroup").splitlines():
        _, controllers, path = line.split(":", 2)
        names = controllers.split(",")
        if controllers and controller not in names:
            continue
        # A line of v2 (also in hybrid mode) names no controllers.
        tops = [mounted / controllers, mounted / controller] if controllers else []
        for top in tops or [mounted, mounted / "unified"]:
            yield from _upwards(top, path)


def _upwards(top: Path, path: str) -> Iterator[Path]:
    parts = [part for part in path.split("/") if part not in ("", "..")]
    for count in range(len(parts), -1, -1):
        yield top.joinpath(*parts[:count])


def _read(path: Path) -> str:
    try:
        return path.read_text().strip()
    except (OSError, ValueError):
        return ""
