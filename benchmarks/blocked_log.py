"""
A reader of the log that stops reading: native with an access log, and ours.

    python -m benchmarks.blocked_log [SERVER ...]

Standard output is a pipe of 16 KiB. Four clients ask for 3 seconds while it is read,
and for 6 while it is not; then it is read again, and then, once more not read, comes
SIGTERM. Natively each server has its own access log, but Waitress, which has none.
Written to benchmarks/results/blocked_log.json, per server and way:

- ``rate``: requests a second while the log is read;
- ``blocked``: requests that were answered in the 6 seconds;
- ``dropped``: lines that it says it has dropped;
- ``stop``: seconds of the stop; null if it had to be killed after 20.

And ``line``: microseconds of CPU time that a line of the log takes, written to a pipe
that is read, by Python's StreamHandler and by ours. What is not measured now stays.
"""

from __future__ import annotations

import argparse
import contextlib
import fcntl
import os
import re
import signal
import statistics
import subprocess
import sys
import tempfile
import threading
import time
import urllib.request
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from benchmarks import held_stops, subject
from benchmarks.machine import machine
from benchmarks.starts import NATIVE
from tests.harness import PROJECT, Running, free_port, wait_for

OURS = held_stops.OURS
CLIENTS, READ, BLOCKED, PATIENCE = 4, 3, 6, 20
#: Bytes of the pipe: four pages, so that a few lines have room.
PIPE = 16 * 1024
#: What the native command needs to have an access log.
ACCESS_LOG: Mapping[str, tuple[str, ...]] = {
    "gunicorn sync": ("--access-logfile=-",),
    "gunicorn gthread": ("--access-logfile=-",),
    "gunicorn asgi": ("--access-logfile=-",),
    "uvicorn": (),
    "granian asgi": ("--access-log",),
    "granian wsgi": ("--access-log",),
    "waitress": (),
    "hypercorn": ("--access-logfile=-",),
}
LINES = 20_000
#: Writes lines with either handler, and says what one takes.
LINE = f"""
import logging, sys, time
logger = logging.getLogger("line")
logger.setLevel(logging.INFO)
if sys.argv[1] == "ours":
    from django_prodserver.logs.handlers import StdoutHandler
    handler = StdoutHandler()
else:
    handler = logging.StreamHandler(sys.stdout)
    handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(message)s"))
logger.addHandler(handler)
began = time.process_time()
for number in range({LINES}):
    logger.info("GET /about 200 %d", number)
took = time.process_time() - began
print(took / {LINES} * 1e6, file=sys.stderr)
"""


class Log:
    """The pipe that a server logs to, whose reader can stop."""

    def __init__(self) -> None:
        self.text = b""
        self._reader, self.writer = os.pipe()
        fcntl.fcntl(self.writer, fcntl.F_SETPIPE_SZ, PIPE)
        self._may_read = threading.Event()
        self._may_read.set()
        self._thread = threading.Thread(target=self._read, daemon=True)
        self._thread.start()

    def block(self) -> None:
        self._may_read.clear()

    def resume(self) -> None:
        self._may_read.set()

    def _read(self) -> None:
        while True:
            self._may_read.wait()
            data = os.read(self._reader, 4096)
            if not data:
                return
            self.text += data

    def end(self) -> None:
        self.resume()
        self._thread.join(5)
        os.close(self._reader)


class Logging(Running):
    """A server that logs to a pipe."""

    def __init__(self, argv: list[str], env: dict[str, str], log: Log) -> None:
        self.started = time.monotonic()
        self.process = subprocess.Popen(
            argv,
            env=env,
            cwd=PROJECT,
            stdin=subprocess.DEVNULL,
            stdout=log.writer,
            stderr=log.writer,
            start_new_session=True,
        )
        os.close(log.writer)

    def kill(self) -> None:
        for process in self.left():
            process.kill()
        self.process.wait()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("servers", nargs="*", default=list(ACCESS_LOG))
    options = subject.options(parser, servers=["waitress"])
    found = subject.read("blocked_log").get("servers", {})
    for server in options.servers:
        found[server] = {way: measure(server, way) for way in (NATIVE, OURS)}
        print(f"{server}: {found[server]}", file=sys.stderr, flush=True)
    result = {"machine": machine(), "options": vars(options), "line": line()}
    subject.write("blocked_log", {**result, "servers": found})


def line() -> dict[str, float]:
    """Return the microseconds of a line, each way alternating with the other."""
    taken: dict[str, list[float]] = {NATIVE: [], OURS: []}
    for _ in range(5):
        for way, name in ((NATIVE, "native"), (OURS, "ours")):
            words = [sys.executable, "-c", LINE, name]
            reader = subprocess.Popen(["cat"], stdin=subprocess.PIPE, stdout=-3)
            done = subprocess.run(
                words,
                stdout=reader.stdin,
                stderr=subprocess.PIPE,
                text=True,
                check=True,
            )
            reader.communicate()
            taken[way].append(float(done.stderr))
    return {way: round(statistics.median(each), 1) for way, each in taken.items()}


def measure(server: str, way: str) -> dict[str, Any]:
    port = free_port()
    with tempfile.TemporaryDirectory() as folder:
        argv, env = held_stops.command(server, way, port, Path(folder))
        if way == NATIVE:
            argv = [*argv, *ACCESS_LOG[server]]
            if server == "waitress":  # its options come before the application
                argv = [argv[0], *ACCESS_LOG[server], *argv[1:]]
        log = Log()
        running = Logging(argv, env, log)
        try:
            wait_for(lambda: ask(port), "the first answer")
            rate = asked(port, READ) / READ
            log.block()
            blocked = asked(port, BLOCKED)
            log.resume()
            asked(port, 1)
            log.block()
            asked(port, 1)
            began = time.monotonic()
            running.process.send_signal(signal.SIGTERM)
            with contextlib.suppress(subprocess.TimeoutExpired):
                running.process.wait(PATIENCE)
            stop = time.monotonic() - began
            is_over = running.process.poll() is not None
        finally:
            running.kill()
            log.end()
    dropped = re.findall(rb"lines dropped from the log: (\d+)", log.text)
    return {
        "rate": round(rate),
        "blocked": blocked,
        "dropped": sum(map(int, dropped)),
        "stop": round(stop, 1) if is_over else None,
    }


def asked(port: int, seconds: float) -> int:
    """Return how many requests were answered in those seconds."""
    end = time.monotonic() + seconds
    answered: list[float] = []

    def run() -> None:
        while time.monotonic() < end:
            if ask(port) and time.monotonic() < end:
                answered.append(time.monotonic())

    threads = [threading.Thread(target=run) for _ in range(CLIENTS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return len(answered)


def ask(port: int) -> bool:
    with contextlib.suppress(OSError):
        url = f"http://127.0.0.1:{port}/who?s=0"
        with urllib.request.urlopen(url, timeout=BLOCKED) as response:
            return bool(response.read())
    return False


if __name__ == "__main__":
    main()
