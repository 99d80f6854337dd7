"""That the documentation's build tells of what is wrong, and of no machine."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.harness import PROJECT

pytest.importorskip("sphinx", reason="the documentation's tools are not installed")

ROOT = PROJECT.parent.parent
#: A line of a page, and what the build says of it.
WRONG = {
    "```{server-options} gunicorn/options.json\naccesslog\n```": (
        "has no option --accesslog"
    ),
    "```{server-options} unicorn/options.json\nbind\n```": (
        "no backend has the table unicorn/options.json"
    ),
    "```{neutral-keys} wbe\n```": "'wbe'",
    "{key}`WROKERS`": "'key' reference target not found: WROKERS",
    "{check}`prodserver.W999`": "'check' reference target not found: prodserver.W999",
    "{envvar}`PROT`": "'envvar' reference target not found: PROT",
    "{ref}`nowhere`": "undefined label: 'nowhere'",
    "[nowhere](nowhere.md)": "'nowhere.md'",
    "[guide](https://docs.celeryq.dev/en/v5.7.0/guide)": "hardcoded link",
    "```{nothing}\n```": "Unknown directive type: 'nothing'",
}


def build(source: Path, *options: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "sphinx", "-q", "-n", "-W", "--keep-going"]
    out = source.parent / "out"
    return subprocess.run(
        [*command, *options, "-c", str(ROOT / "docs"), str(source), str(out)],
        capture_output=True,
        text=True,
        timeout=300,
    )


@pytest.mark.process
def test_what_is_wrong_on_a_page_stops_the_build(tmp_path):
    source = tmp_path / "source"
    source.mkdir()
    page = "\n\n".join(["(index)=", "# A page", *WRONG])
    (source / "index.md").write_text(page)
    (source / "alone.md").write_text("(alone)=\n\n# In no table of contents\n")
    done = build(source)
    assert done.returncode == 1, done.stderr
    for said in WRONG.values():
        assert said in done.stderr, done.stderr
    assert "isn't included in any toctree" in done.stderr


@pytest.mark.process
def test_option_tables_are_the_same_on_every_machine(tmp_path):
    """And by whatever name their user and their host go."""
    code = """
import conf, re, pathlib
from docs._ext import server_options
for page in sorted(pathlib.Path(conf.HERE, "backends").glob("*.md")):
    text = page.read_text()
    for server, names in re.findall(r"```{server-options} (\\S+)\\n([^`]*)```", text):
        print(server_options.options(server, names.split()))
"""
    said = []
    for home, more in [
        ("/nonexistent", {"PORT": "1", "FORWARDED_ALLOW_IPS": "*", "LANG": "C"}),
        (str(tmp_path), {"WEB_CONCURRENCY": "7", "XDG_RUNTIME_DIR": str(tmp_path)}),
    ]:
        done = subprocess.run(
            [sys.executable, "-c", code],
            cwd=home if home == str(tmp_path) else ROOT,
            env={"PATH": os.environ["PATH"], "PYTHONPATH": f"{ROOT}/docs", "HOME": home}
            | more,
            capture_output=True,
            text=True,
            timeout=120,
        )
        assert done.returncode == 0, done.stderr
        said.append(done.stdout)
    assert "gunicorn" in said[0]
    assert said[0] == said[1]
