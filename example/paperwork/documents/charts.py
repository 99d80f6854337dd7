"""The figures and charts of a result, as its page shows them."""

from __future__ import annotations

from typing import NamedTuple

from paperwork.documents.analysis import Counts, Readability, Sentences, Term

# LIX below 20 or above 70 is off the scale that people print.
_LIX_SCALE = (20.0, 70.0)


class TermBar(NamedTuple):
    term: str
    times: int
    percent: float


class RhythmBar(NamedTuple):
    x: int
    y: float
    height: float
    most: bool


def reading_time(counts: Counts) -> str:
    seconds = counts["reading_seconds"]
    return f"{seconds} s" if seconds < 60 else f"{round(seconds / 60)} min"


def term_bars(terms: list[Term]) -> list[TermBar]:
    most = max((term["count"] for term in terms), default=1)
    return [
        TermBar(term["term"], term["count"], round(100 * term["count"] / most, 1))
        for term in terms
    ]


def rhythm_bars(sentences: Sentences) -> list[RhythmBar]:
    """Place the bars in a box 100 high, one every 10 units, standing on its floor."""
    longest = max(sentences["rhythm"])
    bars = []
    for number, words in enumerate(sentences["rhythm"]):
        height = round(100 * words / longest, 1)
        bars.append(
            RhythmBar(10 * number, round(100 - height, 1), height, words == longest)
        )
    return bars


def readability_percent(readability: Readability) -> float:
    low, high = _LIX_SCALE
    share = (readability["score"] - low) / (high - low)
    return round(100 * min(max(share, 0), 1), 1)
