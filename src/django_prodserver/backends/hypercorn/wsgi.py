"""A WSGI application on Hypercorn whose responses end when their client has gone."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable, Callable
from typing import Any

from hypercorn.app_wrappers import WSGIWrapper


class _ClientGone(Exception):
    pass


class WSGIApplication:
    """
    Close a response whose client has gone, in place of reading it to its end.

    Natively a stream that nobody reads any more keeps its thread, of which there
    are as many as ``THREADS`` says (hypercorn 0.18).
    """

    def __init__(self, application: WSGIWrapper) -> None:
        self._application = application

    async def __call__(
        self,
        scope: Any,
        receive: Callable[[], Awaitable[Any]],
        send: Callable[[Any], Awaitable[None]],
        sync_spawn: Callable[..., Awaitable[Any]],
        call_soon: Callable[..., Any],
    ) -> None:
        gone = False

        async def wait_until_gone() -> None:
            nonlocal gone
            while (await receive())["type"] != "http.disconnect":
                pass
            gone = True

        async def send_to_client(message: Any) -> None:
            if gone:
                raise _ClientGone
            await send(message)

        async def run_in_thread(*call: Any) -> None:
            # Only now: Hypercorn has received the whole request before it calls this.
            watcher = asyncio.create_task(wait_until_gone())
            try:
                await sync_spawn(*call)
            finally:
                watcher.cancel()

        with contextlib.suppress(_ClientGone):
            await self._application(
                scope, receive, send_to_client, run_in_thread, call_soon
            )
