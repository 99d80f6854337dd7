"""What every subject has: a short run, and results that are committed."""

from __future__ import annotations

import argparse
import json
import re
from pathlib import Path
from typing import Any

RESULTS = Path(__file__).parent / "results"


def options(parser: argparse.ArgumentParser, **quick: object) -> argparse.Namespace:
    """
    Read the command line.

    Args:
        parser: The subject's own options.
        quick: What ``--quick`` has in place of their defaults.
    """
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.add_argument(
        "--quick",
        action="store_true",
        help="a short run, which shows that it works; its figures say little",
    )
    if parser.parse_known_args()[0].quick:
        parser.set_defaults(**quick)
    return parser.parse_args()


def read(name: str) -> dict[str, Any]:
    """Return the results of a subject; nothing if there are none."""
    path = RESULTS / f"{name}.json"
    return dict(json.loads(path.read_text())) if path.exists() else {}


def write(name: str, result: dict[str, Any]) -> None:
    text = json.dumps(result, indent=1)
    # A run is a line.
    text = re.sub(
        r"\[([-\d.,\s]+)\]", lambda found: f"[{' '.join(found[1].split())}]", text
    )
    (RESULTS / f"{name}.json").write_text(f"{text}\n")
