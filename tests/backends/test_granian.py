"""Granian, with an ASGI application and with a WSGI one."""

from __future__ import annotations

from tests.backends.contract import WebContract


class TestGranianASGI(WebContract):
    backend = "granian.GranianASGIServer"
    variants = {"1": {}, "2": {"WORKERS": 2}}
    drops_quiet_connections = variants
    drops_queued_connections = variants
    # Each worker has its own queue and resets it; so does the native command.
    drops_connections_on_sighup = True


class TestGranianWSGI(WebContract):
    backend = "granian.GranianWSGIServer"
    variants = {"1": {}, "2": {"WORKERS": 2}}
    drops_quiet_connections = variants
    drops_queued_connections = variants
    # Each worker has its own queue and resets it; so does the native command.
    drops_connections_on_sighup = True
