"""
What ``--compare`` says of the example and of Wagtail's starter project.

    python -m benchmarks.compare [--project small big] [--rounds 3]

Each project's own page is requested on each server of benchmarks.environments, with two
workers. Written to benchmarks/results/compare.json: what ``--format json`` prints, per
project; and the plot of each to docs/guides/compare-PROJECT.svg.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
from typing import Any

from benchmarks import subject
from benchmarks.environments import ROOT, manage, project, variables
from benchmarks.machine import BACKENDS, machine

PROCESSES = {"web": {"BACKEND": f"{BACKENDS}.gunicorn.GunicornServer", "WORKERS": 2}}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--project", nargs="+", default=["small", "big"])
    parser.add_argument("--rounds", type=int, default=3)
    options = subject.options(parser, project=["small"], rounds=1)
    found = subject.read("compare").get("projects", {})
    for name in options.project:
        found[name] = compare(name, options.rounds)
        print(f"{name}: {found[name]['advice']}", file=sys.stderr, flush=True)
    result = {"machine": machine(), "options": vars(options), "projects": found}
    subject.write("compare", result)


def compare(name: str, rounds: int) -> dict[str, Any]:
    made = project(name)
    plot = ROOT / "docs" / "guides" / f"compare-{name}.svg"
    words = [*manage(made), "prodserver", "web", "--compare", made.url]
    env = variables(made, "bench_ours", BENCH_PROCESSES=json.dumps(PROCESSES))
    done = subprocess.run(
        [*words, f"--rounds={rounds}", "--format=json", f"--plot={plot}"],
        cwd=made.folder,
        env=env,
        stdout=subprocess.PIPE,
        text=True,
        check=True,
    )
    return dict(json.loads(done.stdout))


if __name__ == "__main__":
    main()
