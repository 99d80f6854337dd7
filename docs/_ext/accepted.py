"""
Whether the settings of a page can be started: our checks, and each server's parser.

    python -m docs._ext.accepted [ID ...]      the ids are the faults to be found
    python -m docs._ext.accepted --run FILE    run a file, with these settings

Runs in the page's copy of the shop.
"""

from __future__ import annotations

import contextlib
import io
import runpy
import sys
from collections.abc import Iterator

import django


def main(words: list[str]) -> int:
    django.setup()
    if words[:1] == ["--run"]:
        runpy.run_path(words[1])
        return 0
    from django_prodserver.checks import processes as checks
    from django_prodserver.config import processes

    found = [*checks.check_processes(), *checks.check_health()]
    ids = sorted({str(message.id) for message in found})
    if ids != sorted(set(words)):
        print(f"its faults are {ids}, not {sorted(words)}", *found, sep="\n")
        return 1
    refused = (
        [] if words else [line for name in processes.table() for line in _refused(name)]
    )
    print(*refused, sep="\n")
    return bool(refused)


def _refused(name: object) -> Iterator[str]:
    from django_prodserver.config import processes
    from django_prodserver.launch.plan import make_plan
    from tests.parsers import parse

    plan = make_plan(processes.entry(name))
    plan.check()
    # A backend of another package has no command, and no parser.
    for command in plan.commands:
        argv = list(command[len(plan.prefix) :])
        said = io.StringIO()
        try:
            with contextlib.redirect_stderr(said):
                parse(argv)
        except Exception as error:
            yield f"{name}: {' '.join(argv)}: {error}"
        except SystemExit as end:
            yield f"{name}: {' '.join(argv)}: {said.getvalue().strip() or end.code}"


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
