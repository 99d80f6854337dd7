"""
Stops that a client holds up: native and ours, on every web server.

    python -m benchmarks.held_stops [--at-once 4] [--situation NAME ...] [SERVER ...]

Each server has a request of 2 seconds in flight ("witness") and one more client, which
does what ``tests.clients`` lists: it drips, sends half of something, reads nothing, and
so on. Half a second later comes SIGTERM. Both ways have the same limit of a stop, where
the native server has one. Written to benchmarks/results/held_stops.json, per server,
situation and way:

- ``witness``: whether the request in flight was answered;
- ``answers``: how many of its answers the other client got, out of ``of``;
- ``seconds``: from SIGTERM to the exit; null if it had to be killed;
- ``code``: what it exited with, negative for a signal.

What is not measured now stays.
"""

from __future__ import annotations

import argparse
import contextlib
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, NamedTuple

from benchmarks import subject
from benchmarks.machine import machine
from benchmarks.starts import NATIVE
from tests import harness
from tests.clients import SITUATIONS, Client, Situation, begin, request
from tests.harness import BIN, PROJECT, SCRIPT, Web, free_port
from tests.servers import BACKENDS

OURS = "prodserver"
#: Seconds that a stop may take, and after which one that hangs is killed.
GRACE, PATIENCE = 8, 20


class Server(NamedTuple):
    """A backend, more of its keys, and the native command."""

    backend: str
    keys: Mapping[str, Any]
    native: str


_GUNICORN = "gunicorn {app} --bind=127.0.0.1:{port} --graceful-timeout={grace}"
_UVICORN = (
    "uvicorn {app} --host=127.0.0.1 --port={port} --lifespan=off"
    " --timeout-graceful-shutdown={grace}"
)
_GRANIAN = "granian {app} --host=127.0.0.1 --port={port} --workers-kill-timeout={grace}"
_HYPERCORN = "hypercorn {app} --bind=127.0.0.1:{port} --graceful-timeout={grace}"
WSGI, ASGI = "proj.held:wsgi", "proj.held:asgi"
#: A client may hold all of a sync worker, so that there have to be two.
SERVERS: Mapping[str, Server] = {
    "gunicorn sync": Server(
        "gunicorn.GunicornServer",
        {"WORKERS": 2, "THREADS": 1},
        f"{_GUNICORN} --workers=2",
    ),
    "gunicorn gthread": Server(
        "gunicorn.GunicornServer", {"THREADS": 4}, f"{_GUNICORN} --threads=4"
    ),
    "gunicorn asgi": Server(
        "gunicorn.GunicornServer",
        {"ARGS": {"worker-class": "asgi"}},
        f"{_GUNICORN} --worker-class=asgi",
    ),
    "uvicorn": Server("uvicorn.UvicornServer", {}, _UVICORN),
    "uvicorn, 2 workers": Server(
        "uvicorn.UvicornServer", {"WORKERS": 2}, f"{_UVICORN} --workers=2"
    ),
    "uvicorn wsgi": Server(
        "uvicorn.UvicornWSGIServer", {"THREADS": 4}, f"{_UVICORN} --interface=wsgi"
    ),
    "granian asgi": Server(
        "granian.GranianASGIServer", {}, f"{_GRANIAN} --interface=asginl"
    ),
    "granian wsgi": Server(
        "granian.GranianWSGIServer",
        {"THREADS": 4},
        f"{_GRANIAN} --interface=wsgi --blocking-threads=4",
    ),
    "waitress": Server(
        "waitress.WaitressServer",
        {"THREADS": 4},
        "waitress-serve --listen=127.0.0.1:{port} --threads=4 {app}",
    ),
    "hypercorn": Server("hypercorn.HypercornServer", {}, _HYPERCORN),
    "hypercorn wsgi": Server(
        "hypercorn.HypercornWSGIServer", {"THREADS": 4}, _HYPERCORN
    ),
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--at-once", type=int, default=4)
    parser.add_argument("--situation", nargs="+", default=list(SITUATIONS))
    parser.add_argument("servers", nargs="*", default=list(SERVERS))
    options = subject.options(parser, servers=["waitress"], situation=["slow", "idle"])
    found = subject.read("held_stops").get("servers", {})
    cells = [
        (server, name, way)
        for server in options.servers
        for name in options.situation
        if is_possible(server, SITUATIONS[name])
        for way in (NATIVE, OURS)
    ]
    # At once: they mostly wait.
    with ThreadPoolExecutor(options.at_once) as pool:
        for (server, name, way), seen in zip(
            cells, pool.map(lambda cell: measure(*cell), cells), strict=True
        ):
            print(f"{server}, {name}, {way}: {seen}", file=sys.stderr, flush=True)
            found.setdefault(server, {}).setdefault(name, {})[way] = seen
    result = {"machine": machine(), "options": {"grace": GRACE}, "servers": found}
    subject.write("held_stops", result)


def is_possible(server: str, situation: Situation) -> bool:
    return not situation.asgi or application(server) == ASGI


def application(server: str) -> str:
    is_wsgi = any(word in server for word in ("sync", "gthread", "wsgi", "waitress"))
    return WSGI if is_wsgi else ASGI


def measure(server: str, name: str, way: str) -> dict[str, Any]:
    situation = SITUATIONS[name]
    port = free_port()
    with tempfile.TemporaryDirectory() as folder:
        argv, env = command(server, way, port, Path(folder))
        web = Web(argv, env, Path(folder) / "log", PROJECT)
        web.port = port
        clients: list[Client] = []
        try:
            web.wait_until_ready()
            clients.append(begin(situation, port))
            clients.append(
                witness := Client(port, request("/slow?s=2", "Connection: close"))
            )
            time.sleep(0.5)
            began = time.monotonic()
            web.process.send_signal(signal.SIGTERM)
            with contextlib.suppress(subprocess.TimeoutExpired):
                web.process.wait(PATIENCE)
            seconds = time.monotonic() - began
            code = web.process.poll()
            web.kill()
            for client in clients:
                client.close()
        finally:
            web.kill()
    before = situation.first.count(b"slow done")
    return {
        "witness": witness.answers == 1,
        "answers": clients[0].answers - before,
        "of": situation.answers,
        "seconds": None if code is None else round(seconds, 1),
        "code": code,
    }


def command(
    server: str, way: str, port: int, folder: Path
) -> tuple[list[str], dict[str, str]]:
    """Return the words of a start, and their environment."""
    chosen = SERVERS[server]
    settings: dict[str, Any] = {
        "ROOT_URLCONF": "proj.held",
        "WSGI_APPLICATION": WSGI.replace(":", "."),
        "ASGI_APPLICATION": ASGI.replace(":", "."),
    }
    if way == OURS:
        entry = {
            "BACKEND": f"{BACKENDS}.{chosen.backend}",
            "BIND": f"127.0.0.1:{port}",
            "GRACEFUL_TIMEOUT": GRACE,
            **chosen.keys,
        }
        settings["PRODUCTION_PROCESSES"] = {"web": entry}
        return [*SCRIPT, "web"], harness.environment(folder, settings)
    settings |= {"INSTALLED_APPS": [], "PRODUCTION_PROCESSES": {}}
    app = application(server)
    if app == WSGI and server.startswith("hypercorn"):
        app = f"wsgi:{app}"
    program, *words = chosen.native.format(app=app, port=port, grace=GRACE).split()
    env = harness.environment(folder, settings, PYTHONPATH=str(PROJECT))
    return [str(BIN / program), *words], env


if __name__ == "__main__":
    main()
