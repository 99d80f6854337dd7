"""Waitress."""

from __future__ import annotations

from collections.abc import Sequence

from django_prodserver.backends.base import GRACEFUL_TIMEOUT
from django_prodserver.backends.web import WebBackend


class WaitressServer(WebBackend):
    """
    Serve ``WSGI_APPLICATION`` with Waitress, in one process of several threads.

    The command is ours, ``prodserver-waitress``: it takes the options of
    ``waitress-serve``, which drops the requests it holds when it is stopped
    (Pylons/waitress#198), and stops when they are answered.
    """

    script = "prodserver-waitress"
    package = "waitress"
    extra = "waitress"
    table = "waitress"
    interface = "wsgi"
    # Lists that may not be repeated, of proxy headers, are split at spaces.
    join = " "
    defaults = {"graceful-timeout": GRACEFUL_TIMEOUT}

    def command(self, args: Sequence[str]) -> list[str]:
        # getopt stops at the first word that is no option.
        return [self.script, *args, self.application(args)]
