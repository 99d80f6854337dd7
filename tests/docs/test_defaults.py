"""The table of the defaults that are not the server's own."""

from __future__ import annotations

import pytest

pytest.importorskip("docutils", reason="the documentation's tools are not installed")
from django_prodserver.backends.base import CommandBackend
from docs._ext import defaults, facts


@pytest.fixture(autouse=True)
def _bare_environment(monkeypatch):
    for name in ("PORT", "PRODSERVER_HOST", "WEB_CONCURRENCY"):
        monkeypatch.delenv(name, raising=False)


def test_every_backend_has_its_rows_and_every_row_its_reason():
    rows = defaults.differences().rows
    titles = {row[0].partition(" (")[0] for row in rows}
    backends = [b for b in facts.known().values() if isinstance(b, CommandBackend)]
    assert titles == {backend.title for backend in backends}
    assert all(all(row) for row in rows)
    assert len({row[:2] for row in map(tuple, rows)}) == len(rows)


@pytest.mark.parametrize(
    "row",
    [
        ("Gunicorn", "`--threads`", "`4`", "`1`"),
        ("Gunicorn", "`--keep-alive`", "`65`", "`2`"),
        ("Gunicorn", "`--no-control-socket`", "on", "off"),
        ("Gunicorn", "`ACCESS_LOG`", "`True`", "none"),
        ("Granian (WSGI)", "`--no-ws`", "off", "on"),
        ("Waitress", "`LOG_FORMAT`", "`text`", "its own format"),
        ("Celery", "`CONCURRENCY`", "`auto`", "the CPUs of the host"),
    ],
)
def test_a_default_is_beside_the_servers_own(row):
    assert row in [tuple(found[:4]) for found in defaults.differences().rows]


def test_what_is_the_servers_own_is_no_row():
    rows = defaults.differences().rows
    assert not [row for row in rows if row[1] == "`--log-level`"]
