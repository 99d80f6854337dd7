"""Compare what two starts have recorded."""

from __future__ import annotations

from typing import Any, NamedTuple

#: The moments of a start, in the order in which they are explained.
MOMENTS = ("settings", "apps", "application", "urls", "request")
#: A fact that one of the two has not recorded.
ABSENT = "(absent)"


class Found(NamedTuple):
    """A fact that differs."""

    moment: str
    fact: str
    native: Any
    ours: Any

    def __str__(self) -> str:
        return f"{self.moment}: {self.fact}: {self.native!r} became {self.ours!r}"


#: What each process has recorded: the facts of each moment.
Records = dict[str, dict[str, Any]]


def compare_with_nearest(natives: list[Records], ours: Records) -> list[Found]:
    """Return what differs from the native worker that a process resembles most."""
    # Natively, too, the second worker inherits what belongs to the first one.
    return min((compare(native, ours) for native in natives), key=len)


def compare(native: Records, ours: Records) -> list[Found]:
    """Return every fact that differs between two processes."""
    found = []
    for moment in MOMENTS:
        before, after = native.get(moment, {}), ours.get(moment, {})
        for fact in sorted(before.keys() | after.keys()):
            pair = before.get(fact, ABSENT), after.get(fact, ABSENT)
            if pair[0] != pair[1]:
                found.append(Found(moment, fact, *pair))
    return found
