"""Granian."""

from __future__ import annotations

import multiprocessing
import sys
import threading
from collections.abc import Mapping, Sequence
from importlib import import_module
from pathlib import Path
from types import SimpleNamespace
from typing import ClassVar

from django_prodserver.backends import addresses
from django_prodserver.backends.introspection import OptionFile
from django_prodserver.backends.web import WebBackend
from django_prodserver.config.argv import value_of
from django_prodserver.config.context import ON
from django_prodserver.config.keys import Resolved, Translation, Unsupported
from django_prodserver.process.fork_safety import restore_signals_in_children


class _GranianServer(WebBackend):
    title = "Granian"
    script = "granian"
    package = "granian"
    extra = "granian"
    option_file = OptionFile(__package__)
    sockets: ClassVar = ("uds",)
    keys: ClassVar[Mapping[str, Translation]] = {
        **WebBackend.keys,
        # Natively there is none, and a worker that misses the signal (10 % of
        # stops under load, granian 2.8) is waited for without end.
        "GRACEFUL_TIMEOUT": "workers-kill-timeout",
        "WORKERS": "workers",
        "TIMEOUT": Unsupported("granian does not watch its workers; a probe does"),
        # An idle connection is one whose next request's headers do not come; it
        # takes no more than a minute.
        "KEEP_ALIVE": lambda backend, value: {
            "http1-header-read-timeout": min(value, 60) * 1000
        },
        "MAX_REQUESTS": Unsupported(
            "granian counts no requests; replace the container, or write "
            'ARGS "workers-lifetime"'
        ),
        "CERTFILE": "ssl-certificate",
        "KEYFILE": "ssl-keyfile",
    }
    env_prefix = "GRANIAN_"
    server_loggers = ("_granian",)

    def log_options(self) -> Mapping[str, object]:
        return {"log-config": str(Path(__file__).with_name("logging.json"))}

    def access_log(self, args: Sequence[str]) -> str:
        # Its own only where it is asked for.
        own = value_of("access-log", args, self.option_table) is not None
        found = super().access_log(args)
        return "granian.access" if own and found == ON else found

    def must_exec(self, args: Sequence[str]) -> bool:
        return value_of("reload", args, self.option_table) is not None

    def forks(self, args: Sequence[str]) -> bool:
        return True

    def prepare(self, args: Sequence[str]) -> str:
        """Make the workers forks, that can be stopped from their first moment."""
        if sys.version_info >= (3, 14):
            # Granian follows multiprocessing's default, a fork until 3.14.
            multiprocessing.set_start_method("fork", force=True)
        restore_signals_in_children()
        _wake_workers_now_and_then()
        return ""

    def addresses(self, args: Sequence[str]) -> tuple[str, ...]:
        if path := self.option("uds", args):
            return (addresses.unix(path),)
        host = self.option("host", args) or "127.0.0.1"
        return (addresses.tcp(host, self.option("port", args) or 8000),)

    def speaks_tls(self, args: Sequence[str]) -> bool:
        return bool(self.option("ssl-certificate", args))

    def development_options(self) -> dict[str, object]:
        # What hangs (a WSGI worker, natively) is not waited for at a desk.
        return {"workers": 1, "workers-kill-timeout": 3}


class GranianASGIServer(_GranianServer):
    """Serve ``ASGI_APPLICATION`` with Granian."""

    interface = "asgi"
    keys = {
        **_GranianServer.keys,
        "THREADS": Unsupported(
            "an event loop takes requests as they come, and each view that is not "
            "async has a thread of its own"
        ),
    }
    defaults = {
        "interface": Resolved("asginl", "ASGI without lifespan: Django speaks none"),
    }


class GranianWSGIServer(_GranianServer):
    """Serve ``WSGI_APPLICATION`` with Granian."""

    interface = "wsgi"
    # Natively up to 512, each with a connection to the database.
    keys = {**_GranianServer.keys, "THREADS": "blocking-threads"}
    defaults = {"interface": Resolved("wsgi", "natively it is RSGI")}


class _WakingEvent(threading.Event):
    """An event whose waiter looks for signals twice a second."""

    def wait(self, timeout: float | None = None) -> bool:
        if timeout is not None:
            return super().wait(timeout)
        while not super().wait(0.5):
            pass
        return True


def _wake_workers_now_and_then() -> None:
    """
    Let a WSGI worker see a signal that another thread of it was given.

    Its main thread waits for an event without end, and Python's handlers run in
    no other: natively one stop in ten under load is never seen (granian 2.8).
    """
    workers = import_module("granian.server.mp")
    named = {**vars(threading), "Event": _WakingEvent}
    workers.threading = SimpleNamespace(**named)  # type: ignore[attr-defined]
