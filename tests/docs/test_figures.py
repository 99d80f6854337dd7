"""That the tables and plots of the figures are what was measured."""

from __future__ import annotations

import argparse
import importlib
import json
import re
import sys
from pathlib import Path

import pytest

pytest.importorskip("sphinx", reason="the documentation's tools are not installed")

from benchmarks import plots, subject, throughput
from docs._ext import figures, measured
from docs._ext.tables import Table
from tests import readme

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "benchmarks.md").read_text()
SUBJECTS = sorted(
    path.stem
    for path in (ROOT / "benchmarks").glob("*.py")
    if "\ndef main() -> None:\n" in path.read_text()
)


def test_the_readme_has_the_figures_of_the_results() -> None:
    assert readme.written() == readme.table(), "run python -m tests.readme"


def test_the_front_page_has_the_figures_of_the_results() -> None:
    gunicorn = subject.read("starts")["starts"]["small"]["gunicorn"]
    memory = {
        workers: [rows[way]["median"][2] for way in ("native", "prodserver")]
        for workers, rows in gunicorn.items()
    }
    lost = subject.read("stops")["servers"]["gunicorn"]
    probe = subject.read("probe")["processes"]["worker"]
    runs = subject.read("applications")["applications"]
    published = [row for name, row in runs.items() if name != "big"]
    works = ("ok", "not preloaded")
    front = (ROOT / "docs" / "index.md").read_text()
    for said in (
        f"{memory['4'][0]:.0f} → {memory['4'][1]:.0f} MiB",
        f"takes {memory['1'][1] - memory['1'][0]:.0f} MiB more",
        f"{lost['native']['lost']} → {lost['prodserver']['lost']} lost requests",
        f"{probe['celery inspect ping']['median'][1]:.0f} → "
        f"{probe['--ready']['median'][1]:.0f} ms",
        f"{len(published)} of {len(published)} applications",
    ):
        assert said in front, said
    for row in published:
        for server in ("gunicorn", "uvicorn", "granian", "waitress"):
            assert row[server].startswith(works), row


def test_every_subject_is_measured_by_make_and_is_on_the_page() -> None:
    [made] = re.findall("^SUBJECTS := (.*)", (ROOT / "Makefile").read_text(), re.M)
    assert sorted(made.split()) == SUBJECTS
    assert sorted(re.findall(r"`python -m benchmarks\.(\w+)`", PAGE)) == SUBJECTS
    assert measured.SUBJECTS == SUBJECTS, "the results are not committed"


@pytest.mark.parametrize("name", SUBJECTS)
def test_every_subject_has_a_short_run(
    name: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    module = importlib.import_module(f"benchmarks.{name}")
    monkeypatch.setattr(sys, "argv", [name, "--help"])
    with pytest.raises(SystemExit, match="0"):
        module.main()
    shown = capsys.readouterr().out
    assert "--quick" in shown
    assert f"python -m benchmarks.{name}" in shown


def test_what_is_said_is_stronger_than_the_short_run(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def options(*said: str) -> tuple[int, int, list[str], bool]:
        parser = argparse.ArgumentParser()
        parser.add_argument("--runs", type=int, default=9)
        parser.add_argument("--rounds", type=int, default=8)
        parser.add_argument("servers", nargs="*", default=["a", "b"])
        monkeypatch.setattr(sys, "argv", ["bench", *said])
        found = subject.options(parser, runs=1, rounds=2, servers=["a"])
        return found.runs, found.rounds, found.servers, found.quick

    assert options() == (9, 8, ["a", "b"], False)
    assert options("--quick") == (1, 2, ["a"], True)
    assert options("--quick", "--runs=3", "b") == (3, 2, ["b"], True)


def test_results_have_a_line_for_each_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(subject, "RESULTS", tmp_path)
    assert subject.read("starts") == {}
    result = {"runs": [[1.5, 20, 3.25], [1, 2, 3]], "names": ["a", "b"], "none": []}
    subject.write("starts", result)
    assert subject.read("starts") == result
    lines = (tmp_path / "starts.json").read_text().splitlines()
    assert "  [1.5, 20, 3.25]," in lines
    assert json.loads("\n".join(lines)) == result


def test_an_interval_holds_its_median() -> None:
    ratios = throughput.interval([float(n) for n in range(1, 101)], [1.0] * 100)
    # The order statistics 41 and 60 hold the median of 100 at 95 %.
    assert ratios == [41.0, 50.5, 60.0]
    assert throughput.interval([3.0, 1.0], [1.0, 1.0]) == [1.0, 2.0, 3.0]


@pytest.mark.parametrize("name", figures.TABLES)
def test_a_table_is_made_of_the_results(name: str) -> None:
    is_whole(figures.TABLES[name]())
    pages = [path.read_text() for path in (ROOT / "docs").rglob("*.md")]
    assert any(f"```{{{name}}}\n" in page for page in pages)


@pytest.mark.parametrize("project", plots.PROJECTS)
@pytest.mark.parametrize("quantity", measured.QUANTITIES)
def test_the_starts_are_a_table_for_each_quantity(project: str, quantity: str) -> None:
    is_whole(measured.starts(project, quantity))
    assert f"```{{starts}} {project} {quantity}\n" in PAGE


def test_every_plot_is_on_the_page_and_is_made_of_the_results() -> None:
    found = [line.split() for line in re.findall(r"```{plot} (.+)", PAGE)]
    assert {name for name, *_ in found} == set(figures.PLOTS)
    for name, *arguments in found:
        assert figures.PLOTS[name](*arguments).startswith("<svg")


def is_whole(table: Table) -> None:
    assert table.rows
    assert {len(row) for row in table.rows} == {len(table.head)}


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


def test_curves_say_in_words_what_they_show() -> None:
    lines = {"native": {1: 2.0, 4: 8.0}, "prodserver": {1: 2.5, 4: 7.9}}
    made = plots.curves("By <workers>", {"MiB": lines})
    assert (
        'aria-label="By &lt;workers&gt;. MiB, native: 2 at 1, 8 at 4; '
        'MiB, prodserver: 2.5 at 1, 7.9 at 4"' in made
    )
    assert made.count("<polyline") == 2
    # Names of lines that end beside each other do not cover each other.
    [native] = re.findall(r'y="([\d.]+)"[^>]*>8  native', made)
    [ours] = re.findall(r'y="([\d.]+)"[^>]*>7.9  prodserver', made)
    assert float(ours) - float(native) >= 14
