"""
Each page of the documentation as one test, which runs its samples in order.

One test and not one for each sample: they go on from each other, and pytest-xdist
and pytest-randomly would run them anywhere, and anyhow.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from docs._ext import samples
from docs._ext.page import Page
from tests import harness

harness.hear_signals()


class WrongPage(Exception):
    """Samples of a page do not do what the page shows."""


class PageItem(pytest.Item):
    """The samples of a page."""

    def runtest(self) -> None:
        with tempfile.TemporaryDirectory(prefix="docs") as folder:
            page = Page(self.path, Path(folder))
            wrong = page.run()
        if wrong:
            raise WrongPage("\n\n".join(wrong))
        if page.missing:
            missing = " and ".join(sorted(page.missing))
            pytest.skip(f"some samples need {missing}, which make test installs")

    def repr_failure(self, excinfo: Any, style: Any = None) -> Any:
        if isinstance(excinfo.value, (WrongPage, samples.BadNote)):
            return str(excinfo.value)
        return super().repr_failure(excinfo, style)

    def reportinfo(self) -> tuple[Path, None, str]:
        return self.path, None, f"samples of {self.path.name}"


class PageFile(pytest.File):
    """A page."""

    def collect(self) -> Iterator[PageItem]:
        try:
            found = samples.of_page(self.path)
        except samples.BadNote:
            found = []  # the test reports it
        item = PageItem.from_parent(self, name="samples")
        if any(sample.stays for sample in found):
            item.add_marker("process")
        yield item


def pytest_collect_file(file_path: Path, parent: pytest.Collector) -> PageFile | None:
    if file_path.suffix not in (".md", ".rst") or samples.tested_by(file_path):
        return None
    return PageFile.from_parent(parent, path=file_path)
