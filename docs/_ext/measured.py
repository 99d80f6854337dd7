"""The tables of what was measured, out of the files in ``benchmarks/results``."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from benchmarks import applications as applications_of
from benchmarks import held_stops as held_stops_of
from benchmarks.growth import LAUNCHER
from benchmarks.plots import PROJECTS
from benchmarks.published import PUBLISHED
from benchmarks.starts import (
    CONSOLE,
    GIVEN_UP,
    MANAGE,
    NATIVE,
    PRELOADED,
    THEIRS,
    UNLOADED,
    WARMED,
)
from benchmarks.subject import RESULTS
from benchmarks.subject import read as _results
from docs._ext import tables
from docs._ext.tables import Table
from tests.clients import SITUATIONS

SUBJECTS = sorted(path.stem for path in RESULTS.glob("*.json"))
#: What the applications are called.
TITLES = {"big": "Wagtail", **{name: each.title for name, each in PUBLISHED.items()}}
#: A table's columns, and the quantities: a run's number, and its unit.
WAYS = (NATIVE, PRELOADED, THEIRS, MANAGE, CONSOLE, WARMED, GIVEN_UP, UNLOADED)
QUANTITIES = {
    "first-200": (0, "s"),
    "slowest": (1, "ms"),
    "idle": (2, "MiB"),
    "used": (3, "MiB"),
}


def probe_costs() -> Table:
    """Return what asking a process takes, and what it takes by other means."""
    rows = [
        (_NAMES.get(name, name), tables.code(way), f"{cpu:.0f} ms", f"{memory:.0f} MB")
        for name, ways in _results("probe")["processes"].items()
        for way, (cpu, _, memory) in ((w, found["median"]) for w, found in ways.items())
    ]
    return Table(("Process", "Checked with", "CPU time", "Peak memory"), rows)


def lazy_imports() -> Table:
    """Return what each command takes, and what it takes with lazy imports."""
    rows = []
    for name, ways in _results("lazy_imports")["commands"].items():
        cpu, _, memory = ways["normal"]["median"]
        lazy_cpu, _, lazy_memory = ways["lazy"]["median"]
        rows.append(
            (
                tables.code(name),
                *(f"{cpu:.0f} ms", f"{lazy_cpu:.0f} ms"),
                *(f"{memory:.0f} MB", f"{lazy_memory:.0f} MB"),
            )
        )
    head = ("CPU time", "with lazy imports", "Peak memory", "with lazy imports")
    return Table(("", *head), rows)


def warm_start() -> Table:
    """Return what a warm start saves against the native command."""
    quantities = ("First response", "Memory")
    ways = ("native", "`--preload`", "prodserver")
    columns = (f"{quantity}, {way}" for quantity in quantities for way in ways)
    head = ("Server and project", "Workers", *columns)
    rows = []
    for project, servers in _results("starts")["starts"].items():
        for server, counts in servers.items():
            shown = {max(counts, key=int)} - {"1"}
            if server == "gunicorn":
                # For comparison: one worker shares nothing.
                shown |= counts.keys() & {"1"}
            for workers in sorted(shown, key=int, reverse=True):
                row = counts[workers]
                cells = [f"{server}, {_project(project)}", workers]
                for column, form in ((0, "{:.2f}\u00a0s"), (2, "{:.0f}\u00a0MiB")):
                    # Of all servers, only Gunicorn has such an option.
                    for way in (row[NATIVE], row.get(PRELOADED)):
                        number = form.format(way["median"][column]) if way else "\u2013"
                        cells.append(number)
                    ours = form.format(row[CONSOLE]["median"][column])
                    cells.append(f"{ours} ({_ratio(row[CONSOLE], column)})")
                rows.append(tuple(cells))
    return Table(head, rows)


def savings() -> str:
    """Return in one sentence what several workers save."""
    rows = [
        counts[max(counts, key=int)][CONSOLE]["ratio"]
        for servers in _results("starts")["starts"].values()
        for counts in servers.values()
        if max(counts, key=int) != "1"
    ]
    first, memory = (sorted(row[column] for row in rows) for column in (0, 2))
    return (
        f"With four workers, `prodserver` needs {memory[0]:.0%} to {memory[-1]:.0%} of "
        "the native command's memory, and "
        f"{first[0]:.0%} to {first[-1]:.0%} of its time to the first response."
    )


def lost_requests() -> Table:
    """Return the requests that restarts lose, native and ours."""
    rows = [
        (
            server,
            *(
                f"{ways[way]['lost']} of {ways[way]['requests']:,}"
                for way in (NATIVE, CONSOLE)
            ),
        )
        for server, ways in _results("stops")["servers"].items()
    ]
    return Table(("Server", "Lost, native command", "Lost, prodserver"), rows)


def _project(name: str) -> str:
    return PROJECTS.get(name) or TITLES[name]


def published_starts() -> Table:
    """Return what was measured of the starts of published applications, if it was."""
    ways = (CONSOLE, WARMED, GIVEN_UP, UNLOADED)
    head = ("Application", "Server", "Workers", "", NATIVE, *ways)
    rows = []
    for name in PUBLISHED:
        found = _results("starts")["starts"].get(name, {})
        for server, counts in found.items():
            for count, row in sorted(counts.items(), key=lambda each: int(each[0])):
                for label, (column, unit) in {
                    "first 200": QUANTITIES["first-200"],
                    "memory": QUANTITIES["idle"],
                }.items():
                    cells = [_value(row[NATIVE]["median"][column], unit)]
                    cells += [_ratio(row.get(way), column) for way in ways]
                    rows.append((TITLES[name], server, count, label, *cells))
        if not found:
            rows.append((TITLES[name], "not measured", *["\u2013"] * (len(head) - 2)))
    return Table(head, rows)


def _ratio(row: Mapping[str, Any] | None, column: int) -> str:
    return _times(row["ratio"][column]) if row else "\u2013"


def starts(project: str, quantity: str) -> Table:
    """Return what was measured of starts: a quantity of all ways on one project."""
    column, unit = QUANTITIES[quantity]
    found = _results("starts")["starts"][project]
    known = [way for ways in found.values() for row in ways.values() for way in row]
    ways = [way for way in WAYS if way in known]
    rows = [
        (
            server,
            count,
            *(
                _value(row[way]["median"][column], unit)
                + (f" ({_times(row[way]['ratio'][column])})" if way != NATIVE else "")
                if way in row
                else "\u2013"
                for way in ways
            ),
        )
        for server, counts in found.items()
        for count, row in sorted(counts.items(), key=lambda each: int(each[0]))
    ]
    # As code only what must be: it is not broken, and makes it wider than a page.
    heads = [re.sub("(--[a-z]+)", r"`\1`", way.replace("==", " ")) for way in ways]
    return Table(("Server", "Workers", *heads), rows)


def growth() -> Table:
    """Return how a start grows with what it starts."""
    head = (
        *("", "First 200, native", "Here", "", "Memory, native", "Here", ""),
        *("Launcher", tables.code("--list")),
    )
    rows = []
    for what, sizes in _results("growth")["growth"].items():
        for size, row in sorted(sizes.items(), key=lambda each: int(each[0])):
            cells = [f"{size}\u00a0{_NOUNS[what][size != '1']}"]
            for number, (unit, ratio) in enumerate(
                zip(("s", "MiB"), row["ratio"], strict=True)
            ):
                native, ours = (row["median"][w][number] for w in (NATIVE, CONSOLE))
                cells += [_value(native, unit), _value(ours, unit), _times(ratio)]
            cells += [_value(row["launcher"][words], "s") for words in LAUNCHER]
            rows.append(tuple(cells))
    return Table(head, rows)


def load() -> Table:
    """Return what there is of requests a second, and of their 99th percentile."""
    head = ("Server", "Log", "Requests per second", "to native", "p99", "to native")
    rows = [
        (
            *(server, way),
            f"{row['requests per second']['median']:.0f}"
            + (f", {row['failed']} failed" if row["failed"] else ""),
            _interval(row["requests per second"]["ratio"]),
            f"{row['p99']['median']:.0f}\u00a0ms",
            _interval(row["p99"]["ratio"]),
        )
        for server, ways in _results("load")["servers"].items()
        for way, row in ways.items()
    ]
    return Table(head, rows)


def stops() -> Table:
    """Return the requests that restarts lose, and how long they take."""
    head = (
        *("Server", "Start", "Restarts", "Requests", "Lost", "of 10,000"),
        *("Stop", "Longest"),
    )
    rows = [
        (
            *(server, tables.code(way), str(len(row["runs"]))),
            *(f"{row[key]:,}" for key in ("requests", "lost")),
            f"{row['lost of 10000']:g}",
            *(_value(row[key], "s") for key in ("stop", "longest stop")),
        )
        for server, ways in _results("stops")["servers"].items()
        for way, row in ways.items()
    ]
    return Table(head, rows)


def throughput() -> Table:
    """Return what a request costs, with the interval of the ratios to native."""
    head = ("Server", "Log", "CPU time", "to native", "Latency", "to native")
    return Table(head, list(_throughput()))


def _throughput() -> Iterator[tuple[str, ...]]:
    for server, ways in _results("throughput")["servers"].items():
        for way, row in ways.items():
            cells: list[str] = []
            for quantity in row.values():
                cells += [f"{quantity['microseconds'] / 1000:.2f} ms"]
                cells += [_interval(quantity["ratio"])]
            yield server, way, *cells


def containers() -> Table:
    """Return what a container takes, from ``docker run`` on."""
    head = ("Server", "Image", "First 200", "Memory", "After 200 requests")
    rows = [
        (
            *(server, way),
            *(
                "\u2013"
                if value is None
                else _value(value, unit) + ("" if ratio == 1 else f" ({_times(ratio)})")
                for value, ratio, unit in zip(
                    row["median"], row["ratio"], ("s", "MiB", "MiB"), strict=True
                )
            ),
        )
        for server, ways in _results("containers")["servers"].items()
        for way, row in ways.items()
    ]
    return Table(head, rows)


def image_sizes() -> Table:
    """Return the sizes of the images."""
    found = _results("containers")["MiB"]
    rows = [(name, _value(size, "MiB")) for name, size in found.items()]
    return Table(("Image", "Size"), rows)


def measured_with() -> Table:
    """Return what each subject was measured with."""
    names = list(_results("starts")["machine"]["packages"])
    rows = []
    for subject in SUBJECTS:
        found = _results(subject)["machine"]
        versions = [found["packages"][name] for name in names]
        rows.append(
            (tables.code(subject), found["python"], str(found["cores"]), *versions)
        )
    return Table(("", "Python", "Cores", *names), rows)


def applications() -> Table:
    """Return what works of each published application, and what does not."""
    found = _results("applications")["applications"]
    columns = (*("check", "--list", *applications_of.SERVERS), "worker", "release")
    head = ("Application", *map(_title, columns), "Log lines that are not JSON")
    rows = [
        (
            f"{TITLES.get(name, name)} {row['version']}",
            *(_works(row[column]) for column in columns),
            f"{row['not JSON']} of {row['lines']}",
        )
        for name, row in found.items()
    ]
    return Table(head, rows)


def _title(column: str) -> str:
    return tables.code(column) if column in ("check", "--list") else column


def _works(seen: str) -> str:
    """Return a cell: "ok", the problem, or a dash without such a process."""
    return seen or "\u2013"


def signals() -> Table:
    """Return what each process does on each signal while it has work."""
    found = _results("signals")["processes"]
    words = list(next(iter(found.values())))
    rows = [
        (name, *(_does(name, word, seen[word]) for word in words))
        for name, seen in found.items()
    ]
    return Table(("", *(f"SIG{word}" for word in words)), rows)


#: One of them, and several.
_NOUNS = {
    "apps": ("application", "applications"),
    "processes": ("process", "processes"),
    "workers": ("worker", "workers"),
}
#: As other pages call them; the tests' project has different names.
_NAMES = {"worker": "celery"}
#: What it does where it goes on, as far as that does not show in its processes.
_MORE = {
    ("gunicorn", "USR1"): "reopens its log files",
    ("gunicorn", "USR2"): "starts a new master as well",
    ("celery", "HUP"): "finishes, restarts",
}


def _does(name: str, word: str, seen: Mapping[str, Any]) -> str:
    """Return in words what was seen."""
    code, done = seen["code"], seen["work"] == "done"
    if code is None:
        plain = "replaces its workers" if seen["replaced"] else "keeps running"
        return _MORE.get((name.partition(" ")[0], word), plain)
    # As a shell shows a signal.
    shown = code if code >= 0 else 128 - code
    what = "orphans" if seen["left"] else "finishes" if done else "cut"
    return f"{what}, {shown}"


def celery_stops() -> Table:
    """Return what Celery's worker does with its tasks on each signal, in each pool."""
    runs = _results("celery_stops")["runs"]
    kinds = ("finished", "returned", "lost")
    head = ["signal", "pool", *kinds, *(f"{kind}, late" for kind in kinds)]
    rows = []
    for name in runs:
        broker, pool, stop, acks = name.split("/")
        if broker != "redis" or acks != "early":
            continue
        both = [runs[f"redis/{pool}/{stop}/{each}"] for each in ("early", "late")]
        tasks = [_tasks(run, kind) for run in both for kind in kinds]
        ends = [_both([run[what] for run in both]) for what in ("code", "probe")]
        shown = stop if stop[0].islower() else f"SIG{stop}"
        rows.append((shown, pool, *tasks, *ends))
    rows.sort(key=lambda row: (_STOPS.index(row[0]), _POOLS.index(row[1])))
    return Table((*head, "exit", "probe"), rows)


