"""Make Gunicorn's workers serve the queued connections before they stop."""

from __future__ import annotations

import contextlib
import selectors
import socket
from collections.abc import Iterator
from functools import partial
from types import SimpleNamespace
from typing import Any

from gunicorn.workers.gthread import ThreadWorker
from gunicorn.workers.sync import SyncWorker

# Seconds for a client that has connected to send something.
_SILENCE = 0.5
# Seconds for which a client may pause within its request or its response.
_PAUSE = 5.0


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
            # Accept until the number of connections no longer grows, or the process
            # has as many files open as it may.
            connections = -1
            with contextlib.suppress(OSError):
                while connections != self.nr_conns:
                    connections = self.nr_conns
                    self.accept(listener)
            listener.close()

    def run_and_drain(self: SyncWorker) -> None:
        run(self)
        if _is_recycled(self):
            return
        for listener, client, address in _those_that_send([*_accept_queued(self)]):
            self.handle(listener, client, address)

    # Patches gunicorn, checked with 27.0: https://github.com/benoitc/gunicorn/issues/3397
    # (proposed for gthread: https://github.com/benoitc/gunicorn/pull/3612)
    ThreadWorker.set_accept_enabled = set_accept_enabled
    SyncWorker.run = run_and_drain


def _is_recycled(worker: Any) -> bool:
    """Tell whether a worker stops at its max_requests: another one then goes on."""
    return bool(worker.nr >= worker.max_requests)


def _those_that_send(queued: list[Any]) -> Iterator[Any]:
    """
    Yield ``handle``'s arguments for each client, once it sends its request.

    The worker handles one client at a time, so one that sends nothing, as browsers and
    load balancers connect in advance, would keep all others waiting.
    """
    with selectors.DefaultSelector() as selector:
        for arguments in queued:
            selector.register(arguments[1], selectors.EVENT_READ, arguments)
        while selector.get_map():
            ready = selector.select(_SILENCE)
            for key, _ in ready:
                selector.unregister(key.fileobj)
                key.data[1].settimeout(_PAUSE)
                yield key.data
            if not ready:
                for key in [*selector.get_map().values()]:
                    selector.unregister(key.fileobj)
                    key.data[1].close()


def _accept_queued(worker: SyncWorker) -> Iterator[Any]:
    """Accept what is queued, and close the sockets; yield ``handle``'s arguments."""
    for listener in worker.sockets:
        # The name is read now, because the listener is closed before it is used.
        name = partial(lambda address: address, listener.getsockname())
        # Until none is queued, or the process has as many files open as it may.
        with contextlib.suppress(OSError):
            while True:
                client: socket.socket
                client, address = listener.accept()
                client.setblocking(True)
                yield SimpleNamespace(getsockname=name), client, address
        listener.close()
