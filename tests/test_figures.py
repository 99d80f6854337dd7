"""That the tables and plots of the figures are what was measured."""

from __future__ import annotations

import pytest

pytest.importorskip("psutil")

from benchmarks import plots


def test_what_is_written_is_what_the_results_say() -> None:
    for path, text in plots.files().items():
        assert path.read_text() == text, "run python -m benchmarks.plots"


def test_a_plot_says_in_words_what_it_shows() -> None:
    made = plots.plot("Memory <MiB>", {"gunicorn": {"native": 100.5, "prodserver": 50}})
    assert (
        'aria-label="Memory &lt;MiB&gt;. gunicorn: native 100.5, prodserver 50"' in made
    )
    widths = [line for line in made.splitlines() if line.startswith("<rect")]
    assert len(widths) == 2
