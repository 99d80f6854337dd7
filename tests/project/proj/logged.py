"""Views whose lines in the log a test looks at."""

import asyncio
import logging
import time
from collections.abc import AsyncIterator, Iterator

from django.http import (
    HttpRequest,
    HttpResponse,
    JsonResponse,
    StreamingHttpResponse,
)
from django.urls import path, reverse

from proj import urls

logger = logging.getLogger(__name__)


def noted(request: HttpRequest) -> HttpResponse:
    logger.info("begins %s", request.GET["n"])
    time.sleep(0.05)
    logger.info("ends %s", request.GET["n"], extra={"number": 7, "who": {"a": "b"}})
    return HttpResponse("noted")


async def async_noted(request: HttpRequest) -> HttpResponse:
    logger.info("begins %s", request.GET["n"])
    await asyncio.sleep(0.05)
    logger.info("ends %s", request.GET["n"])
    return HttpResponse("noted")


def seen(request: HttpRequest) -> JsonResponse:
    return JsonResponse(
        {
            "scheme": request.scheme,
            "client": request.META["REMOTE_ADDR"],
            "path": request.path,
            "path_info": request.path_info,
            "reverse": reverse("seen"),
            "forwarded": sorted(
                name for name in request.META if "FORWARDED" in name.upper()
            ),
        }
    )


def fail(request: HttpRequest) -> HttpResponse:
    raise ValueError("it fails\nin two lines")


def printed(request: HttpRequest) -> HttpResponse:
    print("printed", request.path)
    return HttpResponse("printed")


def hostile(request: HttpRequest) -> HttpResponse:
    logger.warning("agent: %s", request.headers.get("User-Agent"))
    logger.warning("forged:\n2026-01-01T00:00:00.000Z info web[1] x: \x1b[31mred\r")
    return HttpResponse("hostile")


def stream(request: HttpRequest) -> StreamingHttpResponse:
    def chunks() -> Iterator[bytes]:
        for _ in range(3):
            logger.info("a chunk")
            yield b"x" * 100

    return StreamingHttpResponse(chunks())


def endless(request: HttpRequest) -> StreamingHttpResponse:
    """A stream that no client waits for: 5 s, unless it is left before."""

    def chunks() -> Iterator[bytes]:
        for _ in range(50):
            yield b"x" * 100
            time.sleep(0.1)

    async def async_chunks() -> AsyncIterator[bytes]:
        for _ in range(50):
            yield b"x" * 100
            await asyncio.sleep(0.1)

    asgi = hasattr(request, "scope")
    return StreamingHttpResponse(async_chunks() if asgi else chunks())


urlpatterns = [
    *urls.urlpatterns,
    path("noted", noted),
    path("async-noted", async_noted),
    path("", seen),
    path("seen", seen, name="seen"),
    path("shopping", seen),
    path("shop-window", seen),
    path("fail", fail),
    path("printed", printed),
    path("hostile", hostile),
    path("stream", stream),
    path("endless", endless),
]
