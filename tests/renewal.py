"""Replace the workers and the master of a server under load, and miss no request."""

from __future__ import annotations

import collections
import contextlib
import http.client
import os
import signal
import threading
import time
from collections.abc import Callable, Sequence
from typing import Any

import psutil

from tests.conftest import Starter
from tests.harness import MODULE, Web, children, wait_for

CLIENTS = 8
#: Seconds in which workers and masters are replaced, on a machine that is busy.
PATIENCE = 90


class Load:
    """Clients that ask without a pause, each request on a connection of its own."""

    def __init__(self, port: int) -> None:
        self.answers: collections.Counter[str] = collections.Counter()
        self.lost: list[str] = []
        self._port = port
        self._lock = threading.Lock()
        self._over = threading.Event()
        self._clients = [threading.Thread(target=self._run) for _ in range(CLIENTS)]
        for client in self._clients:
            client.start()

    @property
    def requests(self) -> int:
        with self._lock:
            return self.answers.total() + len(self.lost)

    def end(self) -> None:
        self._over.set()
        for client in self._clients:
            client.join()

    def _run(self) -> None:
        while not self._over.is_set():
            try:
                answer, problem = self._ask(), ""
            except (OSError, http.client.HTTPException) as error:
                answer, problem = "", repr(error)
            with self._lock:
                if problem:
                    self.lost.append(problem)
                else:
                    self.answers[answer] += 1

    def _ask(self) -> str:
        connection = http.client.HTTPConnection("127.0.0.1", self._port, timeout=60)
        with contextlib.closing(connection):
            connection.request("GET", "/who?s=0", headers={"Connection": "close"})
            response = connection.getresponse()
            text = response.read().decode()
        if response.status != 200:
            message = f"status {response.status}"
            raise http.client.HTTPException(message)
        return text


class Renewal:
    """
    A server under load whose workers are replaced, until so many requests are over.

    Attributes:
        load: What became of the requests.
        probed: How often the probe said that the process is well.
        doubts: What it said when it did not.
    """

    def __init__(
        self, start: Starter, entry: dict[str, Any], port: int, requests: int
    ) -> None:
        self._start, self._entry = start, entry
        self._port, self._requests = port, requests
        self.probed = 0
        self.doubts: list[str] = []
        self.masters: list[int] = []

    def run(self, steps: Sequence[str]) -> Renewal:
        """Do the steps, "HUP" and "USR2", each after its share of the requests."""
        env = self._start.environment({"web": self._entry})
        web: Web = self._start.process([*MODULE, "web"], env, kind=Web)
        web.port = self._port
        web.wait_until_ready()
        self.masters = [web.process.pid]
        self.load = Load(self._port)
        over = threading.Event()
        prober = threading.Thread(target=self._probe, args=(over,))
        prober.start()
        share = self._requests // (len(steps) + 1)
        try:
            for number, step in enumerate(steps, 1):
                self._until_requests(share * number)
                {"HUP": self._replace_workers, "USR2": self._upgrade}[step]()
            self._until_requests(self._requests)
        finally:
            self.load.end()
            over.set()
            prober.join()
        with contextlib.suppress(ProcessLookupError):
            os.kill(self.masters[-1], signal.SIGTERM)
        wait_for(lambda: not web.left(), "nothing left", PATIENCE)
        return self

    def _replace_workers(self) -> None:
        """Send SIGHUP; return once none of the workers before it is left."""
        master = self.masters[-1]
        before = self._workers(master)
        os.kill(master, signal.SIGHUP)
        self._until(lambda: not before & self._workers(master), "other workers")

    def _upgrade(self) -> None:
        """Send SIGUSR2, wait until the second master serves, and end the first."""
        master = self.masters[-1]
        before = self._workers(master)
        os.kill(master, signal.SIGUSR2)

        def second() -> int:
            for pid in self._workers(master) - before:
                answered = {int(pid) for pid in [*self.load.answers]}
                if answered & self._workers(pid):
                    return pid
            return 0

        self.masters.append(self._until(second, "a second master"))
        os.kill(master, signal.SIGTERM)
        self._until(lambda: not self._is_there(master), "the end of the first master")

    def _probe(self, over: threading.Event) -> None:
        while not over.is_set():
            for words in (["web"], ["--live", "web"]):
                done = self._start.probe(*words)
                if done.returncode == 0:
                    self.probed += 1
                else:
                    self.doubts.append(f"{words}: {done.stdout}{done.stderr}")

    def _workers(self, pid: int) -> set[int]:
        # A worker, of which this is asked as well, may be replaced at any time.
        with contextlib.suppress(psutil.NoSuchProcess):
            return {child.pid for child in children(pid)}
        return set()

    def _is_there(self, pid: int) -> bool:
        # The first one is a child of the test, which reaps it later.
        with contextlib.suppress(psutil.NoSuchProcess):
            return bool(psutil.Process(pid).status() != psutil.STATUS_ZOMBIE)
        return False

    def _until_requests(self, count: int) -> None:
        while self.load.requests < count:
            time.sleep(0.02)

    def _until(self, look: Callable[[], Any], what: str) -> Any:
        return wait_for(look, what, PATIENCE)
