"""The command-line options that only ``--compare`` has."""

from __future__ import annotations

import argparse
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from django_prodserver.exceptions import UsageError
from django_prodserver.text import safe_repr

#: What applies where the command line has nothing.
DEFAULTS: Mapping[str, Any] = {
    "seconds": 2,
    "rounds": 3,
    "connections": 16,
    "servers": None,
    "plot": None,
    "task": None,
    "concurrency": None,
}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options that go with ``--compare``."""
    group = parser.add_argument_group("with --compare")
    group.add_argument(
        "--seconds",
        type=_count,
        default=DEFAULTS["seconds"],
        metavar="N",
        help="Length of each burst of requests (default: %(default)s).",
    )
    group.add_argument(
        "--rounds",
        type=_count,
        default=DEFAULTS["rounds"],
        metavar="N",
        help="How often each server is started and measured (default: %(default)s).",
    )
    group.add_argument(
        "--connections",
        type=_count,
        default=DEFAULTS["connections"],
        metavar="N",
        help="Connections that send requests at the same time (default: %(default)s).",
    )
    group.add_argument(
        "--servers",
        metavar="NAME,...",
        help="Only these backends, such as gunicorn,granian (default: all installed).",
    )
    group.add_argument(
        "--plot", type=Path, metavar="FILE.svg", help="Write a plot of the results."
    )
    group.add_argument(
        "--task",
        metavar="PATH",
        help="For a worker: the task to run, which must not need arguments.",
    )
    group.add_argument(
        "--concurrency",
        type=_counts,
        metavar="N,...",
        help="For a worker: the values to compare (default: 1,2,4,8, up to twice the "
        "cores).",
    )


def check_paths(paths: Sequence[str]) -> list[str]:
    """
    Return the paths to request, "/" if none is given.

    Raises:
        UsageError: One is not a path on this machine's server.
    """
    for path in paths:
        if "://" in path or path.startswith("//"):
            message = (
                f"{safe_repr(path)} is a URL. --compare only measures servers that it "
                "starts itself, on this machine."
            )
            raise UsageError(message, 'Give only the path, such as "/about/".')
        is_plain = path.isascii() and path.isprintable() and " " not in path
        if not path.startswith("/") or not is_plain:
            hint = f"Paths start with a slash: --compare /{path.lstrip('/')}"
            if not is_plain:
                hint = "Percent-encode spaces and special characters: %20 for a space."
            raise UsageError(f"{safe_repr(path)} is not a path.", hint)
    return list(dict.fromkeys(paths)) or ["/"]


def _counts(text: str) -> list[int]:
    return [_count(word.strip()) for word in text.split(",")]


def _count(text: str) -> int:
    if not (text.isascii() and text.isdecimal() and 0 < int(text[:6]) < 100_000):
        message = f"{text!r} is not a whole number from 1"
        raise argparse.ArgumentTypeError(message)
    return int(text)
