"""
The quickstart, as a stranger follows it: in an empty folder, from top to bottom.

    .venv/bin/pytest tests/docs/test_quickstart.py -s    prints each step

Its commands are those of the page. Where pip finds this version, which is on no
index, it is told by its own variables.
"""

from __future__ import annotations

import os
import subprocess
import sys
import time
import tomllib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from tests import harness

pytestmark = [pytest.mark.process, pytest.mark.slow]

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs" / "guides" / "quickstart.md"
#: What the page installs, and no test but this one.
PINS = "whitenoise==6.12.0"
#: Seconds; pip has to download Django.
TIMEOUT = 300


@pytest.fixture(scope="module")
def index(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """The variables that show pip this version, and the releases that are tested."""
    folder = tmp_path_factory.mktemp("index")
    build = ["uv", "build", "--quiet", "--wheel", "--out-dir", str(folder), str(ROOT)]
    done = subprocess.run(
        [str(harness.BIN / build[0]), *build[1:]], capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    pins = (ROOT / "constraints.txt").read_text()
    constraints = folder / "constraints.txt"
    constraints.write_text(f"{pins}\n{PINS}\n{project['name']}=={project['version']}\n")
    return {
        "PIP_CONSTRAINT": str(constraints),
        "PIP_DISABLE_PIP_VERSION_CHECK": "1",
        "PIP_FIND_LINKS": str(folder),
        "PIP_PROGRESS_BAR": "off",
    }


class Reader:
    """Somebody with an empty folder, a terminal, and the page."""

    def __init__(self, folder: Path, runtime: Path, index: dict[str, str]) -> None:
        self.folder = folder
        self.total = 0.0
        kept = {
            name: value
            for name, value in os.environ.items()
            if not name.startswith(("DJANGO_", "PIP_", "PRODSERVER_", "VIRTUAL_ENV"))
            and name not in ("PORT", "WEB_CONCURRENCY", "PYTHONPATH")
        }
        # The Python that the tests' own environment was made from.
        python = Path(sys.base_prefix) / "bin"
        path = kept["PATH"].replace(f"{harness.BIN}{os.pathsep}", "")
        self.environment = (
            kept
            | index
            | {
                "PATH": f"{python}{os.pathsep}{path}",
                "PRODSERVER_RUNTIME_DIR": str(runtime),
            }
        )

    def follow(self, samples: list[Any]) -> None:
        for sample in samples:
            if sample.language == "console":
                self.type(sample.source)
            else:
                with self.step(f"edit {sample.file}"):
                    self.write(sample)

    def write(self, sample: Any) -> None:
        name, _, where = sample.file.partition(", ")
        with (self.folder / name).open("a" if where == "at the end" else "x") as file:
            file.write(f"\n{sample.source}")

    def type(self, source: str) -> None:
        from docs._ext import console

        for command in console.commands(source):
            with self.step(command.words):
                if command.words.startswith("source "):
                    self.source(command.words)
                elif command.after is None:
                    console.execute(
                        command, self.folder, self.environment, timeout=TIMEOUT
                    )
                else:
                    self.start_and_stop(command)

    def source(self, words: str) -> None:
        """Change the environment of the terminal, and not of one command."""
        text = subprocess.check_output(
            ["bash", "-c", f"{words} && env -0"],
            cwd=self.folder,
            env=self.environment,
            text=True,
        )
        pairs = (line.partition("=") for line in text.split("\0") if line)
        self.environment = {name: value for name, _, value in pairs}

    def start_and_stop(self, command: Any) -> None:
        from docs._ext import console

        # 8000 may be another's here.
        port = harness.free_port()
        env = {"PORT": str(port), "PRODSERVER_HOST": "127.0.0.1"}
        code = console.run_and_stop(command, self.folder, self.environment | env, port)
        assert code == 0, command.words

    @contextmanager
    def step(self, what: str) -> Iterator[None]:
        began = time.monotonic()
        yield
        seconds = time.monotonic() - began
        self.total += seconds
        print(f"{seconds:6.1f} s  {what}")


@pytest.fixture
def reader(tmp_path: Path, index: dict[str, str]) -> Reader:
    folder, runtime = tmp_path / "mysite", tmp_path / "runtime"
    folder.mkdir()
    runtime.mkdir()
    return Reader(folder, runtime, index)


def test_it_works_for_somebody_who_follows_it(reader: Reader) -> None:
    """Both processes serve, and stop with 0; so does each command end."""
    samples = pytest.importorskip("docs._ext.samples")
    found = samples.of_page(PAGE)
    assert {sample.language for sample in found} == {"console", "python"}
    assert not any(sample.skipped for sample in found)
    reader.follow(found)
    print(f"{reader.total:6.1f} s  in all")
    _says_what_is_missing(reader)


def _says_what_is_missing(reader: Reader) -> None:
    """What another server's settings say here, where only Gunicorn is installed."""
    from docs._ext import samples

    (sample,) = [
        sample
        for sample in samples.of_page(ROOT / "docs" / "troubleshooting.md")
        if Path(__file__).name in sample.skipped
    ]
    backend = "django_prodserver.backends.granian.GranianWSGIServer"
    (reader.folder / "mysite" / "granian.py").write_text(
        "from mysite.settings import *\n"
        f'PRODUCTION_PROCESSES = {{"web": {{"BACKEND": "{backend}"}}}}\n'
    )
    reader.environment["DJANGO_SETTINGS_MODULE"] = "mysite.granian"
    reader.type(sample.source)
