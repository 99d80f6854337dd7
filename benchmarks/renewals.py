"""
Requests that are lost while a server's workers and master are replaced under load.

    python -m benchmarks.renewals [--requests 20000] [SERVER ...]

Eight clients ask without a pause, each request on a connection of its own, while SIGHUP
replaces the workers, SIGUSR2 and a SIGTERM the master, and MAX_REQUESTS each worker
after 500 requests, as far as the server has them. The probe is asked all the time. A
connection that is refused is a loss as well. Written to
benchmarks/results/renewals.json, per server: the steps, the requests, those lost and
why, the processes that answered, and what the probe said. What is not measured now
stays.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from benchmarks import subject
from benchmarks.machine import machine
from tests.conftest import Starter
from tests.harness import free_port
from tests.renewal import Renewal
from tests.servers import config

MAX_REQUESTS = 500


class Server(NamedTuple):
    """A server of ``tests.servers``, more keys, and what is done to it."""

    name: str
    keys: Mapping[str, Any]
    steps: Sequence[str]


_ALL = ("HUP", "USR2", "HUP")
SERVERS: Mapping[str, Server] = {
    "gunicorn gthread": Server(
        "gunicorn-2", {"args": {"threads": 4}, "MAX_REQUESTS": MAX_REQUESTS}, _ALL
    ),
    "gunicorn sync": Server(
        "gunicorn-2", {"args": {"threads": 1}, "MAX_REQUESTS": MAX_REQUESTS}, _ALL
    ),
    "gunicorn asgi": Server(
        "gunicorn-2",
        {"args": {"worker-class": "asgi"}, "MAX_REQUESTS": MAX_REQUESTS},
        _ALL,
    ),
    "uvicorn": Server("uvicorn-2", {}, ("HUP",)),
    "granian asgi": Server("granian-asgi-2", {}, ("HUP",)),
    "granian wsgi": Server("granian-wsgi-2", {}, ("HUP",)),
    "hypercorn": Server("hypercorn-2", {}, ("HUP",)),
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--requests", type=int, default=20_000)
    parser.add_argument("servers", nargs="*", default=list(SERVERS))
    options = subject.options(parser, requests=2000, servers=["gunicorn gthread"])
    found = subject.read("renewals").get("servers", {})
    for name in options.servers:
        found[name] = measure(SERVERS[name], options.requests)
        print(f"{name}: {found[name]}", file=sys.stderr)
        result = {"machine": machine(), "options": vars(options), "servers": found}
        subject.write("renewals", result)


def measure(server: Server, requests: int) -> dict[str, Any]:
    port = free_port()
    with tempfile.TemporaryDirectory(prefix="ps") as folder:
        start = Starter(Path(folder), Path(folder))
        began = time.monotonic()
        try:
            entry = config(server.name, port, **server.keys)
            done = Renewal(start, entry, port, requests).run(server.steps)
        finally:
            start.end()
        return {
            "steps": list(server.steps),
            "max requests": server.keys.get("MAX_REQUESTS"),
            "requests": done.load.requests,
            "lost": len(done.load.lost),
            "why": sorted({*done.load.lost}),
            "workers": len(done.load.answers),
            "probed": done.probed,
            "doubts": done.doubts,
            "seconds": round(time.monotonic() - began, 1),
        }


if __name__ == "__main__":
    main()
