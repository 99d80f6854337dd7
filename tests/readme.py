"""
The README's table of figures, out of the results.

``python -m tests.readme`` writes it; a test compares.
"""

from __future__ import annotations

from pathlib import Path

from docs._ext.measured import lost_requests, savings, warm_start
from docs._ext.tables import markdown

README = Path(__file__).parent.parent / "README.md"
BEGIN, END = "<!-- figures: python -m tests.readme -->\n", "<!-- /figures -->\n"


def table() -> str:
    """Return the figures, as they are in the README."""
    lines = [
        savings(),
        "One worker has nothing to share, and takes a few MiB more.",
        "",
        *markdown(warm_start()),
        "",
        "Requests lost while one server was restarted again and again under load:",
        "",
        *markdown(lost_requests()),
        "",
    ]
    return "\n".join(lines)


def written() -> str:
    """Return what the README has."""
    return README.read_text().partition(BEGIN)[2].partition(END)[0]


def main() -> None:
    head, _, rest = README.read_text().partition(BEGIN)
    README.write_text(f"{head}{BEGIN}{table()}{END}{rest.partition(END)[2]}")


if __name__ == "__main__":
    main()
