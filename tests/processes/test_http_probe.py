"""The probe over HTTP, of processes that are used, hang, drain and end."""

from __future__ import annotations

import http.client
import signal
import socket
from typing import Any

import pytest

from tests import servers
from tests.backends.test_long_running import entry
from tests.conftest import Starter
from tests.harness import MANAGE, MODULE, Running, free_port, wait_for

pytestmark = pytest.mark.process
OK = (200, "live\n"), (200, "ready\n")
NOT_READY = (200, "live\n"), (503, "not ready\n")
NEITHER = (503, "not live\n"), (503, "not ready\n")


def ask(port: int, path: str, method: str = "GET") -> tuple[int, str]:
    """Return the status and the body; 0 if nothing listens."""
    client = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
    try:
        client.request(method, path)
        answer = client.getresponse()
        return answer.status, answer.read().decode()
    except ConnectionRefusedError:
        return 0, ""
    finally:
        client.close()


def answers(port: int) -> Any:
    return ask(port, "/live"), ask(port, "/ready")


@pytest.fixture
def probe_port() -> int:
    return free_port()


def start_bot(start: Starter, probe_port: int, way: str, **keys: Any) -> Running:
    bot = start.worker(entry(way, **keys), PRODSERVER_PROBE_PORT=str(probe_port))
    bot.says("running")
    return bot


def test_worker_that_hangs_drains_and_ends(start: Starter, probe_port: int) -> None:
    bot = start_bot(start, probe_port, "beating", HEALTH={"MAX_AGE": 3})
    bot.until(lambda: answers(probe_port) == OK, "live and ready")
    assert ask(probe_port, "/ready?a=1", "HEAD") == (200, "")
    assert ask(probe_port, "/") == (404, "not found\n")
    assert ask(probe_port, "/live", "POST") == (405, "GET\n")
    # Clients that ask for nothing keep nobody away.
    silent = [socket.create_connection(("127.0.0.1", probe_port)) for _ in range(5)]
    assert ask(probe_port, "/live") == (200, "live\n")
    for client in silent:
        client.close()
    (start.data / "hang").touch()
    bot.until(lambda: answers(probe_port) == NEITHER, "neither live nor ready")
    bot.process.kill()
    bot.exits()
    wait_for(lambda: ask(probe_port, "/live") == (0, ""), "nothing listens", 10)


def test_signal_to_the_group_leaves_it_to_answer(
    start: Starter, probe_port: int
) -> None:
    bot = start_bot(start, probe_port, "loop")
    bot.process.send_signal(signal.SIGSTOP)
    bot.until(lambda: answers(probe_port) == NEITHER, "neither live nor ready")
    bot.process.send_signal(signal.SIGCONT)
    bot.signal_all(signal.SIGTERM)
    bot.says("stopping")
    bot.until(lambda: answers(probe_port) == NOT_READY, "draining")
    (start.data / "go").touch()
    assert bot.exits() == 0
    # A supervisor starts it again at once, on the same port.
    again = start_bot(start, probe_port, "loop")
    again.until(lambda: answers(probe_port) == OK, "live and ready")
    assert again.stop() == 0


@pytest.mark.parametrize("via", [MANAGE, MODULE], ids=["manage.py", "-m"])
def test_web_server_is_preloaded_all_the_same(
    start: Starter, port: int, probe_port: int, via: Any
) -> None:
    config = servers.config("gunicorn-2", port)
    web = start.web(config, port=port, via=via, PRODSERVER_PROBE_PORT=str(probe_port))
    web.until(lambda: answers(probe_port) == OK, "live and ready")
    assert "not preloading" not in web.output
    assert web.stop() == 0


def test_port_that_is_none_or_in_use(start: Starter) -> None:
    with socket.create_server(("", 0)) as taken:
        used = str(taken.getsockname()[1])
        for text, message in (
            ("http", "PRODSERVER_PROBE_PORT is 'http' in the environment."),
            ("70000", "PRODSERVER_PROBE_PORT is '70000' in the environment."),
            (used, f"PRODSERVER_PROBE_PORT is {used}, but the probe cannot listen"),
        ):
            worker = start.worker(entry("loop"), PRODSERVER_PROBE_PORT=text)
            assert worker.exits() == 78
            assert message in worker.output
            assert "Traceback" not in worker.output
