"""Gunicorn."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import ClassVar

from django_prodserver.backends import addresses, hooks
from django_prodserver.backends.elsewhere import Elsewhere
from django_prodserver.backends.gunicorn import obstacles
from django_prodserver.backends.introspection import OptionFile
from django_prodserver.backends.web import Interface, WebBackend
from django_prodserver.config import bind
from django_prodserver.config.argv import value_of, values_of
from django_prodserver.config.bind import Bind, split_host_port
from django_prodserver.config.keys import Resolved, Translation
from django_prodserver.process.fork_safety import restore_signals_in_children

_VARIABLE = "GUNICORN_CMD_ARGS"


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
    reader = Path(__file__).with_name("reader.py")
    abbreviates = True
    interface = "wsgi"
    sockets = ("bind",)
    access_logger = "gunicorn.access"
    # "uvicorn" is the logger of uvicorn_worker.UvicornWorker.
    server_loggers = ("gunicorn", "uvicorn")
    proxies_option = "forwarded-allow-ips"
    proxies_variable = "FORWARDED_ALLOW_IPS"
    debug_options = ("reload", "spew", "check-config")
    windows_way_out = (
        "Use Waitress on Windows: "
        '"BACKEND": "django_prodserver.backends.waitress.WaitressServer"'
    )
    variables = (_VARIABLE, "FORWARDED_ALLOW_IPS")
    keys = {
        **WebBackend.keys,
        # By default Gunicorn trusts 127.0.0.1, for the scheme only, and before us.
        "TRUSTED_PROXIES": lambda backend, value: {"forwarded-allow-ips": ""},
        "WORKERS": "workers",
        "THREADS": lambda backend, value: backend.thread_options(value),
        "TIMEOUT": "timeout",
        "KEEP_ALIVE": "keep-alive",
        "MAX_REQUESTS": "max-requests",
        "CERTFILE": "certfile",
        "KEYFILE": "keyfile",
    }

    native_keys: ClassVar[Mapping[str, Translation]] = {
        "TRUSTED_PROXIES": lambda backend, value: {
            "forwarded-allow-ips": ",".join(value)
        },
    }

    def windows_obstacle(self) -> str:
        return "gunicorn forks its workers"

    def default_options(self) -> Mapping[str, Resolved]:
        options = {}
        if not self.values("control-socket", self.written):
            why = (
                "Gunicorn keeps one control socket per user: instances delete each "
                "other's, and it logs an error if HOME is not writable"
            )
            options["no-control-socket"] = Resolved(True, why)
        options |= super().default_options()
        if os.access("/dev/shm", os.W_OK):  # noqa: S108  # gunicorn makes it safe
            why = "workers update a file there every second, and a disk may block"
            options["worker-tmp-dir"] = Resolved("/dev/shm", why)  # noqa: S108
        return options

    def thread_options(self, threads: int) -> Mapping[str, object]:
        """
        Return the option for THREADS.

        Our default only applies if no worker class is chosen: it would turn "sync"
        into "gthread", and the other worker classes ignore it.
        """
        is_class_chosen = bool(self.values("worker-class", self.written))
        if is_class_chosen and "THREADS" not in self.config:
            return {}
        return {"threads": threads}

    def log_options(self) -> Mapping[str, object]:
        """Return the option for our logger, unless gunicorn's logging is configured."""
        configs = ("log-config", "log-config-json", "logconfig-dict")
        if any(self.values(option, self.written) for option in configs):
            return {}
        return {"logger-class": "django_prodserver.backends.gunicorn.logger.Logger"}

    def request_concurrency(self, args: Sequence[str]) -> int | None:
        if self.worker_class(args) not in ("sync", "gthread"):
            return None
        threads = self.option("threads", args) or "1"
        return int(threads) if threads.isdecimal() else 1

    def bind_options(self, binds: Sequence[Bind]) -> Mapping[str, object]:
        return {"bind": [bind.text for bind in binds]}

    def interface_for(self, args: Sequence[str]) -> Interface:
        worker = self.worker_class(args)
        speaks_asgi = worker == "asgi" or "uvicorn" in worker or "gasgi" in worker
        return "asgi" if speaks_asgi else "wsgi"

    def address_options(self, host: str, port: str) -> Mapping[str, object]:
        return {"bind": bind.join_host_port(host, port)}

    def forks(self, args: Sequence[str]) -> bool:
        # With --preload, the native command forks the loaded application, too.
        return not self.is_on("preload", args)

    def call_before_fork(self, args: Sequence[str], load: Callable[[], None]) -> None:
        from gunicorn.app.base import BaseApplication
        from gunicorn.arbiter import Arbiter

        # After the configuration and the on_starting hook, before it listens; with
        # --preload, where Gunicorn itself loads the application.
        moments = [(Arbiter, "init_signals"), (BaseApplication, "wsgi")]
        # Patches gunicorn, checked with 27.0: no hook before it listens.
        hooks.call_before_first(moments, load)

    def prepare(self, args: Sequence[str]) -> str:
        """Make workers stoppable from their start, and make them drain at a stop."""
        from django_prodserver.backends.gunicorn import upgrade

        upgrade.start_with_launcher()
        restore_signals_in_children()
        if self.worker_class(args) in ("gthread", "sync"):
            from django_prodserver.backends.gunicorn import shutdown, slow_clients

            shutdown.drain_sockets_on_stop()
            slow_clients.disconnect_on_stop()
        elif self.worker_class(args) == "asgi":
            from django_prodserver.backends.gunicorn import slow_clients

            slow_clients.close_asgi_connections_on_stop()
        elif "uvicorn" in self.worker_class(args):
            from django_prodserver.backends.uvicorn import shutdown as of_uvicorn

            of_uvicorn.close_listeners_on_stop()
        return ""

    def worker_class(self, args: Sequence[str]) -> str:
        return self.option("worker-class", args) or "sync"

    def addresses(self, args: Sequence[str]) -> tuple[str, ...]:
        # Gunicorn uses systemd's sockets if there are any.
        if found := addresses.from_systemd():
            return found
        binds = [bind for bind in self.values("bind", args) if bind]
        port = os.environ.get("PORT", "")
        default = f"0.0.0.0:{port}" if port else "127.0.0.1:8000"
        return tuple(each for bind in binds or [default] for each in _addresses(bind))

    def inherits_socket(self) -> bool:
        return True

    def speaks_tls(self, args: Sequence[str]) -> bool:
        return bool(self.option("certfile", args) or self.option("keyfile", args))

    def development_options(self) -> dict[str, object]:
        return {"workers": 1}

    def finishes_on(self, signum: int, args: Sequence[str]) -> bool:
        # SIGINT is a quick stop, on which few worker classes finish their requests.
        # With several threads, gunicorn replaces "sync" by "gthread".
        worker = self.worker_class(args)
        threads = self.option("threads", args) or "1"
        is_threaded = worker == "gthread" or (worker == "sync" and threads != "1")
        return signum != signal.SIGINT or is_threaded or "uvicorn" in worker

    def configuration_words(self, args: Sequence[str]) -> list[str] | None:
        words = []
        if config := value_of("config", args, self.option_table):
            words.append(f"--config={config}")
        worker = value_of("worker-class", args, self.option_table) or ""
        # A class of the user's may be one of gevent.
        if "." in worker and not worker.startswith(("gunicorn.", "uvicorn")):
            words.append(f"--worker-class={worker}")
        is_default = Path("gunicorn.conf.py").exists()
        if not (words or is_default or self._variables().get(_VARIABLE)):
            return None
        # They replace the file's raw_env.
        variables = values_of("env", args, self.option_table)
        return [*words, *(f"--env={variable}" for variable in variables)]

    def configured_elsewhere(self, args: Sequence[str]) -> Mapping[str, Elsewhere]:
        found = dict(super().configured_elsewhere(args))
        for name, setting in found.items():
            # As the option, which differs from the file's name: --keep-alive.
            if self.option_table.knows(name):
                on = self.option_table.find(name)[0].on
                found[name] = setting._replace(name=on or setting.name)
        return found

    def server_environment(
        self, args: Sequence[str], given: Mapping[str, str]
    ) -> Mapping[str, str]:
        options = obstacles.variables(self, args)
        return {
            **super().server_environment(args, given),
            **{name: text for name, text in options.items() if name not in given},
        }

    def obstacles(self, args: Sequence[str]) -> Iterator[str]:
        yield from super().obstacles(args)
        yield from obstacles.find(self, args)


def _addresses(bind: str) -> tuple[str, ...]:
    """Return the address of ``--bind``; none if it is not known."""
    if bind.startswith("fd://"):
        number = bind.removeprefix("fd://")
        return addresses.of_descriptor(int(number)) if number.isdecimal() else ()
    if bind.startswith("unix:"):
        return (addresses.unix(bind.removeprefix("unix:").removeprefix("//")),)
    return (addresses.tcp(*split_host_port(bind.removeprefix("tcp://"), "8000")),)
