"""Uvicorn, with an ASGI application and with a WSGI one."""

from __future__ import annotations

from tests.backends.contract import WebContract


class TestUvicorn(WebContract):
    backend = "uvicorn.UvicornServer"
    variants = {"1": {}, "2": {"WORKERS": 2}}
    import_error_code = address_in_use_code = 3


class TestUvicornWSGI(WebContract):
    backend = "uvicorn.UvicornWSGIServer"
    variants = {"1": {}, "2": {"WORKERS": 2}}
    import_error_code = address_in_use_code = 3
