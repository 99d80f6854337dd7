"""A stop of Gunicorn that drops no connection that has been made."""

from __future__ import annotations

import contextlib
import socket
from functools import partial
from types import SimpleNamespace
from typing import Any

from gunicorn.workers.gthread import ThreadWorker
from gunicorn.workers.sync import SyncWorker


def drain_at_the_stop() -> None:
    """
    Let a worker that stops take what is in its sockets' queues.

    Natively it takes nothing any more, but has its sockets open until its last
    request has ended, so that the kernel still makes connections, and resets them
    at the end: measured, one for each client and restart under load. Here it takes
    those that are made, and closes the sockets at once: what comes later is
    refused, which a load balancer answers by asking another replica.
    """
    enable, run = ThreadWorker.set_accept_enabled, SyncWorker.run

    def set_accept_enabled(self: ThreadWorker, enabled: bool) -> None:
        enable(self, enabled)
        if self.alive or _gives_way(self):
            return
        for listener in self.sockets:
            listener.setblocking(False)
            taken = -1
            while taken != self.nr_conns:
                taken = self.nr_conns
                self.accept(listener)
            listener.close()

    def run_and_drain(self: SyncWorker) -> None:
        run(self)
        if _gives_way(self):
            return
        for listener, client, address in [*_waiting(self)]:
            self.handle(listener, client, address)

    ThreadWorker.set_accept_enabled = set_accept_enabled
    SyncWorker.run = run_and_drain


def _gives_way(worker: Any) -> bool:
    """Tell whether a worker ends at its max_requests, for another to go on."""
    return bool(worker.nr >= worker.max_requests)


def _waiting(worker: SyncWorker) -> Any:
    """Yield what SyncWorker.handle takes of each connection, and close the sockets."""
    for listener in worker.sockets:
        name = partial(lambda found: found, listener.getsockname())
        with contextlib.suppress(BlockingIOError):
            while True:
                client: socket.socket
                client, address = listener.accept()
                client.setblocking(True)
                yield SimpleNamespace(getsockname=name), client, address
        listener.close()
