"""Call a WSGI application for the requests of Hypercorn."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable, Callable
from typing import Any

from hypercorn.app_wrappers import WSGIWrapper

from django_prodserver.middleware.proxy_headers import ProxyHeaders


class _ClientGone(Exception):
    pass


class WSGIApplication:
    """
    Close a response when its client disconnects, instead of reading it to its end.

    Otherwise a stream without a client occupies one of the ``THREADS`` threads until
    its end (hypercorn 0.18). ``ROOT_PATH`` and ``TRUSTED_PROXIES`` are applied here,
    because Hypercorn reads X_Forwarded_For as if it were X-Forwarded-For.
    """

    def __init__(self, application: WSGIWrapper) -> None:
        self._application = application
        self._proxy_headers = ProxyHeaders.of_this_process()

    async def __call__(
        self,
        scope: Any,
        receive: Callable[[], Awaitable[Any]],
        send: Callable[[Any], Awaitable[None]],
        sync_spawn: Callable[..., Awaitable[Any]],
        call_soon: Callable[..., Any],
    ) -> None:
        gone = False
        scope = self._proxy_headers.changed_scope(scope)

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
            # Not earlier: before this call Hypercorn receives the request itself.
            watcher = asyncio.create_task(wait_until_gone())
            try:
                await sync_spawn(*call)
            finally:
                watcher.cancel()

        with contextlib.suppress(_ClientGone):
            await self._application(
                scope, receive, send_to_client, run_in_thread, call_soon
            )
