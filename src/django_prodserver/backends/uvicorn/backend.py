"""Uvicorn."""

from __future__ import annotations

import dataclasses
import os
import signal
import sys
import traceback
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import ClassVar

from django_prodserver.backends import addresses, env_files, hooks
from django_prodserver.backends.introspection import OptionFile
from django_prodserver.backends.web import NO_FORK, Interface, WebBackend
from django_prodserver.config.context import Context
from django_prodserver.config.keys import Resolved, Translation, Unsupported

#: Uvicorn's exit code if the application cannot be served.
STARTUP_FAILURE = 3


class UvicornServer(WebBackend):
    """Serve ``ASGI_APPLICATION`` with Uvicorn."""

    title = "Uvicorn"
    script = "uvicorn"
    package = "uvicorn"
    extra = "uvicorn"
    option_file = OptionFile(__package__)
    interface: ClassVar[Interface] = "asgi"
    wsgi_alternative = "django_prodserver.backends.uvicorn.UvicornWSGIServer"
    keys: ClassVar[Mapping[str, Translation]] = {
        **WebBackend.keys,
        # Uvicorn's own proxy headers would apply before ours, and trust 127.0.0.1.
        "TRUSTED_PROXIES": lambda backend, value: {"no-proxy-headers": True},
        # Without this option, a stop waits without a limit.
        "GRACEFUL_TIMEOUT": "timeout-graceful-shutdown",
        "WORKERS": "workers",
        "THREADS": Unsupported(
            "an event loop accepts every request, and each view that is not async "
            "runs in its own thread"
        ),
        "TIMEOUT": "timeout-worker-healthcheck",
        "KEEP_ALIVE": "timeout-keep-alive",
        "MAX_REQUESTS": Unsupported(
            "uvicorn drops connections when it replaces a worker; replace the container"
        ),
        "CERTFILE": "ssl-certfile",
        "KEYFILE": "ssl-keyfile",
    }
    sockets = ("uds", "fd")
    access_logger = "uvicorn.access"
    proxies_option = "forwarded-allow-ips"
    proxies_variable = "FORWARDED_ALLOW_IPS"
    server_loggers = ("uvicorn",)
    defaults = {
        "lifespan": Resolved("off", "Django does not support ASGI's lifespan"),
    }
    env_prefix = "UVICORN_"
    variables = ("FORWARDED_ALLOW_IPS",)
    native_keys: ClassVar[Mapping[str, Translation]] = {
        "TRUSTED_PROXIES": lambda backend, value: {
            "forwarded-allow-ips": ",".join(value)
        },
    }

    def log_options(self) -> Mapping[str, object]:
        return {"log-config": str(Path(__file__).with_name("logging.json"))}

    def has_several_workers(self, args: Sequence[str]) -> bool:
        workers = self.option("workers", args) or os.environ.get("WEB_CONCURRENCY")
        return workers not in (None, "", "1")

    def forks(self, args: Sequence[str]) -> bool:
        return self.has_several_workers(args) and hasattr(os, "fork")

    def obstacles(self, args: Sequence[str]) -> Iterator[str]:
        yield from super().obstacles(args)
        if self.has_several_workers(args) and not hasattr(os, "fork"):
            yield NO_FORK

    def server_environment(
        self, args: Sequence[str], given: Mapping[str, str]
    ) -> Mapping[str, str]:
        file = self.option("env-file", args)
        return env_files.read([file] if file else [], given)

    def call_before_fork(self, args: Sequence[str], load: Callable[[], None]) -> None:
        from uvicorn.config import Config

        from django_prodserver.backends.uvicorn import workers

        # The parent of several workers binds before it starts them, and a single
        # process loads the application: load_app(), or load() before uvicorn 0.41.
        load_app = "load_app" if hasattr(Config, "load_app") else "load"
        moments = [(Config, "bind_socket"), (Config, load_app)]

        def load_as_in_worker() -> None:
            if self.forks(args):
                workers.make_path_absolute()
            load()

        # Patches uvicorn, checked with 0.54: https://github.com/Kludex/uvicorn/pull/3031
        hooks.call_before_first(moments, load_as_in_worker)

    def prepare(self, args: Sequence[str]) -> str:
        """Fork the workers from this process, if there are several."""
        from django_prodserver.backends.uvicorn import shutdown, workers

        if self.forks(args) and not workers.fork_workers():
            return "this release of uvicorn starts its workers differently"
        shutdown.close_listeners_on_stop()
        return ""

    def import_application(self, target: str) -> None:
        """
        Import the application; exit if that fails.

        On its own, uvicorn endlessly restarts several workers that cannot import it.
        """
        try:
            super().import_application(target)
        except Exception:
            traceback.print_exc()
            sys.exit(STARTUP_FAILURE)

    def addresses(self, args: Sequence[str]) -> tuple[str, ...]:
        if path := self.option("uds", args):
            return (addresses.unix(path),)
        if descriptor := self.option("fd", args):
            is_number = descriptor.isdecimal()
            return addresses.of_descriptor(int(descriptor)) if is_number else ()
        host = self.option("host", args) or "127.0.0.1"
        return (addresses.tcp(host, self.option("port", args) or 8000),)

    def speaks_tls(self, args: Sequence[str]) -> bool:
        return bool(self.option("ssl-certfile", args))

    def development_options(self) -> dict[str, object]:
        return {"workers": 1}

    def clean_exit_code(self, signum: int, args: Sequence[str]) -> int:
        # A single process raises SIGTERM again after its shutdown.
        if signum == signal.SIGTERM and not self.forks(args):
            return -signal.SIGTERM
        return 0

    def cut_exit_code(self, args: Sequence[str]) -> int:
        return self.clean_exit_code(signal.SIGTERM, args)


class UvicornWSGIServer(UvicornServer):
    """
    Serve ``WSGI_APPLICATION`` with Uvicorn, each request in a thread.

    Uvicorn's own ``--interface wsgi`` is deprecated in favour of a2wsgi. This
    wraps the application in a2wsgi's ``WSGIMiddleware`` and serves it as ASGI
    (``backends.served.wsgi_as_asgi``), with ``THREADS`` threads.
    """

    interface = "wsgi"
    keys = {**UvicornServer.keys, "THREADS": ""}
    native_attributes: ClassVar[Mapping[str, object]] = {
        "defaults": {
            **UvicornServer.defaults,
            "interface": Resolved("wsgi", "uvicorn's own adapter"),
        },
    }

    def context(self, args: Sequence[str], process: str) -> Context | None:
        context = super().context(args, process)
        threads = int(self.resolve("THREADS").value)
        return context and dataclasses.replace(context, threads=threads)

    def served_module(self, args: Sequence[str]) -> str:
        return "" if self.is_native else "wsgi_as_asgi"

    def required_modules(self) -> tuple[str, ...]:
        return (*super().required_modules(), "a2wsgi")
