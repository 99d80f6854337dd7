"""Uvicorn."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import ClassVar

from django_prodserver.arguments import value_of
from django_prodserver.backends.base import GRACEFUL_TIMEOUT
from django_prodserver.backends.web import Interface, WebBackend


class UvicornServer(WebBackend):
    """Serve ``ASGI_APPLICATION`` with Uvicorn."""

    script = "uvicorn"
    package = "uvicorn"
    extra = "uvicorn"
    table = "uvicorn"
    interface: ClassVar[Interface] = "asgi"
    keys = {"GRACEFUL_TIMEOUT": "timeout-graceful-shutdown"}
    defaults = {
        # Django speaks no lifespan: "auto" is a failed attempt at each start.
        "lifespan": "off",
        # Natively a stop waits for ever.
        "timeout-graceful-shutdown": GRACEFUL_TIMEOUT,
    }
    env_prefix = "UVICORN_"

    def must_exec(self, args: Sequence[str]) -> bool:
        """Tell whether it spawns: new interpreters, that load everything again."""
        if value_of("reload", args, self.grammar) is not None:
            return True
        workers = value_of("workers", args, self.grammar)
        for variable in ("UVICORN_WORKERS", "WEB_CONCURRENCY"):
            workers = workers or os.environ.get(variable)
        return workers not in (None, "", "1")

    def solo(self) -> dict[str, object]:
        return {"workers": 1}


class UvicornWSGIServer(UvicornServer):
    """
    Serve ``WSGI_APPLICATION`` with Uvicorn, each request in a thread.

    Uvicorn's own ``--interface wsgi`` is deprecated in favour of a2wsgi. This
    is a2wsgi's ``WSGIMiddleware`` around your application, on Uvicorn's ASGI
    side (``django_prodserver.servers.wsgi``); it has 10 threads a process.
    """

    interface = "wsgi"

    def application(self, args: Sequence[str]) -> str:
        super().application(args)  # for its errors: the adapter finds it by itself
        return self.target or "django_prodserver.servers.wsgi:application"

    def with_static_files(self, args: Sequence[str]) -> None:
        self.target = "django_prodserver.servers.static:wsgi_as_asgi"
