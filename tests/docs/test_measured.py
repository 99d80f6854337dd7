"""What the reference says of stops, against what the tests of real processes expect."""

from __future__ import annotations

import re
from pathlib import Path

from benchmarks import subject
from benchmarks.starts import CONSOLE, NATIVE
from django_prodserver.process.deadline import UNFINISHED
from tests.backends.sites import load
from tests.servers import config

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs/reference/signals.md").read_text()
#: What the page calls a server, and tests/servers.py.
SERVERS = {
    "Gunicorn": "gunicorn-2",
    "Uvicorn, 1 worker": "uvicorn",
    "Uvicorn, several": "uvicorn-2",
    "Granian": "granian-wsgi-2",
    "Waitress": "waitress",
    "Hypercorn": "hypercorn",
}


def rows(head: str) -> list[list[str]]:
    """Return the cells of the page's table of that head."""
    _, _, rest = PAGE.partition(f"{head}\n")
    lines = rest.partition("\n\n")[0].splitlines()[1:]
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in lines]


def test_a_request_that_is_cut_ends_a_server_as_its_backend_says() -> None:
    shown = dict(rows("| Server | Exit code after a cut |"))
    assert set(shown) == set(SERVERS)
    for name, code in shown.items():
        backend = load(config(SERVERS[name], 8000))
        known = backend.cut_exit_code(backend.args)
        # As a shell shows a signal.
        assert int(code) == (known if known >= 0 else 128 - known), name


def test_a_task_that_is_cut_ends_every_worker_with_one_code() -> None:
    found = rows("| Worker | Unfinished tasks | Exit code |")
    assert len(found) == 9
    assert {code for _, _, code in found} == {str(UNFINISHED)}


def test_no_client_delays_a_stop_more_than_with_the_native_command() -> None:
    """Neither in seconds nor in requests, as the page says of the measurement."""
    stated = re.search(r"No stop in these tables takes over ([\d.]+) seconds", PAGE)
    assert stated
    found = subject.read("held_stops")["servers"]
    worse = []
    for server, situations in found.items():
        for name, ways in situations.items():
            native, ours = ways[NATIVE], ways[CONSOLE]
            assert ours["seconds"] is not None, (server, name)
            assert ours["witness"], (server, name)
            assert ours["answers"] >= native["answers"], (server, name)
            if native["seconds"] is None:
                continue
            # Rounded as in the tables.
            longer = round(ours["seconds"] - native["seconds"], 1)
            if native["witness"] and longer > float(stated[1]):
                worse.append((server, name, longer))
    assert worse == []
    lossy = {s for s, rows in found.items() if not rows["slow"][NATIVE]["witness"]}
    assert lossy == {"waitress"}
