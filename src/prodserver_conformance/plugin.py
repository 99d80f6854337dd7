"""The pytest plugin that runs the checks and records their results."""

from __future__ import annotations

from collections.abc import Callable, Generator
from typing import Any, TypeVar

import pytest

from prodserver_conformance.container import CheckFailed
from prodserver_conformance.engine import ENGINE_ERRORS
from prodserver_conformance.environment import Environment
from prodserver_conformance.report import Report, Result

T = TypeVar("T", bound=Callable[..., Any])


def check(name: str, fix: str) -> Callable[[T], T]:
    """
    Name a check, and say what to do when it fails.

    Args:
        name: Its name in reports and for ``--only``.
        fix: The advice.
    """
    return pytest.mark.check(name=name, fix=fix)


class Record:
    """Collect what a check does and observes, while it runs."""

    def __init__(self) -> None:
        self.actions: list[str] = []
        self.observations: list[str] = []

    def add_action(self, text: str) -> None:
        """Record something that the check does."""
        self.actions.append(text)

    def add_observation(self, text: str) -> None:
        """Record something that the check observes."""
        self.observations.append(text)

    def require(self, condition: object, reason: str, fix: str = "") -> None:
        """
        Go on if the condition holds.

        Raises:
            CheckFailed: It does not; with what was observed instead.
        """
        if not condition:
            raise CheckFailed(reason, fix)


class Plugin:
    """
    Run the checks.

    Args:
        environment: Starts the processes.
        report: Receives the results.
    """

    def __init__(self, environment: Environment, report: Report) -> None:
        self._environment = environment
        self._report = report
        #: Tracebacks of errors in prodserver-conformance itself.
        self.internal_errors: list[str] = []

    @pytest.fixture
    def record(self, request: pytest.FixtureRequest) -> Record:
        record = Record()
        request.node.stash[_RECORD] = record
        return record

    @pytest.fixture
    def environment(self) -> Environment:
        return self._environment

    def pytest_generate_tests(self, metafunc: pytest.Metafunc) -> None:
        if "process" in metafunc.fixturenames:
            metafunc.parametrize("process", self._environment.options.processes)

    def pytest_collection_modifyitems(self, items: list[pytest.Item]) -> None:
        only = self._environment.options.only
        items[:] = [item for item in items if not only or _mark(item)["name"] in only]
        self._report.expected = len(items)

    def pytest_collectreport(self, report: pytest.CollectReport) -> None:
        if report.failed:
            self.internal_errors.append(report.longreprtext)

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_makereport(
        self, item: pytest.Item, call: pytest.CallInfo[None]
    ) -> Generator[None, pytest.TestReport, pytest.TestReport]:
        report = yield
        if report.when != "call" and report.passed:
            return report
        record = item.stash.get(_RECORD, Record())
        error = call.excinfo.value if call.excinfo else None
        fix = ""
        if report.skipped and isinstance(report.longrepr, tuple):
            record.add_observation(report.longrepr[2].removeprefix("Skipped: "))
        elif isinstance(error, CheckFailed):
            record.add_observation(error.reason)
            fix = error.fix or _mark(item)["fix"]
        elif isinstance(error, ENGINE_ERRORS):
            record.add_observation(f"the engine fails: {error}")
            fix = "To check the engine: docker version; docker info"
        elif error is not None:
            self.internal_errors.append(str(report.longreprtext))
            record.add_observation(f"{type(error).__name__}: {error}")
            fix = "This is an error in prodserver-conformance itself. Please report it."
        result = Result(
            check=_mark(item)["name"],
            process=_process(item),
            outcome=report.outcome,
            actions="; ".join(record.actions),
            observations="; ".join(record.observations),
            fix=fix,
            seconds=round(call.duration, 2),
        )
        self._report.add(result)
        # The JUnit file is made from these. Secrets are redacted by now.
        if report.failed:
            report.longrepr = f"{result.observations}\nfix: {result.fix}"
        elif isinstance(report.longrepr, tuple):
            report.longrepr = (*report.longrepr[:2], result.observations)
        # pytest writes the item's properties to the file at its teardown.
        item.user_properties += [
            ("done", result.actions),
            ("seen", result.observations),
        ]
        return report


_RECORD = pytest.StashKey[Record]()


def _mark(item: pytest.Item) -> dict[str, str]:
    mark = item.get_closest_marker("check")
    return dict(mark.kwargs) if mark else {"name": item.name, "fix": ""}


def _process(item: pytest.Item) -> str:
    callspec = getattr(item, "callspec", None)
    return str(callspec.params.get("process", "")) if callspec else ""
