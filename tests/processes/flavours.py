"""
What applications make while they are loaded, and whether they are preloaded then.

A test runs each of them; the documentation's table is made from this module.
"""

from __future__ import annotations

from typing import NamedTuple

_THREADS = "the application has started threads outside Python ("
_LOCK = "the application has created a multiprocessing lock, queue or pool"


class Flavour(NamedTuple):
    """
    What an application makes.

    Attributes:
        what: In words, for the documentation.
        reason: What the log says of it; "" if the application is preloaded, because
            what it has made survives a fork, or is repaired.
    """

    what: str
    reason: str = ""


#: By the name of the function in the test project that makes it.
FLAVOURS = {
    "unseeded": Flavour("`random.Random()`"),
    "seeded": Flavour("`random.Random(42)`"),
    "seeded_module": Flavour("`random.seed(42)`", ", seeds the random module"),
    "numpy_legacy": Flavour("numbers of `numpy.random.randint()`"),
    "numpy_generator": Flavour("`numpy.random.default_rng()`"),
    "numpy_threads": Flavour("a product of NumPy matrices, with threads of OpenBLAS"),
    "polars": Flavour("a query of Polars", _THREADS),
    "grpc": Flavour("a call through a gRPC channel", _THREADS),
    "kafka": Flavour("a producer of confluent-kafka", f"{_THREADS}'rdk:"),
    "prometheus": Flavour("a counter of prometheus-client, in multiprocess mode"),
    "telemetry": Flavour(
        "the `BatchSpanProcessor` of OpenTelemetry",
        "the application has started the thread 'Otel",
    ),
    "sentry": Flavour("`sentry_sdk.init()`"),
    "process_id": Flavour("a value made of `os.getpid()`", ", uses the process ID"),
    "unique_id": Flavour(
        "a module's `NODE = str(uuid.uuid4())`",
        "proj/unique.py, line 5, creates a random value",
    ),
    "redis": Flavour("a redis-py client that has sent a command"),
    "socket_of_c": Flavour(
        "a socket that a library in C has opened",
        "the application has left open a socket (",
    ),
    "temporary_directory": Flavour(
        "a `tempfile.TemporaryDirectory()`", "the application removes /"
    ),
    "rotating_log": Flavour("a `RotatingFileHandler`"),
    "lock": Flavour("a `multiprocessing.Lock()`", _LOCK),
    "shared_value": Flavour("a `multiprocessing.Value()`", _LOCK),
    "manager": Flavour(
        "a `multiprocessing.Manager()`",
        "the application has started a process (python",
    ),
    "process_pool": Flavour(
        "a `ProcessPoolExecutor` that has done something",
        "the application has started ",
    ),
    "helper": Flavour(
        "a program that it talks to through pipes",
        "the application has started a process (cat",
    ),
    "stack_dump": Flavour(
        "`faulthandler.dump_traceback_later()`",
        "the application has started a thread outside Python (",
    ),
    "handler_and_timer": Flavour(
        "a signal handler, and an interval timer",
        "the application handles the signal SIGALRM",
    ),
}