_STOPS = (
    *("SIGTERM", "SIGTERM twice", "SIGINT", "SIGQUIT", "control shutdown"),
    *("SIGHUP", "SIGUSR1"),
)
_POOLS = ("prefork", "prefork, all its processes", "threads", "gevent", "solo")


def _tasks(run: Mapping[str, Any], kind: str) -> str:
    """Return the letters of the tasks that this became of, spaced."""
    # On Redis, what an ended worker has neither finished nor returned comes back.
    letters = run[kind] + (run["stuck"].lower() if kind == "returned" else "")
    return " ".join(letters) or "\u2013"


def _both(values: Sequence[Any]) -> str:
    """Return what was seen with early and with late acknowledgement."""
    shown = ["keeps running" if value is None else str(value) for value in values]
    return " / ".join(dict.fromkeys(shown))


def held_stops(*servers: str) -> Table:
    """Return how long stops take that a client holds up, on these servers."""
    found = _results("held_stops")["servers"]
    names = (name for name in held_stops_of.SERVERS if name in found)
    chosen = [name for name in names if name.partition(" ")[0].strip(",") in servers]
    rows = [
        (
            situation.what,
            *(_held(found[name].get(key)) for name in chosen),
        )
        for key, situation in SITUATIONS.items()
    ]
    return Table(("", *chosen), rows)


