"""
The README's tables of neutral keys, out of the code.

``python -m tests.readme`` writes them; a test compares.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

from docs._ext.facts import neutral_keys
from docs._ext.tables import markdown

README = Path(__file__).parent.parent / "README.md"
BEGIN, END = "<!-- keys: python -m tests.readme -->\n", "<!-- /keys -->\n"


def tables() -> str:
    """Return the tables, as they are in the README."""
    web, worker = (
        markdown(neutral_keys(kind, short=True)) for kind in ("web", "worker")
    )
    return "\n".join([*web, "", *worker, ""])


def written() -> str:
    """Return what the README has."""
    return README.read_text().partition(BEGIN)[2].partition(END)[0]


def main() -> None:
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "proj.settings")
    sys.path.insert(0, str(README.parent / "tests" / "project"))
    head, _, rest = README.read_text().partition(BEGIN)
    README.write_text(f"{head}{BEGIN}{tables()}{END}{rest.partition(END)[2]}")


if __name__ == "__main__":
    main()
