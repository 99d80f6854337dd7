"""Granian."""

from __future__ import annotations

import dataclasses
import multiprocessing
import os
import sys
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from importlib import import_module
from pathlib import Path
from types import SimpleNamespace
from typing import Any, ClassVar

from django_prodserver.backends import addresses, env_files
from django_prodserver.backends.introspection import OptionFile
from django_prodserver.backends.web import NO_FORK, WebBackend
from django_prodserver.config.argv import value_of
from django_prodserver.config.context import ON, Context
from django_prodserver.config.keys import Resolved, Translation, Unsupported
from django_prodserver.process.fork_safety import restore_signals_in_children


class _GranianServer(WebBackend):
    """Serve with Granian, whatever the interface."""

    title = "Granian"
    script = "granian"
    package = "granian"
    extra = "granian"
    option_file = OptionFile(__package__)
    sockets: ClassVar = ("uds",)
    keys: ClassVar[Mapping[str, Translation]] = {
        **WebBackend.keys,
        # Granian has no timeout by default: it would wait forever for a worker
        # that misses the signal (10 % of stops under load, granian 2.8).
        "GRACEFUL_TIMEOUT": "workers-kill-timeout",
        "WORKERS": "workers",
        "TIMEOUT": Unsupported("granian cannot detect a hung worker; use a probe"),
        # Granian closes an idle connection by its timeout for the next request's
        # headers, which may be one minute at most.
        "KEEP_ALIVE": lambda backend, value: {
            "http1-header-read-timeout": min(value, 60) * 1000
        },
        "MAX_REQUESTS": Unsupported(
            "granian does not count requests; replace the container, or set "
            '"workers-lifetime" in ARGS'
        ),
        "CERTFILE": "ssl-certificate",
        "KEYFILE": "ssl-keyfile",
    }
    env_prefix = "GRANIAN_"
    server_loggers = ("_granian",)

    def log_options(self) -> Mapping[str, object]:
        return {"log-config": str(Path(__file__).with_name("logging.json"))}

    def access_log(self, args: Sequence[str]) -> str:
        # Granian only writes its own access log if the option is given.
        has_own = value_of("access-log", args, self.option_table) is not None
        access_log = super().access_log(args)
        return "granian.access" if has_own and access_log == ON else access_log

    def forks(self, args: Sequence[str]) -> bool:
        return hasattr(os, "fork")

    def obstacles(self, args: Sequence[str]) -> Iterator[str]:
        yield from super().obstacles(args)
        if not self.forks(args):
            yield NO_FORK

    def server_environment(
        self, args: Sequence[str], given: Mapping[str, str]
    ) -> Mapping[str, str]:
        # Its variable takes several, as PATH does.
        words = [word or "" for word in self.values("env-files", args)]
        files = [path for word in words for path in word.split(os.pathsep) if path]
        return env_files.read(files, given)

    def call_before_fork(self, args: Sequence[str], load: Callable[[], None]) -> None:
        server_class = import_module("granian.server.common").AbstractServer
        startup = server_class.startup

        def load_and_start(server: Any, *args: Any) -> None:
            # Granian loads its environment files after it listens, and load() must
            # be called before that. Loading them twice changes nothing.
            server._env_loader(server.env_files)
            load()
            startup(server, *args)

        # Patches granian, checked with 2.8: it preloads nothing, and will not
        # (https://github.com/emmett-framework/granian/issues/809)
        server_class.startup = load_and_start

    def prepare(self, args: Sequence[str]) -> str:
        """Fork the workers, and make them stoppable from their start."""
        if sys.version_info >= (3, 14):
            # Granian uses multiprocessing's default, which is "fork" before 3.14.
            multiprocessing.set_start_method("fork", force=True)
        restore_signals_in_children()
        _poll_for_signals()
        return ""

    def addresses(self, args: Sequence[str]) -> tuple[str, ...]:
        if path := self.option("uds", args):
            return (addresses.unix(path),)
        host = self.option("host", args) or "127.0.0.1"
        return (addresses.tcp(host, self.option("port", args) or 8000),)

    def speaks_tls(self, args: Sequence[str]) -> bool:
        return bool(self.option("ssl-certificate", args))

    def development_options(self) -> dict[str, object]:
        # Do not make a developer wait for a WSGI worker that hangs at its stop.
        return {"workers": 1, "workers-kill-timeout": 3}


