"""The report: a line when each check ends, a table at the end, and JSON."""

from __future__ import annotations

import dataclasses
import json
import shutil
import textwrap
from collections.abc import Callable, Sequence

from prodserver_conformance.options import Options

WORDS = {"passed": "ok", "failed": "FAIL", "skipped": "skip"}
_COLUMNS = ("", "ROW", "PROCESS", "DONE", "SEEN")


@dataclasses.dataclass
class Result:
    """
    The result of a check.

    Args:
        check: Its name.
        process: The process that was checked; empty if it was the image.
        outcome: ``passed``, ``failed`` or ``skipped``.
        actions: What was done.
        observations: What was observed; why, if it was skipped.
        fix: What to do about it; empty if it passed.
        seconds: How long it took.
    """

    check: str
    process: str
    outcome: str
    actions: str
    observations: str
    fix: str
    seconds: float


class Report:
    """
    Collect the results and write the report.

    Args:
        write_line: Receives each line.
        redact: Removes secrets from a text.
    """

    def __init__(
        self, write_line: Callable[[str], object], redact: Callable[[str], str]
    ) -> None:
        self._write_line = write_line
        self.redact = redact
        self.expected = 0
        self.results: list[Result] = []

    def write(self, line: str) -> None:
        """Write a line, with the secrets masked."""
        self._write_line(self.redact(line))

    def add(self, result: Result) -> None:
        """Add the result of a check, and write a line about it."""
        result.actions = self.redact(result.actions)
        result.observations = self.redact(result.observations)
        result.fix = self.redact(result.fix)
        self.results.append(result)
        number = f"{len(self.results):{len(str(self.expected))}}/{self.expected}"
        name = " ".join(filter(None, (result.check, result.process)))
        word = WORDS[result.outcome]
        self.write(f"[{number}] {word:4} {name} ({result.seconds:.1f} s)")

    def count(self, outcome: str) -> int:
        """Return how many checks had that outcome."""
        return sum(result.outcome == outcome for result in self.results)

    def write_table(self) -> None:
        """Write a row for each result, and the advice below those that failed."""
        rows = [_COLUMNS] + [
            (WORDS[r.outcome], r.check, r.process or "-", r.actions, r.observations)
            for r in self.results
        ]
        narrow = [max(len(row[column]) for row in rows) for column in range(3)]
        # As wide as the terminal; 120 columns in a log.
        rest = max(shutil.get_terminal_size((120, 0)).columns - sum(narrow) - 8, 40)
        widths = [*narrow, rest * 2 // 5, rest - rest * 2 // 5]
        self.write("")
        for row, result in zip(rows, [None, *self.results], strict=True):
            for line in _wrapped(row, widths):
                self.write(line)
            if result and result.fix:
                self._write_fix(result.fix, narrow[0] + 2, sum(widths) + 8)

    def _write_fix(self, fix: str, indent: int, width: int) -> None:
        lines = textwrap.wrap(
            f"fix: {fix}",
            width,
            initial_indent=" " * indent,
            subsequent_indent=" " * (indent + 5),
            break_on_hyphens=False,
        )
        for line in lines:
            self.write(line)

    def summary(self) -> str:
        """Return the last line of the report."""
        counts = [(self.count(outcome), outcome) for outcome in WORDS]
        return ", ".join(f"{number} {outcome}" for number, outcome in counts if number)

    def passed(self, strict: bool) -> bool:
        """Return whether no check failed and, if strict, none was skipped."""
        return not self.count("failed") and not (strict and self.count("skipped"))

    def to_json(self, options: Options, image_id: str) -> str:
        """Return the whole report as a JSON object; its keys are documented."""
        rows = [
            {
                "row": result.check,
                "process": result.process,
                "outcome": result.outcome,
                "did": result.actions,
                "saw": result.observations,
                "fix": result.fix,
                "seconds": result.seconds,
            }
            for result in self.results
        ]
        report = {
            "image": options.image,
            "id": image_id,
            "processes": list(options.processes),
            "good": self.passed(options.strict),
            "rows": rows,
        }
        return self.redact(json.dumps(report, indent=2)) + "\n"


def _wrapped(cells: Sequence[str], widths: Sequence[int]) -> list[str]:
    """Return the lines of a row of the table."""
    columns = [
        textwrap.wrap(cell, width, break_on_hyphens=False) or [""]
        for cell, width in zip(cells, widths, strict=True)
    ]
    height = max(map(len, columns))
    padded = [column + [""] * (height - len(column)) for column in columns]
    return [
        "  ".join(
            part.ljust(width) for part, width in zip(line, widths, strict=True)
        ).rstrip()
        for line in zip(*padded, strict=True)
    ]
