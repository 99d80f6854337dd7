"""The measurements of a comparison, and their summary."""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from django_prodserver.commands.compare.candidates import Candidate, LeftOut
from django_prodserver.commands.compare.load_tools import Burst


@dataclass
class Row:
    """
    The samples of one server: one of each for every round.

    Attributes:
        candidate: The server.
        bursts: Those of each page.
        first_answers: Seconds from the start to the first response.
        memories: MiB after the bursts.
        lost: Requests that a stop under load lost.
        stopped: Whether it exited in time each time.
    """

    candidate: Candidate
    bursts: dict[str, list[Burst]] = field(default_factory=dict)
    first_answers: list[float] = field(default_factory=list)
    memories: list[float] = field(default_factory=list)
    lost: list[int] = field(default_factory=list)
    stopped: list[bool] = field(default_factory=list)

    @property
    def name(self) -> str:
        return self.candidate.name

    @property
    def is_measured(self) -> bool:
        """Whether there is a burst of each page."""
        return bool(self.bursts) and all(self.bursts.values())

    def rates(self) -> list[float]:
        """Return the requests per second of each round, in an equal mix of pages."""
        rounds = zip(*self.bursts.values(), strict=False)
        return [
            len(bursts) / sum(1 / burst.rate for burst in bursts)
            if all(burst.rate for burst in bursts)
            else 0.0
            for bursts in rounds
        ]

    def rate(self) -> float:
        return statistics.median(self.rates())

    def errors(self) -> int:
        return sum(burst.errors for page in self.bursts.values() for burst in page)

    def memory(self) -> float:
        return statistics.median(self.memories)


@dataclass
class Result:
    """A whole comparison."""

    process: str
    tool: str
    cores: int
    seconds: int
    rounds: int
    connections: int
    memory: str
    pages: list[str]
    rows: list[Row]
    left_out: list[LeftOut]
    warnings: list[str]
    synchronous: bool | None = None
    interrupted: bool = False
    advice: str = ""
    #: What is counted: "requests" of web servers, or "tasks" of a worker.
    unit: str = "requests"

    def measured(self) -> list[Row]:
        return [row for row in self.rows if row.is_measured]

    def as_dict(self) -> dict[str, Any]:
        """Return it for JSON."""
        keep = ("process", "tool", "cores", "seconds", "rounds", "connections")
        rest = ("memory", "pages", "warnings", "interrupted", "advice")
        rows = [_row_as_dict(row, self.unit) for row in self.measured()]
        return {
            **{name: getattr(self, name) for name in (*keep, *rest)},
            "servers" if self.unit == "requests" else "workers": rows,
            "left_out": [entry._asdict() for entry in self.left_out],
        }


def _row_as_dict(row: Row, unit: str) -> dict[str, Any]:
    candidate = row.candidate
    return {
        "name": candidate.name,
        "backend": candidate.path,
        "configured": candidate.is_current,
        "interface": candidate.interface,
        "workers": candidate.workers,
        "threads": candidate.threads,
        unit if unit == "tasks" else "pages": {
            page: {
                f"{unit}_per_second": _summary([burst.rate for burst in bursts]),
                "p99_ms": _summary([burst.p99 for burst in bursts]),
                "errors": sum(burst.errors for burst in bursts),
            }
            for page, bursts in row.bursts.items()
        },
        "first_task_seconds" if unit == "tasks" else "first_answer_seconds": _summary(
            row.first_answers
        ),
        "memory_mib": _summary(row.memories),
        "lost_at_stop": sum(row.lost),
        "stopped_in_time": all(row.stopped),
    }


def _summary(values: Sequence[float]) -> dict[str, Any]:
    shown = [round(value, 2) for value in values]
    return {"median": round(statistics.median(values), 2), "runs": shown}
