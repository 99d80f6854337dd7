"""Hypercorn."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import ClassVar

from django_prodserver.backends import addresses, hooks
from django_prodserver.backends.introspection import OptionFile
from django_prodserver.backends.web import Interface, WebBackend
from django_prodserver.config.argv import value_of
from django_prodserver.config.bind import Bind, join_host_port, split_host_port
from django_prodserver.config.context import Context
from django_prodserver.config.keys import Translation, Unsupported
from django_prodserver.exceptions import ConfigurationError, Fault
from django_prodserver.process.deadline import UNFINISHED
from django_prodserver.process.logging_state import LoggingState

# Names of options in a configuration file, if they differ from the option's own.
_ATTRIBUTES = {
    "access-logfile": "accesslog",
    "access-logformat": "access_log_format",
    "error-logfile": "errorlog",
    "keep-alive": "keep_alive_timeout",
    "log-config": "logconfig",
    "log-level": "loglevel",
    "pid": "pid_path",
    "reload": "use_reloader",
    "server-name": "server_names",
}


class HypercornServer(WebBackend):
    """
    Serve ``ASGI_APPLICATION`` with Hypercorn.

    It runs our command ``prodserver-hypercorn``, which accepts the options of
    ``hypercorn``. The latter drops requests when it stops several workers, and
    exits with 0 when the application cannot be imported (hypercorn 0.18).
    """

    title = "Hypercorn"
    script = "prodserver-hypercorn"
    package = "hypercorn"
    extra = "hypercorn"
    option_file = OptionFile(__package__)
    abbreviates = True
    reader = Path(__file__).with_name("reader.py")
    interface: ClassVar[Interface] = "asgi"
    wsgi_alternative = "django_prodserver.backends.hypercorn.HypercornWSGIServer"
    sockets = ("bind",)
    access_logger = "hypercorn.access"
    server_loggers = ("hypercorn",)
    windows_way_out = (
        "Use Uvicorn on Windows: "
        '"BACKEND": "django_prodserver.backends.uvicorn.UvicornServer"'
    )
    native_attributes: ClassVar[Mapping[str, object]] = {"script": "hypercorn"}
    keys: ClassVar[Mapping[str, Translation]] = {
        **WebBackend.keys,
        "WORKERS": "workers",
        "THREADS": Unsupported(
            "an event loop accepts every request, and each view that is not async "
            "runs in its own thread"
        ),
        "TIMEOUT": Unsupported("hypercorn cannot detect a hung worker; use a probe"),
        "KEEP_ALIVE": "keep-alive",
        "MAX_REQUESTS": Unsupported(
            "hypercorn drops connections when it replaces a worker; replace the "
            "container"
        ),
        "CERTFILE": "certfile",
        "KEYFILE": "keyfile",
    }

    def windows_obstacle(self) -> str:
        return "stopping several workers needs signals that Windows lacks"

    def bind_options(self, binds: Sequence[Bind]) -> Mapping[str, object]:
        return {"bind": [bind.text for bind in binds]}

    def address_options(self, host: str, port: str) -> Mapping[str, object]:
        return {"bind": join_host_port(host, port)}

    def command(self, args: Sequence[str]) -> list[str]:
        # Name the interface: hypercorn mistakes an ASGI application for a WSGI one
        # if a wrapper hides that it is a coroutine function.
        return [self.script, f"{self.interface}:{self.application(args)}", *args]

    def serve_static_files(self, args: Sequence[str]) -> None:
        # Hypercorn evaluates the name in the module's namespace, not by __getattr__.
        module = "django_prodserver.backends.static_files"
        self.target = f"{module}:__getattr__('{self.interface}')"

    def forks(self, args: Sequence[str]) -> bool:
        # With 0 workers, a single process serves.
        return self.option("workers", args) != "0"

    def call_before_fork(self, args: Sequence[str], load: Callable[[], None]) -> None:
        from django_prodserver.backends.hypercorn import runner

        hooks.call_before_first([(runner, "run")], load)

    def defer_logging(self, args: Sequence[str], before: LoggingState) -> None:
        """Do nothing: Hypercorn itself configures logging after the application."""

    def addresses(self, args: Sequence[str]) -> tuple[str, ...]:
        binds = [bind or "" for bind in self.values("bind", args)]
        default = "127.0.0.1:8000"
        return tuple(each for bind in binds or [default] for each in _addresses(bind))

    def speaks_tls(self, args: Sequence[str]) -> bool:
        return all(self.option(name, args) for name in ("certfile", "keyfile"))

    def development_options(self) -> dict[str, object]:
        return {"workers": 1}

    def cut_exit_code(self, args: Sequence[str]) -> int:
        return UNFINISHED

    def configuration_words(self, args: Sequence[str]) -> list[str] | None:
        config = value_of("config", args, self.option_table)
        return [config] if config else None

    def option_of(self, setting: str) -> str:
        by_attribute = {attribute: name for name, attribute in _ATTRIBUTES.items()}
        return by_attribute.get(setting) or super().option_of(setting)


class HypercornWSGIServer(HypercornServer):
    """Serve ``WSGI_APPLICATION`` with Hypercorn, each request in a thread."""

    interface = "wsgi"
    # Hypercorn has no option for it; its number of threads depends on the CPUs.
    keys = {**HypercornServer.keys, "THREADS": ""}

    def served_module(self, args: Sequence[str]) -> str:
        # ``WSGIApplication`` changes the requests, before Hypercorn makes WSGI's
        # variables out of the headers.
        return ""

    def check(self) -> Iterator[ConfigurationError]:
        yield from super().check()
        # Hypercorn then starts its own workers, which ``WSGIApplication`` is not in.
        is_trio = self.option("worker-class", self.args) == "trio"
        own = "worker-class trio" if is_trio else "reload"
        if self.changes_requests and (is_trio or self.is_on("reload", self.args)):
            yield ConfigurationError(
                Fault.BAD_VALUE,
                f"Hypercorn's {own} serves a WSGI application without TRUSTED_PROXIES "
                "and ROOT_PATH.",
                "Remove that option, or remove the two keys and let Django read "
                "the headers.",
            )

    def serve_static_files(self, args: Sequence[str]) -> None:
        self.target = "django_prodserver.backends.static_files:application('wsgi')"

    def context(self, args: Sequence[str], process: str) -> Context | None:
        context = super().context(args, process)
        threads = int(self.resolve("THREADS").value)
        return context and dataclasses.replace(context, threads=threads)


def attribute_of(option: str) -> str:
    """Return the name of an option in a configuration file."""
    return _ATTRIBUTES.get(option, option.replace("-", "_"))


def _addresses(bind: str) -> tuple[str, ...]:
    """Return the address of ``--bind``; none if it is not known."""
    if bind.startswith("fd://"):
        number = bind.removeprefix("fd://")
        return addresses.of_descriptor(int(number)) if number.isdecimal() else ()
    if bind.startswith("unix:"):
        return (addresses.unix(bind.removeprefix("unix:")),)
    return (addresses.tcp(*split_host_port(bind, "8000")),)
