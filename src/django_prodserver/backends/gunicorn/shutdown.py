"""Make Gunicorn's workers serve the queued connections before they stop."""

from __future__ import annotations

import contextlib
import socket
from functools import partial
from types import SimpleNamespace
from typing import Any

from gunicorn.workers.gthread import ThreadWorker
from gunicorn.workers.sync import SyncWorker


def drain_sockets_on_stop() -> None:
    """
    Make a worker that stops accept the queued connections and close its sockets.

    On its own, a stopping worker accepts nothing, but keeps its sockets open until
    its last request has ended. The kernel goes on queueing connections, and resets
    them at the end: measured, one per client and restart under load. With this, the
    worker accepts the queued connections and closes the sockets at once. Later
    clients are refused, so a load balancer tries another replica.
    """
    enable, run = ThreadWorker.set_accept_enabled, SyncWorker.run

    def set_accept_enabled(self: ThreadWorker, enabled: bool) -> None:
        enable(self, enabled)
        # A signal may arrive while the worker enables accepting: it disables it later.
        if enabled or self.alive or _is_recycled(self):
            return
        for listener in self.sockets:
            if listener.sock is None:  # closed by an earlier call
                continue
            listener.setblocking(False)
            # Accept until the number of connections no longer grows.
            connections = -1
            while connections != self.nr_conns:
                connections = self.nr_conns
                self.accept(listener)
            listener.close()

    def run_and_drain(self: SyncWorker) -> None:
        run(self)
        if _is_recycled(self):
            return
        for listener, client, address in [*_accept_queued(self)]:
            self.handle(listener, client, address)

    # Patches gunicorn, checked with 27.0: https://github.com/benoitc/gunicorn/issues/3397
    # (proposed for gthread: https://github.com/benoitc/gunicorn/pull/3612)
    ThreadWorker.set_accept_enabled = set_accept_enabled
    SyncWorker.run = run_and_drain


def _is_recycled(worker: Any) -> bool:
    """Tell whether a worker stops at its max_requests: another one then goes on."""
    return bool(worker.nr >= worker.max_requests)


def _accept_queued(worker: SyncWorker) -> Any:
    """Accept what is queued, and close the sockets; yield ``handle``'s arguments."""
    for listener in worker.sockets:
        # The name is read now, because the listener is closed before it is used.
        name = partial(lambda address: address, listener.getsockname())
        with contextlib.suppress(BlockingIOError):
            while True:
                client: socket.socket
                client, address = listener.accept()
                client.setblocking(True)
                yield SimpleNamespace(getsockname=name), client, address
        listener.close()
