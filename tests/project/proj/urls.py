"""Views that tell a test what it cannot see from outside."""

import asyncio
import gc
import logging
import os
import sys
import threading
import time

from asgiref.sync import sync_to_async
from django.db import connection
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.urls import path
from django.utils import translation

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


#: What the first request loads, and who has loaded it.
loaded: dict[str, int] = {}


def first(request: HttpRequest) -> JsonResponse:
    """Load something once, with the database and a language."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT 1")
    translation.activate("de")
    by = loaded.setdefault(request.path, os.getpid())
    return JsonResponse(
        {"loaded_by": by, "pid": os.getpid(), "threads": threading.active_count()}
    )


async def async_first(request: HttpRequest) -> JsonResponse:
    """The same, with threads of both kinds: Django's, and asyncio's own."""
    await asyncio.to_thread(time.sleep, 0)
    return await sync_to_async(first)(request)


def thread(request: HttpRequest) -> HttpResponse:
    """Start a thread once, as exporters do."""
    if "thread" not in loaded:
        loaded["thread"] = os.getpid()
        threading.Thread(
            target=time.sleep, args=(60,), name="late", daemon=True
        ).start()
    return HttpResponse("started")


def failing(request: HttpRequest) -> HttpResponse:
    raise ValueError("no templates")


urlpatterns = [
    path("first", first),
    path("async-first", async_first),
    path("thread", thread),
    path("failing", failing),
    path("about", about),
    path("log", log),
    path("who", who),
    path("slow", slow),
    path("async-slow", async_slow),
]
moments.reached("urls")
