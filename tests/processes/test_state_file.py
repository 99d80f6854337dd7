"""What the probe knows of a process whose start is not the usual one."""

from __future__ import annotations

import json
import sys
from typing import Any

import pytest

from tests import harness
from tests.conftest import Starter
from tests.harness import MANAGE, Web
from tests.servers import BACKENDS, config

pytestmark = pytest.mark.process

#: Listens on a port and executes a command that inherits the socket. With a second
#: argument that is not "", it sets the variables of systemd.
ACTIVATE = """
import os, socket, sys
listener = socket.create_server(("127.0.0.1", int(sys.argv[1])))
os.dup2(listener.fileno(), 3)
os.set_inheritable(3, True)
if sys.argv[2]:
    os.environ.update(LISTEN_FDS="1", LISTEN_PID=str(os.getpid()))
os.execv(sys.argv[3], sys.argv[3:])
"""


@pytest.mark.parametrize("server", ["gunicorn", "uvicorn", "waitress"])
def test_a_second_start_that_fails_changes_nothing(
    start: Starter, port: int, server: str
) -> None:
    """``docker exec web manage.py prodserver web``: the port is in use."""
    web = start.web(config(server, port), port=port)
    environment = start.environment({"web": config(server, port)})
    second = start.process([*MANAGE, "web"], environment)
    assert second.exits() != 0
    for args in (["web"], ["--live", "web"], []):
        done = start.probe(*args)
        assert done.returncode == 0, done.stdout
    assert web.get("/about")
    assert web.stop() in (0, -15)
    assert start.probe("web").returncode == 1


@pytest.mark.parametrize(
    ("backend", "keys"),
    [
        ("gunicorn.GunicornServer", {"BIND": "127.0.0.1:9"}),
        ("gunicorn.GunicornServer", {"BIND": "fd://3"}),
        ("uvicorn.UvicornServer", {"BIND": "fd://3"}),
        ("hypercorn.HypercornServer", {"BIND": "fd://3"}),
    ],
)
def test_an_inherited_socket_is_asked(
    start: Starter, port: int, backend: str, keys: dict[str, Any]
) -> None:
    entry = {"BACKEND": f"{BACKENDS}.{backend}", **keys}
    # Gunicorn takes systemd's sockets, whatever BIND says, and no socket twice.
    systemd = "" if entry["BIND"] == "fd://3" else "systemd"
    command = [sys.executable, "-c", ACTIVATE, str(port), systemd, *MANAGE, "web"]
    web: Web = start.process(command, start.environment({"web": entry}), kind=Web)
    web.port = port
    web.wait_until_ready()
    answer = harness.wait_for(lambda: start.probe("--json", "web"), "an answer")
    assert answer.returncode == 0, answer.stdout
    assert f"127.0.0.1:{port}" in json.loads(answer.stdout)["reason"]
    assert web.stop() in (0, -15)
