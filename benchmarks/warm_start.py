"""
A warm start against the native command: time to the first 200, and memory.

    python -m benchmarks.warm_start [--runs 9] [--workers 4] [--requests 40]

Runs alternate, so that what else the machine does meets all of them alike. The
project is the example. Written to benchmarks/results/warm_start.json: per server
and way of starting it the runs' seconds and MiB, their medians, and the ratios
of ours to the native command's.
"""

from __future__ import annotations

import argparse
import importlib.metadata
import json
import os
import platform
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from tests.harness import BIN, Web, free_port, memory

ROOT = Path(__file__).parent.parent
EXAMPLE = ROOT / "example"
RESULTS = ROOT / "benchmarks" / "results" / "warm_start.json"
BACKENDS = "django_prodserver.backends"
SERVERS = {
    "gunicorn": ("gunicorn.GunicornServer", "bind"),
    "granian-wsgi": ("granian.GranianWSGIServer", "port"),
    "granian-asgi": ("granian.GranianASGIServer", "port"),
    "uvicorn": ("uvicorn.UvicornServer", "port"),
    "uvicorn-wsgi": ("uvicorn.UvicornWSGIServer", "port"),
    "waitress": ("waitress.WaitressServer", "port"),
}
OURS = {
    "manage.py": [sys.executable, "manage.py", "prodserver", "web"],
    "prodserver": [str(BIN / "prodserver"), "web"],
}
NATIVE = "native"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=9)
    parser.add_argument("--workers", type=int, default=4)
    parser.add_argument("--requests", type=int, default=40)
    parser.add_argument("servers", nargs="*", default=list(SERVERS))
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        servers = {
            name: compare(name, options.runs, options.workers, options.requests, folder)
            for name in options.servers
        }
    result = {"machine": machine(), "options": vars(options), "servers": servers}
    RESULTS.write_text(json.dumps(result, indent=2) + "\n")
    print_table(servers)


def compare(
    name: str, runs: int, workers: int, requests: int, folder: str
) -> dict[str, Any]:
    """Measure one server, started natively and in each of our ways."""
    backend, option = SERVERS[name]
    rows: dict[str, list[tuple[float, float]]] = {way: [] for way in (NATIVE, *OURS)}
    for run in range(runs + 1):
        for way in rows:
            port = free_port()
            args = {option: port if option == "port" else f"127.0.0.1:{port}"}
            if name != "waitress":
                args["workers"] = workers
            config = {"BACKEND": f"{BACKENDS}.{backend}", "ARGS": args}
            env = environment(config, folder)
            measured = measure(command(way, env), env, port, requests, folder)
            if run:  # the first fills the disk cache
                rows[way].append(measured)
        print(".", end="", flush=True, file=sys.stderr)
    print(f" {name}", file=sys.stderr)
    medians = {
        way: [round(statistics.median(column), 3) for column in zip(*row, strict=True)]
        for way, row in rows.items()
    }
    ratios = {
        way: [
            round(a / b, 2) for a, b in zip(medians[way], medians[NATIVE], strict=True)
        ]
        for way in OURS
    }
    return {"runs": rows, "medians": medians, "ratios": ratios}


def command(way: str, env: Mapping[str, str]) -> list[str]:
    if way in OURS:
        return OURS[way]
    words = [*OURS["manage.py"], "--dry-run"]
    line = subprocess.check_output(words, env=env, cwd=EXAMPLE, text=True)
    return ["sh", "-c", f"exec env {line}"]


def measure(
    argv: Sequence[str],
    env: Mapping[str, str],
    port: int,
    requests: int,
    folder: str,
) -> tuple[float, float]:
    """Return the seconds to the first 200, and the tree's PSS in MiB."""
    server = Web(argv, env, Path(folder) / "log", EXAMPLE)
    try:
        url = f"http://127.0.0.1:{port}/"
        while True:
            try:
                urllib.request.urlopen(url, timeout=5).read()
                break
            except OSError:
                if server.process.poll() is not None:
                    sys.exit(server.output)
                time.sleep(0.005)
        seconds = time.monotonic() - server.started
        for _ in range(requests):
            urllib.request.urlopen(url, timeout=5).read()
        pss = memory(server.process.pid)
        server.stop()
        return round(seconds, 3), round(pss, 1)
    finally:
        server.kill()


def environment(config: Mapping[str, Any], folder: str) -> dict[str, str]:
    module = Path(folder) / "bench_settings.py"
    processes = f"PRODUCTION_PROCESSES = {{'web': {config!r}}}"
    module.write_text(f"from paperwork.settings import *\n{processes}\n")
    data = Path(folder) / "data"
    env = {
        **os.environ,
        "EXAMPLE_DATA_DIR": str(data),
        "PYTHONPATH": folder,
        "DJANGO_SETTINGS_MODULE": "bench_settings",
    }
    if not data.exists():
        data.mkdir()
        migrate = [sys.executable, "manage.py", "migrate", "-v0"]
        subprocess.run(migrate, env=env, cwd=EXAMPLE, check=True)
    return env


def machine() -> dict[str, Any]:
    packages = ("django", "gunicorn", "granian", "uvicorn", "waitress")
    return {
        "python": platform.python_version(),
        "system": platform.platform(),
        "cores": os.cpu_count(),
        "packages": {name: importlib.metadata.version(name) for name in packages},
    }


def print_table(servers: Mapping[str, Any]) -> None:
    print("| server | start | first 200 (s) | ratio | PSS (MiB) | ratio |")
    print("| --- | --- | --- | --- | --- | --- |")
    for name, result in servers.items():
        for way, (seconds, pss) in result["medians"].items():
            time_ratio, pss_ratio = result["ratios"].get(way, ("", ""))
            print(
                f"| {name} | {way} | {seconds} | {time_ratio} | {pss} | {pss_ratio} |"
            )


if __name__ == "__main__":
    main()
