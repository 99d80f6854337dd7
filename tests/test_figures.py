"""That the tables and plots of the figures are what was measured."""

from __future__ import annotations

import pytest

pytest.importorskip("sphinx", reason="the documentation's tools are not installed")

from benchmarks import plots
from tests import readme


def test_the_readme_has_the_figures_of_the_results() -> None:
    assert readme.written() == readme.table(), "run python -m tests.readme"


def test_a_plot_says_in_words_what_it_shows() -> None:
    made = plots.plot(
        "Memory <MiB>", {"gunicorn": {"native": 9.5, "manage.py prodserver": 5}}
    )
    assert (
        'aria-label="Memory &lt;MiB&gt;. gunicorn: native 9.5, manage.py prodserver 5"'
        in made
    )
    widths = [line for line in made.splitlines() if line.startswith("<rect")]
    assert len(widths) == 2
