"""Uvicorn, with an ASGI application and with a WSGI one."""

from __future__ import annotations

import http.client
import signal
import socket
import time

from tests.backends.contract import WebContract
from tests.backends.sites import WebSite, is_refused
from tests.harness import wait_for


class TestUvicorn(WebContract):
    backend = "uvicorn.UvicornServer"
    variants = {"1": {}, "2": {"WORKERS": 2}}
    import_error_code = address_in_use_code = 3

    def test_a_new_connection_has_time_for_its_first_request(
        self, site: WebSite
    ) -> None:
        web = site.serve()
        slow = web.in_flight("/slow?s=3")
        with socket.create_connection(("127.0.0.1", web.port), 30) as accepted:
            web.process.send_signal(signal.SIGTERM)
            wait_for(lambda: is_refused(web.port), "no listener")
            # Longer than the loop takes to close its listeners, on a busy machine.
            time.sleep(0.3)
            client = http.client.HTTPConnection("127.0.0.1", web.port, timeout=60)
            client.sock = accepted
            client.request("GET", "/about")
            assert client.getresponse().status == 200
        assert slow.result() == "slow done"
        assert web.exits() == site.stop_code


class TestUvicornWSGI(WebContract):
    backend = "uvicorn.UvicornWSGIServer"
    variants = {"1": {}, "2": {"WORKERS": 2}}
    import_error_code = address_in_use_code = 3
