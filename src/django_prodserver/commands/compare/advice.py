"""One sentence of advice, from the numbers and with their spread in mind."""

from __future__ import annotations

from collections.abc import Sequence

from django_prodserver.commands.compare.results import Result, Row

#: A server that is faster by less is not worth a switch.
_WORTH = 1.1
#: The same for a single round, which cannot show the noise.
_WORTH_IN_ONE_ROUND = 2
#: Nor is one that saves less memory.
_WORTH_MEMORY = 0.8


def give(result: Result) -> str:
    """Return what to do, and why."""
    rows = [row for row in result.measured() if row.rate() > 0]
    if not rows:
        return "Nothing was measured, so there is nothing to say."
    # A server that fails, or loses requests, is not worth a switch, however fast.
    sound = [row for row in rows if row.errors() == 0 and not sum(row.lost)]
    current = next((row for row in rows if row.candidate.is_current), None)
    if not sound and (current is None or current.errors()):
        return (
            "Every server had errors or lost requests: see why before you compare "
            f"them ({rows[0].name}: {_failures(rows[0])})."
        )
    if current is None:
        return _without_current(sound)
    if current.errors():
        best = max(sound, key=Row.rate)
        return (
            f"Take {best.name} ({_rate(best)}), or find out what is wrong: "
            f"{_plain(current)} had {_failures(current)}."
        )
    if current not in sound:
        sound = [current, *sound]
    best = max(sound, key=Row.rate)
    if _is_faster(best, current):
        return _switch(result, best, current)
    if lighter := _lighter(sound, current):
        return (
            f"{lighter.name} does the same work in {lighter.memory():.0f} MiB instead "
            f"of {current.memory():.0f}; in speed the two do not differ by more than "
            "the noise of these rounds."
        )
    text = _keep(sound, best, current)
    if sum(current.lost):
        text = f"{text[:-1]}, although it had {_failures(current)}."
    return text


def _without_current(sound: Sequence[Row]) -> str:
    """Return the advice where the configured server was not measured."""
    best = max(sound, key=Row.rate)
    others = [row for row in sound if row is not best and not _is_faster(best, row)]
    if others:
        names = " and ".join(row.name for row in [best, *others])
        return f"{names} are equally fast here, as far as these rounds can tell."
    return f"Take {best.name}: nothing was faster, at {_rate(best)}."


def _switch(result: Result, best: Row, current: Row) -> str:
    times = best.rate() / current.rate()
    factor = (
        f"{times:.1f} times" if times >= 2 else f"{times * 100 - 100:.0f} % more than"
    )
    return (
        f"Take {best.name}: {_rate(best)}, {factor} the {current.rate():.0f} of "
        f"{_plain(current)}{_reason(result, best, current)}."
    )


def _reason(result: Result, best: Row, current: Row) -> str:
    """Return why it is faster, as far as it is known."""
    interfaces = (best.candidate.interface, current.candidate.interface)
    if interfaces == ("wsgi", "asgi") and result.synchronous:
        return (
            ", because on an ASGI server Django starts a thread for each request to a "
            "synchronous view"
        )
    if interfaces == ("asgi", "wsgi") and result.synchronous is False:
        return ", because the views are async, which a WSGI server cannot overlap"
    wider = _slots(best) > _slots(current)
    if interfaces == ("wsgi", "wsgi") and wider:
        return f", with {_slots(best)} requests at a time instead of {_slots(current)}"
    return ", with the same application and equal settings"


def _keep(sound: Sequence[Row], best: Row, current: Row) -> str:
    name = _plain(current)
    if best is current:
        rest = [row for row in sound if row is not current]
        if not rest:
            return f"Keep {name}: there was no other server to compare it with."
        second = max(rest, key=Row.rate)
        if _is_faster(current, second):
            return (
                f"Keep {name}: {_rate(current)}, and the next best, {second.name}, "
                f"did {second.rate():.0f}."
            )
        if _overlap(current, second):
            return (
                f"Keep {name}: nothing was faster, though {second.name} is within the "
                f"noise of these rounds ({current.rate():.0f} and {second.rate():.0f} "
                "requests/s)."
            )
        best = second
    why = "which is too little to switch for"
    if _overlap(best, current):
        why = "which is within the noise of these rounds"
    if len(best.rates()) < 2:
        why = "and a single round cannot tell that from noise"
    return (
        f"Keep {name}: {best.name} did {best.rate():.0f} requests/s and {name} "
        f"{current.rate():.0f}, {why}."
    )


def _lighter(rows: Sequence[Row], current: Row) -> Row | None:
    """Return the server that is as fast in much less memory, if there is one."""
    found = [
        row
        for row in rows
        if not _is_faster(current, row)
        and max(row.memories) < min(current.memories)
        and row.memory() < current.memory() * _WORTH_MEMORY
    ]
    return min(found, key=Row.memory, default=None)


def _is_faster(one: Row, other: Row) -> bool:
    """Tell whether the difference is worth something, and larger than the noise."""
    worth = _WORTH if len(one.rates()) > 1 else _WORTH_IN_ONE_ROUND
    return one.rate() > other.rate() * worth and not _overlap(one, other)


def _overlap(one: Row, other: Row) -> bool:
    first, second = one.rates(), other.rates()
    return min(first) <= max(second) and min(second) <= max(first)


def _rate(row: Row) -> str:
    return f"{row.rate():.0f} requests/s"


def _slots(row: Row) -> int:
    return row.candidate.workers * (row.candidate.threads or 1)


def _failures(row: Row) -> str:
    parts = []
    if errors := row.errors():
        parts.append(f"{_count(errors, 'error')} under load")
    if lost := sum(row.lost):
        parts.append(f"{_count(lost, 'request')} lost at a stop")
    return " and ".join(parts)


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"


def _plain(row: Row) -> str:
    return row.name.removesuffix(" (now)")
