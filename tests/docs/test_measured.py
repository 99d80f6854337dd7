"""What the reference says of stops, against what the tests of real processes expect."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from django_prodserver.process.deadline import UNFINISHED
from tests.backends.test_web import VARIANTS
from tests.backends.test_workers import WORKERS
from tests.processes import test_worker_shutdown

ROOT = Path(__file__).parents[2]
MEASURED = json.loads((ROOT / "benchmarks/results/signals.json").read_text())
PAGE = (ROOT / "docs/reference/signals.md").read_text()
#: What the measurement calls a server, and backends/test_web.py.
WEB = {
    "gunicorn": "gunicorn-threads-2",
    "gunicorn sync": "gunicorn-2",
    "gunicorn asgi": "gunicorn-asgi-2",
    "uvicorn, 1 worker": "uvicorn",
    "uvicorn, 2 workers": "uvicorn-2",
    "granian wsgi": "granian-wsgi-2",
    "granian asgi": "granian-asgi-2",
    "waitress": "waitress",
}
#: The same for what the page calls it, and processes/test_worker_shutdown.py.
SERVERS = {
    "Gunicorn": "gunicorn-2",
    "Uvicorn, 1 worker": "uvicorn",
    "Uvicorn, several": "uvicorn-2",
    "Granian": "granian-wsgi-2",
    "Waitress": "waitress",
}


def rows(head: str) -> list[list[str]]:
    """Return the cells of the page's table of that head."""
    _, _, rest = PAGE.partition(f"{head}\n")
    lines = rest.partition("\n\n")[0].splitlines()[1:]
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in lines]


@pytest.mark.parametrize("name", WEB)
def test_a_server_was_seen_to_stop_as_tests_expect(name: str) -> None:
    seen, variant = MEASURED["processes"][name], VARIANTS[WEB[name]]
    assert (seen["TERM"]["code"], seen["TERM"]["work"]) == (variant.on_term, "done")
    assert seen["INT"]["code"] == 0
    assert seen["INT"]["work"] == "done" or variant.quick_on_int


@pytest.mark.parametrize("name", ["celery", "db_worker", "qcluster", "rqworker"])
def test_a_worker_was_seen_to_stop_as_tests_expect(name: str) -> None:
    seen = MEASURED["processes"][name]
    assert (seen["TERM"]["code"], seen["TERM"]["work"]) == (0, "done")
    assert (seen["INT"]["code"], seen["INT"]["work"]) == (WORKERS[name].on_int, "done")


def test_a_request_that_is_cut_ends_a_server_as_tests_expect() -> None:
    mark = test_worker_shutdown.test_a_request_that_is_not_finished_is_cut.pytestmark[0]
    expected = {server: code for server, _, code in mark.args[1]}
    shown = dict(rows("| Server | Exit code after a cut |"))
    assert set(shown) == set(SERVERS)
    for name, code in shown.items():
        known = expected[SERVERS[name]]
        # As a shell shows a signal.
        assert int(code) == (known if known >= 0 else 128 - known), name


def test_a_task_that_is_cut_ends_every_worker_with_one_code() -> None:
    found = rows("| Worker | A task that is not finished | Exit code |")
    assert len(found) == 5
    assert {code for _, _, code in found} == {str(UNFINISHED)}
