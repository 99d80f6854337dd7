"""
``WSGI_APPLICATION`` as an ASGI application, each request in a thread.

For a server that speaks only ASGI, or whose WSGI loses what is needed: by the names of
WSGI, ``X-Forwarded-For`` and ``X_Forwarded_For`` are the same.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

from a2wsgi import WSGIMiddleware
from a2wsgi.wsgi import WSGIResponder

from django_prodserver.backends.served import project_application
from django_prodserver.config.context import Context
from django_prodserver.middleware.proxy_headers import ProxyHeaders

# a2wsgi's own default, for a start without the launcher.
_THREADS = 10


class _ClientGoneError(Exception):
    """Raised in the thread of a request whose client has disconnected."""


class WSGIAsASGI(WSGIMiddleware):
    """
    Call a WSGI application as ASGI, and end a response whose client has disconnected.

    a2wsgi goes on until the response ends (1.10). A stream without an end would occupy
    one of the ``THREADS`` threads forever.
    """

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] != "http":
            await super().__call__(scope, receive, send)
            return
        responder = _Responder(self.app, self.executor, self.send_queue_size)
        await responder(scope, receive, send)


class _Responder(WSGIResponder):
    """The response to one request."""

    async def __call__(
        self,
        scope: Any,
        receive: Callable[[], Awaitable[Any]],
        send: Callable[[Any], Awaitable[None]],
    ) -> None:
        self._is_client_gone = False
        # One message ahead of the application: it reads no further than it likes.
        messages: asyncio.Queue[Any] = asyncio.Queue(1)

        async def read_ahead() -> None:
            more = True
            while more:
                message = await receive()
                more = message["type"] == "http.request" and message.get("more_body")
                if message["type"] == "http.disconnect":
                    self._is_client_gone = True
                await messages.put(message)
            while not self._is_client_gone:
                message = await receive()
                self._is_client_gone = message["type"] == "http.disconnect"
            await messages.put({"type": "http.disconnect"})

        reader = asyncio.create_task(read_ahead())
        try:
            await super().__call__(scope, messages.get, send)
        except _ClientGoneError:
            pass
        finally:
            reader.cancel()

    def send(self, message: Any) -> None:
        # In the thread of the application, whose response is closed by this.
        if self._is_client_gone:
            raise _ClientGoneError
        super().send(message)


def _threads() -> int:
    context = Context.from_environment()
    return (context.threads if context else 0) or _THREADS


application = ProxyHeaders.of_this_process().wrap_asgi(
    WSGIAsASGI(project_application("wsgi"), _threads())
)
