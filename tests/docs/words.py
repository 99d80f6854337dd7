"""Signs of sentences that no native speaker would write, and where they stand.

``python -m tests.docs.words`` prints how often each sign occurs, beside the number that
``words.json`` allows. ``--shrink`` lowers what is allowed to what is left.
"""

from __future__ import annotations

import argparse
import ast
import functools
import io
import json
import re
import tokenize
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).parents[2]
ALLOWED = Path(__file__).with_name("words.json")

# A name for the sign, what matches it, and what to write instead.
SIGNS = {
    "also where": (r"\balso (where|of) \b", "including; even if"),
    "and not a": (r", and not (a|the) ", "not X but Y; rather than"),
    "anew": (r"\banew\b", "again"),
    "as it is loaded": (
        r"\bas (it|they) (is|are|was|were) (loaded|started|stopped|forked|signalled)\b",
        "while it loads; when it is signalled",
    ),
    "a fault": (r"\b(is|are|was|were) no (fault|mistake|error)s?\b", "is not an error"),
    "bear": (r"\b(bears?|to bear)\b", "tolerate; must be safe to run twice"),
    "beforehand": (r"\bbeforehand\b", "before the start; in advance"),
    "begun": (r"\bbegun\b", "started"),
    "believes": (r"\bbelieves?\b", "trusts"),
    "belongs into": (r"\bbelongs? into\b", "goes in"),
    "but for": (r"\bbut for\b", "except"),
    "by itself": (r"\bby (itself|themselves)\b", "automatically; on its own"),
    "else": (r", else (?!if\b)", "or else; otherwise"),
    "ends the start": (r"\b(ends?|ended) (the|a) start\b", "stops the start"),
    "folder": (r"\bfolders?\b", "directory"),
    "for it is": (r", for (it|he|she|they|there) ", "because"),
    "for ever": (r"\bfor ever\b", "forever"),
    "goes by": (r"\bgo(es)? by\b", "follows; is based on"),
    "hears": (r"\b(hears?|heard)\b", "receives; learns"),
    "honour": (r"\bhonours?\b", "support; apply"),
    "in flight": (r"\bin flight\b", "in progress"),
    "in vain": (r"\bin vain\b", "for nothing; twice"),
    "is another": (r"\b(is|are) another\b( one)?(?! \w)", "is different"),
    "is no": (r"(?<![Tt]here )\b(is|are) no (?!longer\b|more\b)", "is not a"),
    "is told": (r"\b(is|are|was|were|be|been) told\b", "receives; is reported"),
    "is to be": (r"\b(is|are|was|were) to be\b", "must be; will be"),
    "it is there": (
        r"\b(was|were|is|are) (not )?there (after|within|until|when|once)\b",
        "is ready; exists",
    ),
    "it looks": (r"\blooks\b", "checks; searches"),
    "it says": (r"\bsays\b", "reports; shows; means; use the plain verb"),
    "meanwhile": (r"\bmeanwhile\b", "until then; at that time"),
    "natively": (r"\bnatively\b", "by default; on its own; without django-prodserver"),
    "nobody": (r"\b(nobody|no one)\b", "name who or what does not"),
    "of its own": (r"\bof (its|their|one's) own\b", "its own X; separate"),
    "Of X:": (r"(?m)^Of [A-Z]\w+[.,:]", "name the server as the subject"),
    "of use": (r"\bof use\b", "useful"),
    "somebody": (r"\bsomebody\b", "someone; name who"),
    "speaks for": (r"\bspeaks? for\b", "unless you have a reason to"),
    "take it where": (r"\b[Tt]ake (it|\w+|\w+ or \w+) where\b", "use X when"),
    "the ones": (r"\bthe (ones (that|which)|ones? of)\b", "name the thing"),
    "what becomes": (
        r"\bwhat [^.,;:]{1,60}? becomes?\b",
        "how X becomes Y",
    ),
    "what is not": (r"\bwhat (is|was) (not|left|meant|missing)\b", "use a noun"),
    "where there is": (
        r"\b[Ww]here (nothing|there (is|are)|no \w+ (is|are))\b",
        "if there is",
    ),
    "who comes": (r"\bwho (comes|has come)\b", "new clients"),
    "whoever": (r"\bwhoever\b", "anyone who"),
}

