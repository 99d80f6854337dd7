"""The report: a line as each row ends, a table at the end, JSON."""

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
    How a row ended.

    Args:
        row: Its name.
        process: The process it is about; empty if it is about the image.
        outcome: ``passed``, ``failed`` or ``skipped``.
        did: What was done.
        saw: What was seen; of a row that is skipped, why.
        fix: What to do about it; empty if it is well.
        seconds: What it took.
    """

    row: str
    process: str
    outcome: str
    did: str
    saw: str
    fix: str
    seconds: float


class Report:
    """
    Writes the report.

    Args:
        write: Takes a line.
        hide: Takes secrets out of a text.
    """

    def __init__(
        self, write: Callable[[str], object], hide: Callable[[str], str]
    ) -> None:
        self._write = write
        self.hide = hide
        self.expected = 0
        self.results: list[Result] = []

    def say(self, line: str) -> None:
        self._write(self.hide(line))

    def add(self, result: Result) -> None:
        """Take a row that has ended, and say so."""
        for field in ("did", "saw", "fix"):
            setattr(result, field, self.hide(getattr(result, field)))
        self.results.append(result)
        number = f"{len(self.results):{len(str(self.expected))}}/{self.expected}"
        name = " ".join(filter(None, (result.row, result.process)))
        word = WORDS[result.outcome]
        self.say(f"[{number}] {word:4} {name} ({result.seconds:.1f} s)")

    def count(self, outcome: str) -> int:
        return sum(result.outcome == outcome for result in self.results)

    def table(self) -> None:
        """Write what was done and seen, and the advice where it is wrong."""
        rows = [_COLUMNS] + [
            (WORDS[r.outcome], r.row, r.process or "-", r.did, r.saw)
            for r in self.results
        ]
        narrow = [max(len(row[column]) for row in rows) for column in range(3)]
        # As wide as the terminal, in a log 120.
        rest = max(shutil.get_terminal_size((120, 0)).columns - sum(narrow) - 8, 40)
        widths = [*narrow, rest * 2 // 5, rest - rest * 2 // 5]
        self.say("")
        for row, result in zip(rows, [None, *self.results], strict=True):
            for line in _wrapped(row, widths):
                self.say(line)
            if result and result.fix:
                indent = " " * (narrow[0] + 2)
                text = f"{indent}fix: {result.fix}"
                width = sum(widths) + 8
                for line in textwrap.wrap(
                    text,
                    width,
                    subsequent_indent=f"{indent}     ",
                    break_on_hyphens=False,
                ):
                    self.say(line)

    def summary(self) -> str:
        """Return the last line."""
        counts = [(self.count(outcome), outcome) for outcome in WORDS]
        return ", ".join(f"{number} {outcome}" for number, outcome in counts if number)

    def is_good(self, strict: bool) -> bool:
        """Return whether no row failed; if strict, whether none was skipped too."""
        return not self.count("failed") and not (strict and self.count("skipped"))

    def as_json(self, options: Options, image_id: str) -> str:
        """Return all of it as a JSON object."""
        found = {
            "image": options.image,
            "id": image_id,
            "processes": list(options.processes),
            "good": self.is_good(options.strict),
            "rows": [dataclasses.asdict(result) for result in self.results],
        }
        return self.hide(json.dumps(found, indent=2)) + "\n"


def _wrapped(cells: Sequence[str], widths: Sequence[int]) -> list[str]:
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
