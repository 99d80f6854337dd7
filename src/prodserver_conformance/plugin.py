"""The pytest plugin that makes rows of tests: fixtures, what is run, reports."""

from __future__ import annotations

from collections.abc import Callable, Generator
from typing import Any, TypeVar

import pytest

from prodserver_conformance.container import Wrong
from prodserver_conformance.engine import ENGINE_ERRORS
from prodserver_conformance.report import Report, Result
from prodserver_conformance.site import Site

T = TypeVar("T", bound=Callable[..., Any])


def named(name: str, fix: str) -> Callable[[T], T]:
    """
    Give a row its name, and the advice for when it fails.

    Args:
        name: What ``--only`` calls it.
        fix: What to do.
    """
    return pytest.mark.row(name=name, fix=fix)


class Row:
    """What a row says of what it does and sees; a test writes it as it goes."""

    def __init__(self) -> None:
        self.did: list[str] = []
        self.saw: list[str] = []

    def do(self, text: str) -> None:
        self.did.append(text)

    def see(self, text: str) -> None:
        self.saw.append(text)

    def require(self, is_so: object, seen: str, fix: str = "") -> None:
        """
        Go on if it is so.

        Raises:
            Wrong: It is not; with what was seen instead.
        """
        if not is_so:
            raise Wrong(seen, fix)


class Plugin:
    """
    Runs the rows.

    Args:
        site: Where processes are started.
        report: Where rows are told.
    """

    def __init__(self, site: Site, report: Report) -> None:
        self._site = site
        self._report = report
        #: What failed by a fault of ours: tracebacks.
        self.broken: list[str] = []

    @pytest.fixture
    def row(self, request: pytest.FixtureRequest) -> Row:
        made = Row()
        request.node.stash[_ROW] = made
        return made

    @pytest.fixture
    def site(self) -> Site:
        return self._site

    def pytest_generate_tests(self, metafunc: pytest.Metafunc) -> None:
        if "process" in metafunc.fixturenames:
            metafunc.parametrize("process", self._site.options.processes)

    def pytest_collection_modifyitems(self, items: list[pytest.Item]) -> None:
        only = self._site.options.only
        items[:] = [item for item in items if not only or _mark(item)["name"] in only]
        self._report.expected = len(items)

    def pytest_collectreport(self, report: pytest.CollectReport) -> None:
        if report.failed:
            self.broken.append(report.longreprtext)

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_makereport(
        self, item: pytest.Item, call: pytest.CallInfo[None]
    ) -> Generator[None, pytest.TestReport, pytest.TestReport]:
        report = yield
        if report.when != "call" and report.passed:
            return report
        row = item.stash.get(_ROW, Row())
        error = call.excinfo.value if call.excinfo else None
        fix = ""
        if report.skipped and isinstance(report.longrepr, tuple):
            row.see(report.longrepr[2].removeprefix("Skipped: "))
        elif isinstance(error, Wrong):
            row.see(error.seen)
            fix = error.fix or _mark(item)["fix"]
        elif isinstance(error, ENGINE_ERRORS):
            row.see(f"the engine fails: {error}")
            fix = "docker version and docker info say whether it is well."
        elif error is not None:
            self.broken.append(str(report.longreprtext))
            row.see(f"{type(error).__name__}: {error}")
            fix = "This is a fault of prodserver-conformance itself; please report it."
        result = Result(
            row=_mark(item)["name"],
            process=_process(item),
            outcome=report.outcome,
            did="; ".join(row.did),
            saw="; ".join(row.saw),
            fix=fix,
            seconds=round(call.duration, 2),
        )
        self._report.add(result)
        # What JUnit's file has of it, where secrets are hidden by now.
        if report.failed:
            report.longrepr = f"{result.saw}\nfix: {result.fix}"
        elif isinstance(report.longrepr, tuple):
            report.longrepr = (*report.longrepr[:2], result.saw)
        # The file takes them of the item, when that is torn down.
        item.user_properties += [("done", result.did), ("seen", result.saw)]
        return report


_ROW = pytest.StashKey[Row]()


def _mark(item: pytest.Item) -> dict[str, str]:
    found = item.get_closest_marker("row")
    return dict(found.kwargs) if found else {"name": item.name, "fix": ""}


def _process(item: pytest.Item) -> str:
    callspec = getattr(item, "callspec", None)
    return str(callspec.params.get("process", "")) if callspec else ""
