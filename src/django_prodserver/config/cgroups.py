"""The CPUs and the memory that this process may really use."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple


class Amount(NamedTuple):
    """How much there is, and what says so."""

    value: float
    source: str


def cpus(root: Path = Path("/")) -> Amount:
    """Return how many CPUs there are: the least of quota, affinity and machine."""
    # Of equals the first: a limit is told of where it is what the machine has.
    found = [Amount(quota, "cgroup quota") for quota in _quotas(root)]
    found.append(Amount(os.cpu_count() or 1, ""))
    if hasattr(os, "sched_getaffinity"):
        found.append(Amount(len(os.sched_getaffinity(0)), "affinity"))
    return min(found, key=lambda amount: amount.value)


def memory(root: Path = Path("/")) -> Amount | None:
    """Return how many bytes there are: the limit, else the machine's; or None."""
    found = [Amount(total, "") for total in _machine_memory(root)]
    found += (Amount(limit, "cgroup limit") for limit in _limits(root))
    return min(found, key=lambda amount: amount.value, default=None)


def _quotas(root: Path) -> Iterator[float]:
    for folder in _folders(root, "cpu"):
        # Version 2 has "150000 100000" or "max 100000", version 1 a file for each.
        quota, _, period = _read(folder / "cpu.max").partition(" ")
        quota = quota or _read(folder / "cpu.cfs_quota_us")
        period = period or _read(folder / "cpu.cfs_period_us")
        if quota.isdecimal() and period.isdecimal() and int(period):
            yield int(quota) / int(period)


def _limits(root: Path) -> Iterator[int]:
    for folder in _folders(root, "memory"):
        for name in ("memory.max", "memory.limit_in_bytes"):
            if (text := _read(folder / name)).isdecimal():
                yield int(text)


def _machine_memory(root: Path) -> Iterator[int]:
    for line in _read(root / "proc/meminfo").splitlines():
        if line.startswith("MemTotal:"):
            yield int(line.split()[1]) * 1024


def _folders(root: Path, controller: str) -> Iterator[Path]:
    """
    Yield the process's cgroup and the ones above it, each of which may limit it.

    In a container without a cgroup namespace the path is the host's, and is not
    there: what is mounted is the container's own.
    """
    mounted = root / "sys/fs/cgroup"
    for line in _read(root / "proc/self/cgroup").splitlines():
        _, controllers, path = line.split(":", 2)
        names = controllers.split(",")
        if controllers and controller not in names:
            continue
        # Version 2 (and the hybrid's) has no controllers in the line.
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
