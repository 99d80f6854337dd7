"""URLs whose view uses what was made as this was imported: what ``FLAVOUR`` says."""

import ctypes
import logging
import logging.handlers
import multiprocessing
import os
import random
import signal
import tempfile
import time
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

from django.apps import AppConfig
from django.conf import settings
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.urls import path

from proj import urls

# Makes something once, and returns what each request asks of it.
Make = Callable[[], Callable[[], object]]


def unseeded() -> Callable[[], object]:
    generator = random.Random()  # noqa: S311
    return lambda: generator.getrandbits(64)


def seeded() -> Callable[[], object]:
    generator = random.Random(42)  # noqa: S311
    return lambda: generator.getrandbits(64)


def seeded_module() -> Callable[[], object]:
    random.seed(42)
    return lambda: random.getrandbits(64)


def numpy_legacy() -> Callable[[], object]:
    import numpy

    return lambda: int(numpy.random.randint(2**60))


def numpy_generator() -> Callable[[], object]:
    import numpy

    generator = numpy.random.default_rng()
    return lambda: int(generator.integers(2**60))


def numpy_product() -> Callable[[], object]:
    """Multiply matrices in threads, once before a fork and at each request."""
    import numpy

    matrix = numpy.ones((300, 300))

    def multiply() -> object:
        return float((matrix @ matrix).sum())

    assert multiply() == 300.0**3
    return multiply


def process_id() -> Callable[[], object]:
    worker = os.getpid() * 10
    return lambda: worker


def unique_id() -> Callable[[], object]:
    from proj import unique

    return lambda: unique.NODE


def redis() -> Callable[[], object]:
    from redis import Redis

    client = Redis.from_url(settings.REDIS_URL)
    client.ping()
    return client.client_id


def database_pool() -> Callable[[], object]:
    from django.db import connection

    def query() -> object:
        with connection.cursor() as cursor:
            cursor.execute("SELECT pg_backend_pid()")
            return cursor.fetchone()[0]

    query()
    return query


def socket_of_c() -> Callable[[], object]:
    number = ctypes.CDLL(None).socket(2, 1, 0)
    return lambda: os.fstat(number).st_ino


def temporary_directory() -> Callable[[], object]:
    directory = tempfile.TemporaryDirectory()
    return lambda: Path(directory.name).is_dir() and directory.name


def rotating_log() -> Callable[[], object]:
    handler = logging.handlers.RotatingFileHandler(
        settings.DATA / "rotating.log", maxBytes=200, backupCount=2
    )

    def write() -> object:
        handler.emit(logging.makeLogRecord({"msg": "a line " * 3}))
        return handler.stream.mode

    return write


def lock() -> Callable[[], object]:
    held = multiprocessing.get_context("fork").Lock()
    return lambda: held.acquire(timeout=5) and held.release() is None


def process_pool() -> Callable[[], object]:
    pool = ProcessPoolExecutor(1, multiprocessing.get_context("fork"))
    pool.submit(abs, 1).result()
    return lambda: pool.submit(abs, -7).result(10)


def handler_and_timer() -> Callable[[], object]:
    ticks: list[int] = []
    signal.signal(signal.SIGALRM, lambda *_: ticks.append(1))
    signal.setitimer(signal.ITIMER_REAL, 0.01, 0.01)

    def has_ticked() -> object:
        time.sleep(0.1)
        return bool(ticks)

    return has_ticked


class EarlyConfig(AppConfig):
    """Make it as the apps are loaded: in a request, it would be in a thread."""

    name = "proj.flavoured"
    label = "flavoured"
    path = str(Path(__file__).parent)


make: Make = globals()[settings.FLAVOUR]
use = make()


def answer(request: HttpRequest) -> HttpResponse:
    time.sleep(0.01)
    return JsonResponse({"pid": os.getpid(), "value": use()})


urlpatterns = [*urls.urlpatterns, path("use", answer)]
