"""
A start, in every way: time to the first 200, the first requests, and memory.

    python -m benchmarks.starts [SERVER ...] [--runs 5] [--workers 1 2 4]
                                [--project small big pretalx label-studio]

The projects are the example (small), Wagtail's starter (big), and published
applications: a key of benchmarks.published.PUBLISHED each. The ways are the native
command, Gunicorn's with --preload, the public django-prodserver 3.0.0, and this one by
manage.py and by the console command, without and with WARM_UP, with an application
whose preload is given up (a thread of it runs; it was started before, so that it is
known), and with "PRELOAD": False; all with the same options. Runs alternate, so that
what else the machine does meets all of them alike. Of each run: seconds to the first
200; the slowest of the 20 requests after it (milliseconds); the proportional set size
of all its processes (MiB) when nothing more happens, and after 200 requests. Written
to benchmarks/results/starts.json, and the results of servers that are not named stay.
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
import tempfile
import time
import urllib.request
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import psutil

from benchmarks import subject
from benchmarks.environments import (
    PEER,
    Project,
    manage,
    project,
    python,
    served,
    variables,
)
from benchmarks.machine import BACKENDS, machine
from tests.harness import Web, free_port, memory

FIRST, REQUESTS = 20, 200
#: The backend, and the native command; {app} is of the interface that it serves.
SERVERS = {
    "gunicorn": (
        "gunicorn.GunicornServer",
        "gunicorn {wsgi} --bind=127.0.0.1:{port} --workers={workers} --threads=4",
    ),
    "uvicorn": (
        "uvicorn.UvicornServer",
        "uvicorn {asgi} --host=127.0.0.1 --port={port} --workers={workers}"
        " --lifespan=off",
    ),
    "uvicorn-wsgi": (
        "uvicorn.UvicornWSGIServer",
        "uvicorn {wsgi} --host=127.0.0.1 --port={port} --workers={workers}"
        " --interface=wsgi --lifespan=off",
    ),
    "granian-asgi": (
        "granian.GranianASGIServer",
        "granian {asgi} --host=127.0.0.1 --port={port} --workers={workers}"
        " --interface=asginl",
    ),
    "granian-wsgi": (
        "granian.GranianWSGIServer",
        "granian {wsgi} --host=127.0.0.1 --port={port} --workers={workers}"
        " --interface=wsgi --blocking-threads=4",
    ),
    "waitress": (
        "waitress.WaitressServer",
        "waitress-serve --listen=127.0.0.1:{port} --threads=4 {wsgi}",
    ),
}
#: Those that serve the ASGI application, which a project may not have.
ASGI = ("uvicorn", "granian-asgi")
NATIVE, PRELOADED = "native", "native --preload"
THEIRS, MANAGE, CONSOLE = PEER, "manage.py prodserver", "prodserver"
WARMED = "prodserver, WARM_UP"
GIVEN_UP, UNLOADED = "prodserver, preload given up", "prodserver, PRELOAD: False"


class Run(NamedTuple):
    """Seconds, milliseconds, MiB and MiB."""

    first_200: float
    slowest: float
    idle: float
    used: float


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--workers", type=int, nargs="+", default=[1, 2, 4])
    parser.add_argument("--project", nargs="+", default=["small", "big"])
    parser.add_argument("servers", nargs="*", default=list(SERVERS))
    quick = {"workers": [2], "project": ["small"], "servers": ["gunicorn", "uvicorn"]}
    options = subject.options(parser, runs=1, **quick)
    found = {
        "machine": machine(),
        "options": vars(options),
        "starts": subject.read("starts").get("starts", {}),
    }
    for name in options.project:
        with served(name):
            made = project(name)
            for server in options.servers:
                if server in ASGI and not made.asgi:
                    continue
                # Waitress has one process, and that is all there is to compare.
                for workers in [1] if server == "waitress" else options.workers:
                    rows = compare(made, server, workers, options.runs)
                    at = found["starts"].setdefault(name, {}).setdefault(server, {})
                    at[str(workers)] = rows
                    subject.write("starts", found)
                    print(f" {name} {server} {workers}", file=sys.stderr)


def compare(project: Project, server: str, workers: int, runs: int) -> dict[str, Any]:
    """Measure one server: the runs of each way, their medians, ratios to native."""
    ways = ways_of(project, server)
    rows: dict[str, list[Run]] = {way: [] for way in ways}
    # Kept between the runs, as on a machine: the first one, which also fills the disk
    # cache, finds out about the application what the others then know.
    ports = {way: free_port() for way in ways}
    with tempfile.TemporaryDirectory() as folder:
        for run in range(runs + 1):
            for way, port in ports.items():
                runtime = Path(folder, str(port))
                runtime.mkdir(exist_ok=True)
                measured = measure(project, server, workers, way, port, runtime)
                if run:
                    rows[way].append(measured)
            print(".", end="", flush=True, file=sys.stderr)
    medians = {
        way: [statistics.median(column) for column in zip(*row, strict=True)]
        for way, row in rows.items()
    }
    return {
        way: {
            "runs": rows[way],
            "median": [round(number, 3) for number in medians[way]],
            "ratio": [
                round(own / native, 2)
                for own, native in zip(medians[way], medians[NATIVE], strict=True)
            ],
        }
        for way in ways
    }


def ways_of(project: Project, server: str) -> list[str]:
    ways = [NATIVE, PRELOADED, THEIRS, MANAGE, CONSOLE, WARMED, GIVEN_UP, UNLOADED]
    if server != "gunicorn":
        ways.remove(PRELOADED)
    return ways


def measure(
    project: Project, server: str, workers: int, way: str, port: int, runtime: Path
) -> Run:
    argv, env = command(project, server, workers, way, port)
    env = {**env, "PRODSERVER_RUNTIME_DIR": str(runtime)}
    with tempfile.TemporaryDirectory() as folder:
        web = Web(argv, env, Path(folder) / "log", project.folder)
        url = f"http://127.0.0.1:{port}{project.url}"
        try:
            while not ask(url):
                if (
                    web.process.poll() is not None
                    or time.monotonic() > web.started + 90
                ):
                    sys.exit(f"{' '.join(argv)}: no answer\n{web.output}")
                time.sleep(0.005)
            seconds = time.monotonic() - web.started
            slowest = max(ask(url) for _ in range(FIRST))
            settle(web.process.pid)
            idle = memory(web.process.pid)
            for _ in range(REQUESTS - FIRST):
                ask(url)
            used = memory(web.process.pid)
            web.stop()
        finally:
            web.kill()
    return Run(
        round(seconds, 3), round(slowest * 1000, 1), round(idle, 1), round(used, 1)
    )


def command(
    project: Project, server: str, workers: int, way: str, port: int
) -> tuple[Sequence[str], Mapping[str, str]]:
    """Return the words of a start, and their environment."""
    backend, native = SERVERS[server]
    if way in (NATIVE, PRELOADED):
        words = native.format(
            wsgi=f"{project.wsgi}:application",
            asgi=f"{project.asgi}:application",
            port=port,
            workers=workers,
        ).split()
        words += ["--preload"] if way == PRELOADED else []
        program = python("ours", project).with_name(words[0])
        return [str(program), *words[1:]], variables(project, "bench_native")
    entry: dict[str, object] = {
        "BACKEND": f"{BACKENDS}.{backend}",
        "ARGS": arguments(server, port, workers),
    }
    if way == WARMED:
        entry["WARM_UP"] = [project.url]
    if way == UNLOADED:
        entry["PRELOAD"] = False
    processes = json.dumps({"web": entry})
    settings = "bench_given_up" if way == GIVEN_UP else "bench_ours"
    environment = "peer" if way == THEIRS else "ours"
    env = variables(project, settings, environment, BENCH_PROCESSES=processes)
    manage_only = project.published is not None and project.published.manage_only
    if way in (THEIRS, MANAGE) or manage_only:
        subcommand = "server" if way == THEIRS else "prodserver"
        return [*manage(project, environment), subcommand, "web"], env
    return [str(python("ours", project).with_name("prodserver")), "web"], env


def arguments(server: str, port: int, workers: int) -> dict[str, object]:
    """Return the options of the native command, as settings that both take."""
    if server == "gunicorn":
        return {"bind": f"127.0.0.1:{port}", "workers": workers, "threads": 4}
    if server == "waitress":
        return {"listen": f"127.0.0.1:{port}", "threads": 4}
    host = "address" if server.startswith("granian") else "host"
    shared = {host: "127.0.0.1", "port": port, "workers": workers}
    if server == "granian-wsgi":
        return {**shared, "blocking-threads": 4}
    return {**shared, "lifespan": "off"} if server == "uvicorn" else shared


def ask(url: str) -> float:
    """Return the seconds that an answer of 200 takes; 0 if there is none."""
    began = time.perf_counter()
    try:
        with urllib.request.urlopen(url, timeout=10) as response:
            response.read()
    except OSError:
        return 0
    return time.perf_counter() - began


def settle(pid: int) -> None:
    """Wait until all processes have started: they use no CPU for half a second."""

    def used() -> float:
        parent = psutil.Process(pid)
        tree = (parent, *parent.children(recursive=True))
        times = [each.cpu_times() for each in tree]
        return sum((each.user + each.system for each in times), start=0.0)

    deadline, before = time.monotonic() + 60, -1.0
    while (now := used()) > before + 0.02 and time.monotonic() < deadline:
        before = now
        time.sleep(0.5)


if __name__ == "__main__":
    main()
