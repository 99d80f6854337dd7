"""URLs whose view uses what was made as this was imported: what ``FLAVOUR`` says."""

import ctypes
import faulthandler
import logging
import logging.handlers
import multiprocessing
import os
import random
import signal
import subprocess
import tempfile
import threading
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


def numpy_threads() -> Callable[[], object]:
    import numpy

    matrix = numpy.full((300, 300), 2.0)

    def multiply() -> object:
        return float((matrix @ matrix)[0, 0])

    multiply()
    return multiply


def polars() -> Callable[[], object]:
    import polars

    frame = polars.DataFrame({"number": range(1000)})

    def add_up() -> object:
        return frame.lazy().select(polars.col("number").sum()).collect().item()

    add_up()
    return add_up


def grpc() -> Callable[[], object]:
    import grpc

    channel = grpc.insecure_channel("127.0.0.1:9")
    greet = channel.unary_unary("/shop.Greeter/Greet")

    def call() -> object:
        try:
            greet(b"", timeout=5)
        except grpc.RpcError as error:
            return error.code().name
        return None

    call()
    return call


def kafka() -> Callable[[], object]:
    from confluent_kafka import Producer

    # No broker is there: a message is given up by the library's own thread.
    producer = Producer(
        {
            "bootstrap.servers": "127.0.0.1:9",
            "message.timeout.ms": 50,
            "logger": logging.getLogger("flavoured.kafka"),
        }
    )

    def send() -> object:
        failures: list[str] = []
        producer.produce("orders", b"1", on_delivery=lambda e, _: failures.append(e))
        producer.flush(5)
        return failures[0].name()

    return send


def prometheus() -> Callable[[], object]:
    os.environ["PROMETHEUS_MULTIPROC_DIR"] = str(settings.DATA)
    from prometheus_client import Counter

    counter = Counter("answers", "Answers of this process.")
    counter.inc(0)

    def count() -> object:
        counter.inc()
        # Each process has a file of its own, named by its ID.
        return Path(settings.DATA, f"counter_{os.getpid()}.db").exists()

    return count


def telemetry() -> Callable[[], object]:
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.sdk.trace.export import BatchSpanProcessor, SpanExportResult

    exported: list[int] = []

    class Exporter:
        def export(self, spans: list[object]) -> SpanExportResult:
            exported.append(os.getpid())
            return SpanExportResult.SUCCESS

        def shutdown(self) -> None:
            pass

    provider = TracerProvider()
    provider.add_span_processor(BatchSpanProcessor(Exporter()))

    def trace() -> object:
        with provider.get_tracer("flavoured").start_as_current_span("answer"):
            pass
        provider.force_flush(5000)
        return os.getpid() in exported

    return trace


def sentry() -> Callable[[], object]:
    import sentry_sdk
    from sentry_sdk.transport import Transport

    sent: list[int] = []

    class Kept(Transport):
        def capture_envelope(self, envelope: object) -> None:
            sent.append(os.getpid())

    sentry_sdk.init("http://key@127.0.0.1:9/1", transport=Kept, traces_sample_rate=1)

    def report() -> object:
        sentry_sdk.capture_message("an answer")
        return os.getpid() in sent

    return report


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
    # Two processes that rotate one file disturb each other, with any start.
    file = settings.DATA / "rotating.log"
    handler = logging.handlers.RotatingFileHandler(file, maxBytes=10**6, backupCount=2)

    def write() -> object:
        handler.handle(logging.makeLogRecord({"msg": f"from {os.getpid()}"}))
        return f"from {os.getpid()}" in file.read_text().splitlines()

    return write


def lock() -> Callable[[], object]:
    held = multiprocessing.get_context("fork").Lock()
    return lambda: held.acquire(timeout=5) and held.release() is None


def process_pool() -> Callable[[], object]:
    pool = ProcessPoolExecutor(1, multiprocessing.get_context("fork"))
    pool.submit(abs, 1).result()
    return lambda: pool.submit(abs, -7).result(10)


def manager() -> Callable[[], object]:
    numbers = multiprocessing.get_context("fork").Manager().list()

    def append() -> object:
        numbers.append(os.getpid())
        return os.getpid() in numbers

    return append


def shared_value() -> Callable[[], object]:
    value = multiprocessing.get_context("fork").Value("i", 0)

    def increase() -> object:
        with value.get_lock():
            value.value += 1
        return value.value > 0

    return increase


def helper() -> Callable[[], object]:
    """A program that answers each line with itself, as a spell checker does."""
    process = subprocess.Popen(["cat"], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    lock = threading.Lock()

    def ask() -> object:
        with lock:
            question = b"%d\n" % random.getrandbits(64)
            process.stdin.write(question)
            process.stdin.flush()
            return process.stdout.readline() == question

    return ask


def stack_dump() -> Callable[[], object]:
    file = Path(settings.DATA, f"stacks-{os.getpid()}").open("w")  # noqa: SIM115
    # Later than the test ends: a dump of running threads can crash Python
    # (https://github.com/python/cpython/issues/131580). Its thread is there by now.
    faulthandler.dump_traceback_later(600, repeat=True, file=file)

    def has_own_file() -> object:
        return Path(settings.DATA, f"stacks-{os.getpid()}").exists()

    return has_own_file


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
