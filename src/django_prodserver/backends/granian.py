"""Granian."""

from __future__ import annotations

import multiprocessing
import os
import signal
import sys
from collections.abc import Sequence
from typing import ClassVar

from django_prodserver.arguments import value_of
from django_prodserver.backends.base import GRACEFUL_TIMEOUT
from django_prodserver.backends.web import WebBackend


class _GranianServer(WebBackend):
    script = "granian"
    package = "granian"
    extra = "granian"
    table = "granian"
    forks = True
    keys: ClassVar = {"GRACEFUL_TIMEOUT": "workers-kill-timeout"}
    env_prefix = "GRANIAN_"

    def must_exec(self, args: Sequence[str]) -> bool:
        return value_of("reload", args, self.grammar) is not None

    def prepare(self) -> None:
        """Make the workers forks, that can be stopped from their first moment."""
        if sys.version_info >= (3, 14):
            # Granian follows multiprocessing's default, a fork until 3.14.
            multiprocessing.set_start_method("fork", force=True)
        # A worker inherits the parent's handler, which notes the signal for the
        # parent's loop. Until it has set its own, a stop would be noted where
        # nobody looks, and the worker stay for ever.
        os.register_at_fork(after_in_child=_default_signals)

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


def _default_signals() -> None:
    for signum in (signal.SIGTERM, signal.SIGINT):
        signal.signal(signum, signal.SIG_DFL)
