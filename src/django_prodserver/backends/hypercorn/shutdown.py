"""Stop a worker of Hypercorn gracefully and within its deadline."""

from __future__ import annotations

import asyncio
import multiprocessing
import signal
import sys
from collections.abc import Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from importlib import import_module
from types import SimpleNamespace
from typing import Any

from hypercorn.app_wrappers import WSGIWrapper
from hypercorn.config import Config
from hypercorn.utils import ShutdownError

from django_prodserver.backends import asyncio_listeners
from django_prodserver.backends.hypercorn.wsgi import WSGIApplication
from django_prodserver.process.deadline import UNFINISHED

native: Any = import_module("hypercorn.asyncio.run")
# Seconds in which a client that has just connected may send its request when the
# stop begins; the longer ones for clients that have not sent a byte yet.
_QUIET, _SILENT = 0.1, 0.5
_POLL = 0.02
# Seconds for the cleanup of a request that is cut.
_CLEANUP = 1.0


def install(threads: int) -> None:
    """
    Make Hypercorn's workers serve and stop through ``Worker``.

    When it stops, Hypercorn closes connections that have not sent anything yet. On
    Python 3.12 and later it then waits for requests without a limit, because
    graceful_timeout counts only after they have ended (pgjones/hypercorn#308).

    Args:
        threads: The number of threads of a worker, for a WSGI application; 0 for
            Hypercorn's default.
    """
    serve = native.worker_serve

    async def worker_serve(
        app: Any,
        config: Config,
        *,
        sockets: Any = None,
        shutdown_trigger: Callable[..., Awaitable[Any]] | None = None,
    ) -> None:
        if threads:
            executor = ThreadPoolExecutor(threads)
            asyncio.get_running_loop().set_default_executor(executor)
        if isinstance(app, WSGIWrapper):
            app = WSGIApplication(app)
        worker = Worker(config)
        worker.end_with_parent()
        start_server = {"start_server": worker.start_server}
        native.asyncio = SimpleNamespace(**{**vars(asyncio), **start_server})
        native.raise_shutdown = worker.raise_shutdown
        await serve(app, config, sockets=sockets, shutdown_trigger=shutdown_trigger)
        if worker.has_cut:
            sys.exit(UNFINISHED)

    # Patches hypercorn, checked with 0.18: https://github.com/pgjones/hypercorn/issues/308
    # (proposed: https://github.com/pgjones/hypercorn/pull/374)
    native.worker_serve = worker_serve


class Worker:
    """The listeners and connections of a worker, and their graceful stop."""

    def __init__(self, config: Config) -> None:
        self.has_cut = False
        self._config = config
        self._servers: list[asyncio.Server] = []
        self._connections: dict[asyncio.Task[Any], asyncio.StreamWriter] = {}
        # Those that have not sent a byte.
        self._silent: set[asyncio.Task[Any]] = set()
        self._deadline = 0.0

    def end_with_parent(self) -> None:
        """Stop when the parent has exited; native workers would go on serving."""
        parent = multiprocessing.parent_process()
        if parent is None:
            return
        loop = asyncio.get_running_loop()
        sentinel = parent.sentinel

        def stop() -> None:
            loop.remove_reader(sentinel)
            signal.raise_signal(signal.SIGTERM)

        loop.add_reader(sentinel, stop)

    async def start_server(
        self,
        serve: Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]],
        **options: Any,
    ) -> SimpleNamespace:
        """Listen; called in place of ``asyncio.start_server``."""

        async def serve_connection(
            reader: asyncio.StreamReader, writer: asyncio.StreamWriter
        ) -> None:
            if task := asyncio.current_task():
                self._connections[task] = writer
                task.add_done_callback(self._connections.pop)
                self._wait_for_first_bytes(task, reader)
            await serve(reader, writer)

        server = await asyncio.start_server(serve_connection, **options)
        self._servers.append(server)
        # The methods of a server that Hypercorn calls.
        return SimpleNamespace(close=server.close, wait_closed=self.drain)

    async def raise_shutdown(self, asked: Callable[[], Awaitable[Any]]) -> None:
        """Stop listening, and let clients that have just connected send a request."""
        await asked()
        loop = asyncio.get_running_loop()
        self._deadline = loop.time() + self._config.graceful_timeout
        await asyncio_listeners.close(self._servers)
        await asyncio.sleep(_QUIET)
        end = loop.time() + _SILENT - _QUIET
        while self._silent and loop.time() < end:
            await asyncio.sleep(_POLL)
        # From here on Hypercorn closes a connection after its response.
        raise ShutdownError

    def _wait_for_first_bytes(
        self, task: asyncio.Task[Any], reader: asyncio.StreamReader
    ) -> None:
        """Count a connection as silent until its client has sent something."""
        feed: Any = reader.feed_data

        def feed_data(data: bytes) -> None:
            self._silent.discard(task)
            feed(data)

        if not reader._buffer:  # type: ignore[attr-defined]
            self._silent.add(task)
            task.add_done_callback(self._silent.discard)
            # Patches hypercorn, checked with 0.18: it closes such a connection at once.
            reader.feed_data = feed_data  # type: ignore[method-assign, assignment]

    async def drain(self) -> None:
        """Wait for the connections to end; cut those that miss the deadline."""
        if not self._connections:
            return
        left = self._deadline - asyncio.get_running_loop().time()
        _, late = await asyncio.wait(self._connections, timeout=max(left, 0))
        if not late:
            return
        self.has_cut = True
        for task in late:
            # Abort first: Hypercorn answers 500 for a cancelled WSGI application.
            self._connections[task].transport.abort()
            task.cancel()
        seconds = self._config.graceful_timeout
        await self._config.log.error(
            "%d connection(s) cut: not finished within %g s (graceful_timeout)",
            len(late),
            seconds,
        )
        await asyncio.wait(late, timeout=_CLEANUP)
