"""Gunicorn."""

from __future__ import annotations

import os
import shlex
import signal
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from django_prodserver.backends import addresses, hooks
from django_prodserver.backends.introspection import OptionFile
from django_prodserver.backends.web import Interface, WebBackend
from django_prodserver.config import bind
from django_prodserver.config.argv import render, value_of, values_of
from django_prodserver.config.bind import Bind, split_host_port
from django_prodserver.config.keys import Resolved
from django_prodserver.process.fork_safety import restore_signals_in_children


class GunicornServer(WebBackend):
    """
    Serve with Gunicorn: WSGI, or ASGI if the worker class speaks it.

    ``"worker-class": "asgi"`` (gunicorn's own) and
    ``"uvicorn_worker.UvicornWorker"`` get ``ASGI_APPLICATION``, every other
    worker class ``WSGI_APPLICATION``.
    """

    title = "Gunicorn"
    script = "gunicorn"
    package = "gunicorn"
    extra = "gunicorn"
    option_file = OptionFile(__package__)
    interface = "wsgi"
    sockets = ("bind",)
    access_logger = "gunicorn.access"
    # "uvicorn" is the logger of uvicorn_worker.UvicornWorker.
    server_loggers = ("gunicorn", "uvicorn")
    proxies_option = "forwarded-allow-ips"
    proxies_variable = "FORWARDED_ALLOW_IPS"
    debug_options = ("reload", "spew", "check-config")
    variables = ("GUNICORN_CMD_ARGS", "FORWARDED_ALLOW_IPS")
    keys = {
        **WebBackend.keys,
        # Gunicorn trusts them for the scheme only; 127.0.0.1 is its default.
        "TRUSTED_PROXIES": lambda backend, value: {
            "forwarded-allow-ips": ",".join(value)
        },
        "WORKERS": "workers",
        "THREADS": lambda backend, value: backend.thread_options(value),
        "TIMEOUT": "timeout",
        "KEEP_ALIVE": "keep-alive",
        "MAX_REQUESTS": "max-requests",
        "CERTFILE": "certfile",
        "KEYFILE": "keyfile",
    }

    def default_options(self) -> Mapping[str, Resolved]:
        options = {
            "no-control-socket": Resolved(
                True,
                "one file for all of a user's gunicorns, which remove each other's, "
                "and an error line where the home cannot be written",
            ),
            **super().default_options(),
        }
        if os.access("/dev/shm", os.W_OK):  # noqa: S108  # gunicorn makes it safe
            why = "a worker writes there all the time, and a disk may let it wait"
            options["worker-tmp-dir"] = Resolved("/dev/shm", why)  # noqa: S108
        return options

    def thread_options(self, threads: int) -> Mapping[str, object]:
        """
        Return the option for THREADS.

        Our default only applies if no worker class is chosen: it would turn "sync"
        into "gthread", and the other worker classes ignore it.
        """
        args = self._configured()
        is_class_chosen = self._value("worker-class", args) is not None or (
            "worker_class" in self._config_file(args)
        )
        if is_class_chosen and "THREADS" not in self.config:
            return {}
        return {"threads": threads}

    def log_options(self) -> Mapping[str, object]:
        """Return the option for our logger, unless gunicorn's logging is configured."""
        args = self._configured()
        configs = ("log-config", "log-config-json")
        is_configured = any(self._value(option, args) is not None for option in configs)
        if is_configured or "logconfig" in self._config_file(args):
            return {}
        return {"logger-class": "django_prodserver.backends.gunicorn.logger.Logger"}

    def request_concurrency(self, args: Sequence[str]) -> int | None:
        if (self._value("worker-class", args) or "sync") not in ("sync", "gthread"):
            return None
        threads = self._value("threads", args) or "1"
        return int(threads) if threads.isdecimal() else 1

    def bind_options(self, binds: Sequence[Bind]) -> Mapping[str, object]:
        return {"bind": [bind.text for bind in binds]}

    def interface_for(self, args: Sequence[str]) -> Interface:
        worker = self._value("worker-class", args) or ""
        speaks_asgi = worker == "asgi" or "uvicorn" in worker or "gasgi" in worker
        return "asgi" if speaks_asgi else "wsgi"

    def address_options(self, host: str, port: str) -> Mapping[str, object]:
        return {"bind": bind.join_host_port(host, port)}

    def forks(self, args: Sequence[str]) -> bool:
        # With --preload, the native command forks the loaded application, too.
        return self._value("preload", args) is None

    def call_before_fork(self, args: Sequence[str], load: Callable[[], None]) -> None:
        from gunicorn.app.base import BaseApplication
        from gunicorn.arbiter import Arbiter

        # After the configuration and the on_starting hook, before it listens; with
        # --preload, where Gunicorn itself loads the application.
        moments = [(Arbiter, "init_signals"), (BaseApplication, "wsgi")]
        hooks.call_before_first(moments, load)

    def prepare(self, args: Sequence[str]) -> str:
        """Make workers stoppable from their start, and make them drain at a stop."""
        restore_signals_in_children()
        if self._value("worker-class", args) in (None, "gthread", "sync"):
            from django_prodserver.backends.gunicorn import shutdown

            shutdown.drain_sockets_on_stop()
        return ""

    def must_exec(self, args: Sequence[str]) -> bool:
        """
        Tell whether gunicorn must load the application itself.

        gevent and eventlet must patch the standard library before the application
        is imported, and --reload must be able to import it again.
        """
        if self._value("reload", args) is not None:
            return True
        worker = self._value("worker-class", args) or self._config_file(args)
        return "gevent" in worker or "eventlet" in worker

    def addresses(self, args: Sequence[str]) -> tuple[str, ...]:
        binds = values_of("bind", args, self.option_table)
        binds = binds or values_of("bind", self._environment(), self.option_table)
        if not binds and "bind" in self._config_file(args):
            return ()
        port = os.environ.get("PORT", "")
        default = f"0.0.0.0:{port}" if port else "127.0.0.1:8000"
        return tuple(
            addresses.unix(bind.removeprefix("unix:").removeprefix("//"))
            if bind.startswith("unix:")
            else addresses.tcp(*split_host_port(bind.removeprefix("tcp://"), "8000"))
            for bind in binds or [default]
            if bind and not bind.startswith("fd://")
        )

    def speaks_tls(self, args: Sequence[str]) -> bool:
        return bool(self._value("certfile", args) or self._value("keyfile", args))

    def development_options(self) -> dict[str, object]:
        return {"workers": 1}

    def finishes_on(self, signum: int, args: Sequence[str]) -> bool:
        # SIGINT is a quick stop, on which few worker classes finish their requests.
        # With several threads, gunicorn replaces "sync" by "gthread".
        worker = self._value("worker-class", args) or "sync"
        threads = self._value("threads", args) or "1"
        is_threaded = worker == "gthread" or (worker == "sync" and threads != "1")
        return signum != signal.SIGINT or is_threaded or "uvicorn" in worker

    def given_elsewhere(self, option: str) -> bool:
        setting = option.removeprefix("no-").replace("-", "_")
        given = value_of(option, self._environment(), self.option_table)
        return given is not None or setting in self._config_file(self._configured())

    def _value(self, option: str, args: Sequence[str]) -> str | None:
        given = value_of(option, args, self.option_table)
        if given is None:
            given = value_of(option, self._environment(), self.option_table)
        return given

    def _environment(self) -> list[str]:
        try:
            return shlex.split(os.environ.get("GUNICORN_CMD_ARGS", ""))
        except ValueError:  # gunicorn rejects it too, with its own message
            return []

    def _configured(self) -> list[str]:
        return render(self.config.get("ARGS", {}), self.option_table)

    def _config_file(self, args: Sequence[str]) -> str:
        # A Python file, read as text, because only gunicorn may run it. If it merely
        # mentions gevent, the cost is a start without preloading.
        given = self._value("config", args) or "gunicorn.conf.py"
        path = Path(given.removeprefix("file:"))
        return path.read_text(errors="replace") if path.is_file() else ""