class GranianASGIServer(_GranianServer):
    """Serve ``ASGI_APPLICATION`` with Granian."""

    interface = "asgi"
    wsgi_alternative = "django_prodserver.backends.granian.GranianWSGIServer"
    keys = {
        **_GranianServer.keys,
        "THREADS": Unsupported(
            "an event loop accepts every request, and each view that is not async "
            "runs in its own thread"
        ),
    }
    defaults = {
        "interface": Resolved("asginl", "Django does not support ASGI's lifespan"),
    }


class GranianWSGIServer(_GranianServer):
    """Serve ``WSGI_APPLICATION`` with Granian."""

    interface = "wsgi"
    keys: ClassVar[Mapping[str, Translation]] = {
        **_GranianServer.keys,
        # Granian's own default is up to 512, each with a database connection.
        "THREADS": lambda backend, value: backend.thread_options(value),
    }
    defaults = {
        "ws": Resolved(
            False, "WSGI has no websockets; without this, each start logs a warning"
        ),
    }

    def default_options(self) -> Mapping[str, Resolved]:
        interface = Resolved("wsgi", "Granian's own default is RSGI")
        if self.is_behind_proxies:
            why = "WSGI cannot tell X-Forwarded-For from X_Forwarded_For"
            interface = Resolved("asginl", f"TRUSTED_PROXIES: {why}")
        return {"interface": interface, **super().default_options()}

    @property
    def is_behind_proxies(self) -> bool:
        return bool(self.resolve("TRUSTED_PROXIES").value) and not self.is_native

    def speaks_asgi(self, args: Sequence[str]) -> bool:
        """Tell whether the application is served as ASGI, with threads of our own."""
        return self.option("interface", args) in ("asgi", "asginl")

    def thread_options(self, threads: int) -> Mapping[str, object]:
        """Return the option for THREADS; none where the threads are our own."""
        interface = self.option("interface", self.written)
        is_asgi = interface in ("asgi", "asginl") or (
            not interface and self.is_behind_proxies
        )
        return {} if is_asgi else {"blocking-threads": threads}

    def served_module(self, args: Sequence[str]) -> str:
        return "wsgi_as_asgi" if self.speaks_asgi(args) else super().served_module(args)

    def required_modules(self) -> tuple[str, ...]:
        own = super().required_modules()
        return (*own, "a2wsgi") if self.speaks_asgi(self.args) else own

    def context(self, args: Sequence[str], process: str) -> Context | None:
        context = super().context(args, process)
        if context is None or not self.speaks_asgi(args):
            return context
        return dataclasses.replace(context, threads=int(self.resolve("THREADS").value))

    def request_concurrency(self, args: Sequence[str]) -> int | None:
        given = self.option("blocking-threads", args)
        return int(given or self.resolve("THREADS").value)


class _PollingEvent(threading.Event):
    """An event whose wait() lets Python handle signals twice a second."""

    def wait(self, timeout: float | None = None) -> bool:
        if timeout is not None:
            return super().wait(timeout)
        while not super().wait(0.5):
            pass
        return True


def _poll_for_signals() -> None:
    """
    Make a WSGI worker handle a signal that the kernel gave to another thread.

    Python runs signal handlers in the main thread only, and a worker's main thread
    waits for an event without a timeout. Without this, one stop in ten under load is
    never noticed (granian 2.8).
    """
    workers = import_module("granian.server.mp")
    names = {**vars(threading), "Event": _PollingEvent}
    # Patches granian, checked with 2.8: no issue about it is known.
    workers.threading = SimpleNamespace(**names)  # type: ignore[attr-defined]
