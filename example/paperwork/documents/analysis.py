"""What can be said about a text with the standard library alone."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Mapping
from functools import cached_property
from itertools import pairwise
from typing import NamedTuple, TypedDict

from paperwork.documents.languages import LANGUAGES

# A word is letters, with apostrophes and hyphens inside: don't, well-known.
_WORD = re.compile(r"[^\W\d_]+(?:['\u2019-][^\W\d_]+)*")
# A sentence ends at its mark and any closing quote, if what follows does not
# start in lower case and what precedes is not a usual abbreviation.
_SENTENCE_END = re.compile(
    r"(?<!\bMr)(?<!\bMrs)(?<!\bMs)(?<!\bDr)(?<!\bSt)(?<!\be\.g)(?<!\bi\.e)"
    r"[.!?\u2026]+[\"'\u201c\u201d\u2019\u00bb\u00ab)\]]*\s+"
    r"(?![a-z\u00df-\u00ff])"
)
_PARAGRAPH_END = re.compile(r"\n\s*\n")

WORDS_PER_MINUTE = 220
TERMS = 10
# How many bars a chart of the sentences can have on a phone.
RHYTHM_BARS = 60


class NothingToRead(Exception):
    """The text has no words in it."""


class Text:
    """A text, cut up once for all the stages."""

    def __init__(self, raw: str) -> None:
        self.raw = raw

    @cached_property
    def words(self) -> list[str]:
        return _WORD.findall(self.raw)

    @cached_property
    def paragraphs(self) -> list[str]:
        return [part.strip() for part in _PARAGRAPH_END.split(self.raw) if part.strip()]

    @cached_property
    def sentences(self) -> list[str]:
        """Every sentence with a word in it, on one line each."""
        return [
            sentence
            for paragraph in self.paragraphs
            for sentence in _sentences(" ".join(paragraph.split()))
            if _WORD.search(sentence)
        ]

    @cached_property
    def language(self) -> str | None:
        """The language's code, or None if it could be any."""
        return _language(Counter(word.lower() for word in self.words))


class Counts(TypedDict):
    words: int
    different_words: int
    sentences: int
    paragraphs: int
    characters: int
    reading_seconds: int


class Guess(TypedDict):
    code: str | None
    name: str


class Term(TypedDict):
    term: str
    count: int


class Sentences(TypedDict):
    longest: str
    longest_words: int
    average_words: float
    rhythm: list[float]


class Readability(TypedDict):
    score: float
    level: str


def count(text: Text) -> Counts:
    if not text.words:
        raise NothingToRead("There are no words in this text, so nothing to analyse.")
    return {
        "words": len(text.words),
        "different_words": len({word.lower() for word in text.words}),
        "sentences": len(text.sentences),
        "paragraphs": len(text.paragraphs),
        "characters": len(text.raw),
        "reading_seconds": round(len(text.words) / WORDS_PER_MINUTE * 60),
    }


def guess_language(text: Text) -> Guess:
    code = text.language
    return {"code": code, "name": LANGUAGES[code].name if code else "Not sure"}


def frequent_terms(text: Text) -> list[Term]:
    """
    Find the words that the text is about: frequent, and not frequent everywhere.

    Each is shown in the spelling it has most often, so that names keep their
    capital and German nouns too.
    """
    ignored = LANGUAGES[text.language].common_words if text.language else frozenset()
    counts: Counter[str] = Counter()
    spellings: dict[str, Counter[str]] = {}
    for word in text.words:
        spelling = _stem(word)
        key = spelling.lower()
        if len(key) < 3 or {key, word.lower()} & ignored:
            continue
        counts[key] += 1
        spellings.setdefault(key, Counter())[spelling] += 1
    # By count, then by name, so that the same text gives the same list.
    best = sorted(counts.items(), key=lambda item: (-item[1], item[0]))[:TERMS]
    return [
        {"term": spellings[key].most_common(1)[0][0], "count": number}
        for key, number in best
    ]


def measure_sentences(text: Text) -> Sentences:
    lengths = [len(_WORD.findall(sentence)) for sentence in text.sentences]
    longest = max(range(len(lengths)), key=lengths.__getitem__)
    return {
        "longest": text.sentences[longest],
        "longest_words": lengths[longest],
        "average_words": round(sum(lengths) / len(lengths), 1),
        "rhythm": _averages(lengths, RHYTHM_BARS),
    }


def score_readability(text: Text) -> Readability:
    """
    Give the LIX score: sentence length plus the share of words over six letters.

    Unlike Flesch's it counts no syllables, so it holds in any language that
    has sentences and words.
    """
    long_words = sum(len(word) > 6 for word in text.words)
    words = len(text.words)
    score = words / len(text.sentences) + 100 * long_words / words
    level = next(name for limit, name in _LEVELS if score < limit)
    return {"score": round(score, 1), "level": level}


_LEVELS = (
    (30, "Very easy, like a children's book"),
    (40, "Easy, like a novel"),
    (50, "Medium, like a newspaper"),
    (60, "Difficult, like a report"),
    (float("inf"), "Very difficult, like a law"),
)


class Stage(NamedTuple):
    """
    One step of an analysis.

    Args:
        key: Where its part of the result is kept.
        name: What the page says while it runs.
        run: Does it.
    """

    key: str
    name: str
    run: Callable[[Text], Mapping[str, object] | list[Term]]


STAGES = (
    Stage("counts", "Counting words", count),
    Stage("language", "Guessing the language", guess_language),
    Stage("terms", "Finding frequent terms", frequent_terms),
    Stage("sentences", "Measuring sentences", measure_sentences),
    Stage("readability", "Scoring readability", score_readability),
)


def _stem(word: str) -> str:
    """Take off what an apostrophe joins: l'ouvrage, people's; all of don't."""
    word = word.replace("\u2019", "'")
    if word.lower().endswith("n't"):
        return ""
    return max(word.split("'"), key=len)


def _sentences(paragraph: str) -> list[str]:
    sentences = []
    start = 0
    for end in _SENTENCE_END.finditer(paragraph):
        sentences.append(paragraph[start : end.end()].strip())
        start = end.end()
    return [*sentences, paragraph[start:].strip()]


def _language(counts: Counter[str]) -> str | None:
    """
    Find the language whose commonest words make up most of the text.

    In running text they are a third of all words; under a tenth, or with two
    languages level, it is a list of names, or a language not known here.
    """
    total = counts.total()
    shares = sorted(
        (
            (sum(counts[word] for word in language.common_words) / total, code)
            for code, language in LANGUAGES.items()
        ),
        reverse=True,
    )
    (best, code), (second, _) = shares[:2]
    return code if best >= 0.1 and best > second else None


def _averages(values: list[int], most: int) -> list[float]:
    """Shorten a list to at most so many numbers, each the mean of its part."""
    parts = min(len(values), most)
    edges = [len(values) * part // parts for part in range(parts + 1)]
    return [
        round(sum(values[low:high]) / (high - low), 1) for low, high in pairwise(edges)
    ]
