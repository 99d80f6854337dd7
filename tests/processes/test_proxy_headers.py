"""ROOT_PATH and TRUSTED_PROXIES: the same on every server."""

from __future__ import annotations

import json
import urllib.request
from typing import Any

import pytest

from tests import servers
from tests.conftest import Starter
from tests.harness import MANAGE, SCRIPT, Web, running

SERVERS = (
    "gunicorn",
    "gunicorn-asgi",
    "uvicorn",
    "uvicorn-wsgi",
    "granian-asgi",
    "granian-wsgi",
    "waitress",
)
SETTINGS = {"ROOT_URLCONF": "proj.logged"}
FORWARDED = {
    "X-Forwarded-For": "9.9.9.9, 203.0.113.7, 127.0.0.1",
    "X-Forwarded-Proto": "https",
    "X-Forwarded-Host": "shop.example",
    "Forwarded": "for=9.9.9.9",
}


def entry(server: str, port: int, **keys: Any) -> dict[str, Any]:
    name, _, kind = server.partition("-")
    if (name, kind) == ("gunicorn", "asgi"):
        return servers.config(name, port, {"worker-class": "asgi"}, **keys)
    return servers.config(server, port, **keys)


def ask(web: Web, path: str) -> dict[str, Any]:
    url = f"http://127.0.0.1:{web.port}{path}"
    request = urllib.request.Request(url, headers=FORWARDED)
    with urllib.request.urlopen(request, timeout=30) as answer:
        return dict(json.loads(answer.read()))


@pytest.mark.process
@pytest.mark.parametrize("server", SERVERS)
class TestServers:
    def test_a_proxy_is_believed_and_may_leave_the_prefix(
        self, start: Starter, port: int, server: str
    ) -> None:
        config = entry(
            server, port, ROOT_PATH="/shop", TRUSTED_PROXIES=["127.0.0.0/8", "::1"]
        )
        web = start.web(config, port=port, via=SCRIPT, settings=SETTINGS)
        expected = {
            "scheme": "https",
            "client": "203.0.113.7",
            "path": "/shop/seen",
            "path_info": "/seen",
            "reverse": "/shop/seen",
        }
        for path in ("/shop/seen", "/seen"):
            found = ask(web, path)
            assert "HTTP_X_FORWARDED_HOST" in found.pop("forwarded")
            assert found == expected
        web.stop()
        assert "GET /shop/seen 200" in web.output
        assert "client=203.0.113.7" in web.output

    def test_nobody_else_is(self, start: Starter, port: int, server: str) -> None:
        """Natively too, as --dry-run prints it; not even with headers that pass."""
        config = entry(server, port, TRUSTED_PROXIES=["10.0.0.0/8"])
        env = start.environment({"web": config}, SETTINGS)
        printed = running([*MANAGE, "web", "--dry-run"], env=env).stdout
        web: Web = start.process(["sh", "-c", f"exec env {printed}"], env, kind=Web)
        web.port = port
        web.wait_until_ready()
        assert ask(web, "/seen") == {
            "scheme": "http",
            "client": "127.0.0.1",
            "path": "/seen",
            "path_info": "/seen",
            "reverse": "/seen",
            "forwarded": [],
        }


@pytest.mark.process
def test_what_another_process_was_told_is_not_for_this_one(
    start: Starter, port: int
) -> None:
    """One that a process with these keys starts has them in its environment."""
    keys = {"ROOT_PATH": "/shop", "TRUSTED_PROXIES": ["*"]}
    web = start.web(entry("waitress", port, **keys), port=port, settings=SETTINGS)
    assert ask(web, "/seen")["client"] == "9.9.9.9"
    inherited = web.about()["environ"]
    private = {k: v for k, v in inherited.items() if k.startswith("_PRODSERVER")}
    assert private
    web.stop()
    other = start.web(entry("gunicorn", port), port=port, settings=SETTINGS, **private)
    found = ask(other, "/seen")
    assert found["client"] == "127.0.0.1"
    assert found["path"] == "/seen"