# Directives whose body is prose; any other block between ``` is a sample.
PROSE = re.compile(r"\{(note|tip|warning|important|admonition)\}")


def pages() -> list[Path]:
    """Return what people read as pages."""
    docs = [
        path
        for pattern in ("*.md", "*.rst")
        for path in sorted((ROOT / "docs").rglob(pattern))
        if not {"_build", "shop"} & set(path.parts)
    ]
    names = ("README.md", "CHANGELOG.md", "CONTRIBUTING.md", "SECURITY.md")
    return docs + [ROOT / name for name in names]


def modules() -> list[Path]:
    """Return the code whose strings, docstrings and comments people read."""
    roots = (ROOT / "src", ROOT / "docs" / "_ext")
    paths = [path for root in roots for path in sorted(root.rglob("*.py"))]
    return [*paths, ROOT / "tests" / "equality" / "differences.py"]


def page_prose(text: str) -> str:
    """Blank samples and inline code, and keep every line where it is."""
    lines, sample = [], ""
    for line in text.splitlines():
        fence = re.match(r"\s*(`{3,})(.*)", line)
        if sample:
            if fence and fence[1].startswith(sample) and not fence[2].strip():
                sample = ""
            line = ""
        elif fence and not PROSE.search(fence[2]):
            sample, line = fence[1], ""
        elif line.startswith("%"):
            line = ""
        lines.append(re.sub(r"`[^`]*`", "CODE", line))
    return "\n".join(lines)


def code_prose(source: str) -> str:
    """Keep strings and comments, each on its line."""
    lines = [""] * (source.count("\n") + 2)
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Constant) and isinstance(node.value, str):
            for number, line in enumerate(node.value.splitlines(), node.lineno - 1):
                lines[min(number, len(lines) - 1)] += " " + line
    for token in tokenize.generate_tokens(io.StringIO(source).readline):
        if token.type == tokenize.COMMENT:
            lines[token.start[0] - 1] += " " + token.string
    return re.sub(r"`[^`\n]*`", "CODE", "\n".join(lines))


@functools.cache
def prose(area: str) -> list[tuple[str, str]]:
    """Return the name and the prose of each file in an area."""
    paths, strip = (pages(), page_prose) if area == "pages" else (modules(), code_prose)
    return [
        (str(path.relative_to(ROOT)), strip(path.read_text("utf-8"))) for path in paths
    ]


def occurrences(sign: str, area: str) -> Iterator[str]:
    """Yield ``file:line: the line`` for each match of a sign."""
    pattern = re.compile(SIGNS[sign][0])
    for name, text in prose(area):
        lines = text.splitlines()
        for match in pattern.finditer(text):
            number = text.count("\n", 0, match.start())
            yield f"{name}:{number + 1}: {lines[number].strip()}"


def count() -> dict[str, dict[str, int]]:
    """Return how often each sign occurs in each area."""
    return {
        sign: {area: len(list(occurrences(sign, area))) for area in ("pages", "code")}
        for sign in SIGNS
    }


def allowed() -> dict[str, dict[str, int]]:
    """Return how often each sign may occur; it only ever gets less."""
    loaded: dict[str, dict[str, int]] = json.loads(ALLOWED.read_text())
    return loaded


def main() -> None:
    """Print the counts, or lower what is allowed."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--shrink", action="store_true")
    parser.add_argument("--where", action="store_true", help="print each occurrence")
    options = parser.parse_args()
    counts = count()
    limits = allowed() if ALLOWED.exists() else counts
    totals = {"pages": 0, "code": 0}
    for sign, areas in counts.items():
        for area, number in areas.items():
            totals[area] += number
            if options.where:
                print(*occurrences(sign, area), sep="\n", end="\n" if number else "")
            limit = limits.setdefault(sign, areas)[area]
            limits[sign][area] = min(limit, number)
            print(f"{sign:16} {area:6} {number:4} of {limit:4} allowed")
    print(f"total: pages {totals['pages']}, code {totals['code']}")
    if options.shrink:
        known = {sign: limits[sign] for sign in SIGNS}
        ALLOWED.write_text(json.dumps(known, indent=2) + "\n")


if __name__ == "__main__":
    main()
