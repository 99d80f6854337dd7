"""Granian."""

from __future__ import annotations

import multiprocessing
import sys
from collections.abc import Sequence
from typing import ClassVar

from django_prodserver.arguments import value_of
from django_prodserver.backends.base import GRACEFUL_TIMEOUT
from django_prodserver.backends.web import WebBackend
from django_prodserver.sharing import stop_forks_at_once


class _GranianServer(WebBackend):
    script = "granian"
    package = "granian"
    extra = "granian"
    table = "granian"
    keys: ClassVar = {"GRACEFUL_TIMEOUT": "workers-kill-timeout"}
    env_prefix = "GRANIAN_"

    def must_exec(self, args: Sequence[str]) -> bool:
        return value_of("reload", args, self.grammar) is not None

    def forks(self, args: Sequence[str]) -> bool:
        return True

    def prepare(self, args: Sequence[str]) -> str:
        """Make the workers forks, that can be stopped from their first moment."""
        if sys.version_info >= (3, 14):
            # Granian follows multiprocessing's default, a fork until 3.14.
            multiprocessing.set_start_method("fork", force=True)
        stop_forks_at_once()
        return ""

    def solo(self) -> dict[str, object]:
        return {"workers": 1}


class GranianASGIServer(_GranianServer):
    """Serve ``ASGI_APPLICATION`` with Granian."""

    interface = "asgi"
    defaults = {
        # ASGI without lifespan, of which Django speaks none.
        "interface": "asginl",
        "workers-kill-timeout": GRACEFUL_TIMEOUT,
    }


class GranianWSGIServer(_GranianServer):
    """Serve ``WSGI_APPLICATION`` with Granian."""

    interface = "wsgi"
    defaults = {
        "interface": "wsgi",
        # Natively there is none, and a worker that misses the signal (10 % of
        # stops under load, granian 2.8) is waited for without end.
        "workers-kill-timeout": GRACEFUL_TIMEOUT,
    }
