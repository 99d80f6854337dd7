"""``"auto"``: the number of processes that fits this container's CPUs and memory."""

from __future__ import annotations

import math

from django_prodserver.config import cgroups
from django_prodserver.config.cgroups import Amount

#: Estimated bytes that one process of a Django site needs; its parent needs as much.
PROCESS_MEMORY = 128 * 2**20
#: With more workers than this, replicas are better: gunicorn's own advice is 4 to 12
#: "to handle hundreds or thousands of requests per second" (its design.md).
MAX_WORKERS = 12


def auto(key: str) -> tuple[int, str]:
    """Return the value of "auto" for a key, and the reason."""
    cpus, memory = cgroups.cpus(), cgroups.memory()
    return recommend(cpus, memory, MAX_WORKERS if key == "WORKERS" else None)


def recommend(
    cpus: Amount, memory: Amount | None, maximum: int | None
) -> tuple[int, str]:
    """
    Return the number of processes, and the reason.

    A fraction of a CPU counts as a whole one: while a process waits, another can run.
    """
    number = math.ceil(cpus.value)
    unit = "CPU" if cpus.value <= 1 else "CPUs"
    reasons = [f"{cpus.value:.3g} {unit}{_source(cpus)}"]
    if memory:
        allowed = max(1, int(memory.value // PROCESS_MEMORY) - 1)
        if allowed < number or memory.source:
            reasons.append(f"memory allows {allowed} ({_mib(memory)})")
        number = min(number, allowed)
    if maximum and number > maximum:
        number = maximum
        reasons.append(f"{maximum} at most")
    return max(1, number), ", ".join(reasons)


def _source(amount: Amount) -> str:
    return f" ({amount.source})" if amount.source else ""


def _mib(memory: Amount) -> str:
    size = f"{memory.value / 2**20:.0f} MiB"
    return f"{size}, {memory.source}" if memory.source else size
