"""Gunicorn, with each kind of worker."""

from __future__ import annotations

import os
import signal
import socket

import pytest

from tests.backends.contract import WebContract
from tests.backends.sites import Client, WebSite, children
from tests.conftest import Starter
from tests.harness import MODULE, SCRIPT, free_port

GUNICORN = "gunicorn.GunicornServer"


class TestGunicorn(WebContract):
    backend = GUNICORN
    variants = {
        "1": {},
        "2": {"WORKERS": 2},
        "sync-2": {"WORKERS": 2, "THREADS": 1},
        "sync": {"ARGS": {"worker-class": "sync"}},
        "gthread": {"ARGS": {"worker-class": "gthread"}},
        "asgi-2": {"WORKERS": 2, "ARGS": {"worker-class": "asgi"}},
        "uvicorn-2": {
            "WORKERS": 2,
            "GRACEFUL_TIMEOUT": 5,
            "ARGS": {"worker-class": "uvicorn_worker.UvicornWorker"},
        },
    }
    failure_code = 3
    drops_quiet_connections = {"uvicorn-2"}
    waits_for_idle_connections = {"asgi-2"}
    # Uvicorn's own middleware has believed the proxy, and ours believes no client.
    hides_forwarded_host = {"uvicorn-2"}


@pytest.mark.process
class TestMaxRequests:
    """A worker that has answered so many requests is replaced."""

    def test_no_request_is_dropped(self, start: Starter, port: int) -> None:
        """Each is answered, by more workers than the two at first."""
        site = WebSite(start, port, GUNICORN, {"WORKERS": 2})
        web = site.serve(via=SCRIPT, MAX_REQUESTS=20)
        first = web.workers(2)
        answers: list[int] = []

        def ask() -> bool:
            answers.append(int(web.get("/who?s=0", timeout=30)))
            return len({*answers} - first) >= 2

        web.until(ask, f"two others than {first}", 60)
        # Eight at the least were answered before, by both.
        assert max(map(answers.count, first)) <= 20
        replaced = web.output.count("Autorestarting worker after current request")
        assert replaced >= 2
        assert web.stop() == 0

    @pytest.mark.parametrize("worker_class", ["gthread", "sync"])
    def test_it_leaves_its_queue_to_the_next(
        self, start: Starter, port: int, worker_class: str
    ) -> None:
        """At its limit, with a slow request in it and clients in its queue."""
        args = {"worker-class": worker_class, "max-requests": 1}
        site = WebSite(start, port, GUNICORN, {"ARGS": args})
        env = start.environment({"web": site.entry()})
        web: Client = start.process([*MODULE, "web"], env, kind=Client)
        web.port = port
        web.says("Booting worker")
        web.until(lambda: children(web.process.pid), "a worker")
        (old,) = children(web.process.pid)
        request = web.in_flight("/slow?s=2")
        web.says("Autorestarting worker after current request")
        # The queue fills while the worker cannot look at it.
        os.kill(old, signal.SIGSTOP)
        queued = [socket.create_connection(("127.0.0.1", port), 60) for _ in range(5)]
        for client in queued:
            client.sendall(b"GET /who?s=0 HTTP/1.0\r\nHost: localhost\r\n\r\n")
        os.kill(old, signal.SIGCONT)
        assert request.result() == "slow done"
        answers = [answer_of(client) for client in queued]
        # It may take one, which its poller has seen; natively, too.
        assert answers.count(str(old)) <= 1
        assert all(answer.isdecimal() for answer in answers), answers


def answer_of(client: socket.socket) -> str:
    """Return the body of an answer that ends with the connection."""
    with client:
        parts = iter(lambda: client.recv(4096), b"")
        return b"".join(parts).rpartition(b"\r\n\r\n")[2].decode()


@pytest.mark.process
def test_two_addresses_are_both_served(start: Starter, port: int) -> None:
    other = free_port()
    bind = [f"127.0.0.1:{port}", f"127.0.0.1:{other}"]
    web = WebSite(start, port, GUNICORN, {"BIND": bind}).serve()
    web.port = other
    assert web.get("/who").isdecimal()
    assert web.stop() == 0
