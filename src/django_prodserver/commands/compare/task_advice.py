"""One sentence of advice about a worker's concurrency."""

from __future__ import annotations

from django_prodserver.commands.compare.results import Result, Row

#: More of it must bring that much more, or it costs memory for nothing.
_WORTH = 1.1
#: The same for a single round, which cannot show the noise.
_WORTH_IN_ONE_ROUND = 1.5


def give(result: Result) -> str:
    """Return the smallest concurrency that does what can be done."""
    rows = [row for row in result.measured() if row.rate() > 0]
    if not rows:
        return "Nothing was measured, so there is nothing to say."
    failing = next((row for row in rows if row.errors()), None)
    if failing:
        return f"Tasks fail ({failing.errors()} of {failing.name}): see why first."
    losing = next((row for row in rows if sum(row.lost)), None)
    if losing:
        return (
            f"With {losing.name}, a stop lost {sum(losing.lost)} of the tasks: find "
            "out why before you change the concurrency."
        )
    rows.sort(key=lambda row: row.candidate.workers)
    best = rows[0]
    for row in rows[1:]:
        if _is_faster(row, best):
            best = row
    largest = rows[-1]
    found = f"{best.name}: {best.rate():.0f} tasks/s in {best.memory():.0f} MiB"
    if len(rows) == 1:
        return f"There is nothing to compare with {found}."
    if best is largest:
        return f"Take {found}, and more may do more still."
    return (
        f"Take {found}; {largest.name} did {largest.rate():.0f} in "
        f"{largest.memory():.0f} MiB."
    )


def _is_faster(one: Row, other: Row) -> bool:
    """Tell whether the difference is worth something, and larger than the noise."""
    worth = _WORTH if len(one.rates()) > 1 else _WORTH_IN_ONE_ROUND
    is_clear = min(one.rates()) > max(other.rates())
    return is_clear and one.rate() > other.rate() * worth
