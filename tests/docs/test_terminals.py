"""A sample of two terminals is a block for each, and real times and PIDs compare."""

from __future__ import annotations

import pytest

pytest.importorskip("sphinx", reason="the documentation's tools are not installed")

from docs._ext import console
from docs._ext.terminals import TITLES, parts

SAMPLE = """\
$ prodserver web
Listening at: http://127.0.0.1:8000 (101)
# in another terminal
$ prodserver-probe web
web is ready
^C
Shutting down
"""


def test_each_terminal_has_its_part():
    first, other, end = parts(SAMPLE)
    assert first == (
        "",
        "$ prodserver web\nListening at: http://127.0.0.1:8000 (101)",
    )
    assert other == (TITLES[console.ELSEWHERE], "$ prodserver-probe web\nweb is ready")
    assert end == (TITLES[console.STOPPED], "^C\nShutting down")


def test_back_in_the_first_terminal_ctrl_c_needs_no_title():
    text = SAMPLE.replace("^C", "# in the first terminal\nGET /\n^C")
    *_, last = parts(text)
    assert last == (TITLES[console.BACK], "GET /\n^C\nShutting down")


LINE = "2026-01-01T12:00:00.000Z info     web[101] gunicorn.error: Booting pid: 103"
LATER = "2027-02-03T04:05:06.789Z info     web[9] gunicorn.error: Booting pid: 12345"


@pytest.mark.parametrize(
    ("printed", "same"),
    [
        (LATER, True),
        (LATER.replace("web[", "mail["), False),
        (LATER.replace("info", "warning"), False),
        (LATER.replace("Booting", "Stopping"), False),
        (LATER.replace("Z", ""), False),
        (LATER.replace("2027", "at 2027"), False),
    ],
)
def test_times_and_pids_may_differ_and_nothing_else(printed: str, same: bool):
    assert console._matches([[LINE]], printed) is same
