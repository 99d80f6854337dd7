"""Applications whose requests clients hold up: streams, uploads, websockets."""

import asyncio
import itertools
import time
from collections.abc import AsyncIterator, Iterator
from typing import Any

from django.core.asgi import get_asgi_application
from django.core.wsgi import get_wsgi_application
from django.http import HttpRequest, HttpResponse, StreamingHttpResponse
from django.urls import path

from proj import urls

#: Bytes of a response that no buffer of a server or of the kernel can take.
LARGE = 64 * 2**20


def upload(request: HttpRequest) -> HttpResponse:
    return HttpResponse(f"{len(request.body)} uploaded")


def stream(request: HttpRequest) -> StreamingHttpResponse:
    """A stream without an end."""

    def chunks() -> Iterator[bytes]:
        for number in itertools.count():
            yield b"data: %d\n\n" % number
            time.sleep(0.1)

    async def async_chunks() -> AsyncIterator[bytes]:
        for number in itertools.count():
            yield b"data: %d\n\n" % number
            await asyncio.sleep(0.1)

    asgi = hasattr(request, "scope")
    return StreamingHttpResponse(async_chunks() if asgi else chunks())


def large(request: HttpRequest) -> HttpResponse:
    return HttpResponse(b"x" * LARGE)


urlpatterns = [
    *urls.urlpatterns,
    path("upload", upload),
    path("stream", stream),
    path("large", large),
]

wsgi = get_wsgi_application()
_django = get_asgi_application()


async def asgi(scope: dict[str, Any], receive: Any, send: Any) -> None:
    if scope["type"] != "websocket":
        await _django(scope, receive, send)  # type: ignore[arg-type]
        return
    await receive()
    await send({"type": "websocket.accept"})
    while (await receive())["type"] != "websocket.disconnect":
        await send({"type": "websocket.send", "text": "heard"})