def _held(ways: Mapping[str, Any] | None) -> str:
    """Return the results of the native command, and ours."""
    if ways is None:
        return "\u2013"
    return " \u2192 ".join(_stop(ways[way]) for way in (NATIVE, CONSOLE))


def _stop(seen: Mapping[str, Any]) -> str:
    if not seen["witness"]:
        return "lost"
    if seen["seconds"] is None:
        return "never"
    # The responses, if there is more than one to lose.
    kept = f" ({seen['answers']} of {seen['of']})" if seen["of"] > 1 else ""
    return f"{seen['seconds']:.1f}{kept}"


def renewals() -> Table:
    """Return the requests that are lost while a server's processes are replaced."""
    rows = [
        (
            name,
            ", ".join(f"SIG{step}" for step in row["steps"]),
            f"{row['max requests'] or ''}" or "\u2013",
            f"{row['requests']:,}",
            f"{row['lost']:,}",
            str(row["workers"]),
            f"{row['probed']} of {row['probed'] + len(row['doubts'])}",
        )
        for name, row in sorted(_results("renewals")["servers"].items())
    ]
    head = ("", "Signals", "MAX_REQUESTS", "Requests", "Lost", "Workers", "Probe: yes")
    return Table(head, rows)


def blocked_log() -> Table:
    """Return what a server does while its log is not read."""
    rows = []
    for name, ways in _results("blocked_log")["servers"].items():
        for way, row in ways.items():
            stop = "never" if row["stop"] is None else _value(row["stop"], "s")
            is_ours = way == CONSOLE
            dropped = str(row["dropped"]) if is_ours else "\u2013"
            rows.append((name, way, str(row["blocked"]), dropped, stop))
    head = ("", "", "Answered in 6 s", "Lines dropped", "Stop")
    return Table(head, rows)


