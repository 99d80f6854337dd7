"""``"auto"``: as many processes as this container's CPUs and memory are good for."""

from __future__ import annotations

import math

from django_prodserver.config import cgroups
from django_prodserver.config.cgroups import Amount

#: Bytes that a process of a Django site is reckoned to need, and so is its parent.
PROCESS = 128 * 2**20
#: Workers of a web server beyond which replicas are better: gunicorn's own advice is
#: 4 to 12 "to handle hundreds or thousands of requests per second" (its design.md).
MOST_WORKERS = 12


def auto(key: str) -> tuple[int, str]:
    """Return the number that "auto" is for a key, and why it is that."""
    cpus, memory = cgroups.cpus(), cgroups.memory()
    return reckon(cpus, memory, MOST_WORKERS if key == "WORKERS" else None)


def reckon(cpus: Amount, memory: Amount | None, most: int | None) -> tuple[int, str]:
    """
    Return the number of processes, and why.

    A part of a CPU counts as one: while a process waits, another can use it.
    """
    number = math.ceil(cpus.value)
    unit = "CPU" if cpus.value <= 1 else "CPUs"
    reasons = [f"{cpus.value:.3g} {unit}{_of(cpus)}"]
    if memory:
        allowed = max(1, int(memory.value // PROCESS) - 1)
        if allowed < number or memory.source:
            reasons.append(f"memory allows {allowed} ({_mib(memory)})")
        number = min(number, allowed)
    if most and number > most:
        number = most
        reasons.append(f"{most} at most")
    return max(1, number), ", ".join(reasons)


def _of(amount: Amount) -> str:
    return f" ({amount.source})" if amount.source else ""


def _mib(memory: Amount) -> str:
    size = f"{memory.value / 2**20:.0f} MiB"
    return f"{size}, {memory.source}" if memory.source else size
