"""Views that tell a test what it cannot see from outside."""

import asyncio
import gc
import logging
import os
import sys
import threading
import time

from django.http import HttpRequest, HttpResponse, JsonResponse
from django.urls import path

from proj import moments

logger = logging.getLogger(__name__)


def about(request: HttpRequest) -> JsonResponse:
    return JsonResponse(
        {
            "pid": os.getpid(),
            "ppid": os.getppid(),
            "argv": sys.argv,
            "scheme": request.scheme,
            "threads": [thread.name for thread in threading.enumerate()],
            "asgi": hasattr(request, "scope"),
            "frozen": gc.get_freeze_count(),
            "environ": dict(os.environ),
        }
    )


def slow(request: HttpRequest) -> HttpResponse:
    logging.getLogger("proj").warning("slow began")
    time.sleep(float(request.GET.get("s", 1)))
    logging.getLogger("proj").warning("slow ended")
    return HttpResponse("slow done")


def who(request: HttpRequest) -> HttpResponse:
    """Say which process answers, after a while: several requests are spread."""
    time.sleep(float(request.GET.get("s", 0.1)))
    return HttpResponse(str(os.getpid()))


async def async_slow(request: HttpRequest) -> HttpResponse:
    await asyncio.sleep(float(request.GET.get("s", 1)))
    return HttpResponse("slow done")


def log(request: HttpRequest) -> HttpResponse:
    logger.warning("a line of the application")
    return HttpResponse("logged")


urlpatterns = [
    path("about", about),
    path("log", log),
    path("who", who),
    path("slow", slow),
    path("async-slow", async_slow),
]
moments.reached("urls")
