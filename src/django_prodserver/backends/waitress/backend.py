"""Waitress."""

from __future__ import annotations

import pkgutil
from collections.abc import Callable, Iterator, Mapping, Sequence
from types import SimpleNamespace
from typing import TYPE_CHECKING, ClassVar

from django_prodserver.backends import addresses, hooks
from django_prodserver.backends.introspection import OptionFile
from django_prodserver.backends.web import WebBackend
from django_prodserver.config.argv import drop, values_of
from django_prodserver.config.bind import Bind, split_host_port
from django_prodserver.config.keys import Unsupported
from django_prodserver.process.deadline import UNFINISHED

if TYPE_CHECKING:
    from django.core.checks import CheckMessage


class WaitressServer(WebBackend):
    """
    Serve ``WSGI_APPLICATION`` with Waitress, in one process of several threads.

    It runs our own command ``prodserver-waitress``, which takes the options of
    ``waitress-serve``. That one drops the requests in progress at a stop
    (Pylons/waitress#198); ours answers them first.
    """

    title = "Waitress"
    script = "prodserver-waitress"
    package = "waitress"
    extra = "waitress"
    option_file = OptionFile(__package__)
    interface = "wsgi"
    abbreviates = True
    # The list of proxy headers may not be repeated; waitress splits it at spaces.
    join = " "
    sockets = ("listen", "unix-socket")
    proxies_option = "trusted-proxy"
    debug_options = ("expose-tracebacks",)
    server_loggers = ("waitress",)
    #: Options that the command does not have.
    removed_options: ClassVar[tuple[str, ...]] = ()
    native_attributes = {
        "script": "waitress-serve",
        "removed_options": ("graceful-timeout",),
    }
    # One is an option of our command, the other needs our middleware.
    native_keys = {"GRACEFUL_TIMEOUT": "", "TRUSTED_PROXIES": ""}
    keys = {
        **WebBackend.keys,
        "LOG_LEVEL": "",
        # Otherwise waitress deletes the headers before our middleware reads them.
        "TRUSTED_PROXIES": lambda backend, value: {
            "no-clear-untrusted-proxy-headers": True
        },
        "WORKERS": Unsupported("waitress is one process; use THREADS"),
        "THREADS": "threads",
        "TIMEOUT": Unsupported("waitress cannot detect a hung thread; use a probe"),
        # On its own, waitress checks for idle connections every 30 s.
        "KEEP_ALIVE": lambda backend, value: {
            "channel-timeout": value,
            "cleanup-interval": min(value, 30),
        },
        "MAX_REQUESTS": Unsupported("waitress is one process; replace the container"),
        "CERTFILE": Unsupported("waitress does not support TLS; use a proxy"),
        "KEYFILE": Unsupported("waitress does not support TLS; use a proxy"),
    }

    def bind_options(self, binds: Sequence[Bind]) -> Mapping[str, object]:
        if any(bind.fd for bind in binds):
            raise self.cannot_bind(binds, "cannot use a socket that is already open")
        if len(binds) == 1:
            bind = binds[0]
            if bind.path:
                return {"unix-socket": bind.path}
            return self.address_options(bind.host, bind.port)
        if any(bind.path for bind in binds):
            raise self.cannot_bind(binds, "listens on one socket or on addresses")
        return {"listen": [bind.text for bind in binds]}

    def addresses(self, args: Sequence[str]) -> tuple[str, ...]:
        if path := self.option("unix-socket", args):
            return (addresses.unix(path),)
        given = [words or "" for words in values_of("listen", args, self.option_table)]
        if not given:
            host = self.option("host", args) or "0.0.0.0"  # noqa: S104  # waitress's default
            given = [f"{host}:{self.option('port', args) or 8080}"]
        listening = [word for words in given for word in words.split()]
        return tuple(addresses.tcp(*split_host_port(a, "8080")) for a in listening)

    def command(self, args: Sequence[str]) -> list[str]:
        args = drop(args, self.removed_options, self.option_table)
        # getopt stops at the first word that is not an option.
        return [self.script, *args, self.application(args)]

    def call_before_fork(self, args: Sequence[str], load: Callable[[], None]) -> None:
        from waitress import runner

        # Patches waitress, checked with 3.0: no hook before it loads the application.
        # Waitress resolves the application with it; the standard library is unchanged.
        runner.pkgutil = SimpleNamespace(resolve_name=pkgutil.resolve_name)
        hooks.call_before_first([(runner.pkgutil, "resolve_name")], load)

    def deployment_warnings(self) -> Iterator[CheckMessage]:
        from django_prodserver.backends.waitress import deployment

        yield from super().deployment_warnings()
        yield from deployment.deleted_header(self)

    def cut_exit_code(self, args: Sequence[str]) -> int:
        return UNFINISHED
