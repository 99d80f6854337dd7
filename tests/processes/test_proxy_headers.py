"""What a process is told of its proxies; the contract has what each server does."""

from __future__ import annotations

import json
import urllib.request
from typing import Any

import pytest

from tests.conftest import Starter
from tests.harness import Web
from tests.servers import config

SETTINGS = {"ROOT_URLCONF": "proj.logged"}
FORWARDED = {
    "X-Forwarded-For": "9.9.9.9, 203.0.113.7, 127.0.0.1",
    "X-Forwarded-Proto": "https",
    "X-Forwarded-Host": "shop.example",
    "Forwarded": "for=9.9.9.9",
}


def ask(web: Web, path: str) -> dict[str, Any]:
    url = f"http://127.0.0.1:{web.port}{path}"
    request = urllib.request.Request(url, headers=FORWARDED)
    with urllib.request.urlopen(request, timeout=30) as answer:
        return dict(json.loads(answer.read()))


@pytest.mark.process
def test_what_another_process_was_told_is_not_for_this_one(
    start: Starter, port: int
) -> None:
    """One that a process with these keys starts has them in its environment."""
    keys: dict[str, Any] = {"ROOT_PATH": "/shop", "TRUSTED_PROXIES": ["*"]}
    web = start.web(config("waitress", port, **keys), port=port, settings=SETTINGS)
    assert ask(web, "/seen")["client"] == "9.9.9.9"
    inherited = web.about()["environ"]
    private = {k: v for k, v in inherited.items() if k.startswith("_PRODSERVER")}
    assert private
    web.stop()
    other = start.web(config("gunicorn", port), port=port, settings=SETTINGS, **private)
    found = ask(other, "/seen")
    assert found["client"] == "127.0.0.1"
    assert found["path"] == "/seen"