def compared(project: str) -> Table:
    """Return what ``--compare`` prints of a project, the fastest server first."""
    result = _results("compare")["projects"][project]
    [page] = result["pages"]
    rows = [
        (
            _server_and_processes(server),
            f"{server['pages'][page]['requests_per_second']['median']:.0f}",
            f"{server['pages'][page]['p99_ms']['median']:.0f}\u00a0ms",
            str(server["pages"][page]["errors"]),
            f"{server['first_answer_seconds']['median']:.1f}\u00a0s",
            f"{server['memory_mib']['median']:.0f}\u00a0MiB",
            str(server["lost_at_stop"]),
        )
        for server in result["servers"]
    ]
    rows.sort(key=lambda row: float(row[1]), reverse=True)
    head = ("Requests/s", "p99", "Errors", "First response", "Memory", "Lost at stop")
    return Table(("", *head), rows)


def _server_and_processes(server: Mapping[str, Any]) -> str:
    threads = f" x {server['threads']} threads" if server["threads"] else ""
    return f"{server['name']}, {server['workers']}{threads}"


def log_line() -> Table:
    """Return what it takes to write one line."""
    line = _results("blocked_log")["line"]
    head = (tables.code("StreamHandler"), tables.code(CONSOLE))
    return Table(head, [[f"{line[way]:g}\u00a0\u00b5s" for way in (NATIVE, CONSOLE)]])


def _times(ratio: float) -> str:
    return f"\u00d7\u00a0{ratio:.2f}"


def _interval(ratio: Sequence[float]) -> str:
    low, middle, high = ratio
    spread = "" if low == high else f" ({low:.3f} to {high:.3f})"
    return f"\u00d7\u00a0{middle:.3f}{spread}"


def _value(number: float, unit: str) -> str:
    # Not to be broken between the two.
    return f"{number:g}\u00a0{unit}"
