"""Gunicorn, with each kind of worker."""

from __future__ import annotations

import contextlib
import os
import re
import signal
import socket
import ssl
import sys
import time
import urllib.request
from pathlib import Path
from typing import Any

import pytest

from tests.backends.contract import WebContract
from tests.backends.sites import Client, WebSite, children
from tests.conftest import Starter
from tests.harness import MODULE, PROJECT, SCRIPT, free_port, wait_for
from tests.servers import BACKENDS

GUNICORN = "gunicorn.GunicornServer"


class TestGunicorn(WebContract):
    backend = GUNICORN
    variants = {
        "1": {},
        "2": {"WORKERS": 2},
        "sync-2": {"WORKERS": 2, "THREADS": 1},
        "sync": {"ARGS": {"worker-class": "sync"}},
        "gthread": {"ARGS": {"worker-class": "gthread"}},
        "asgi-2": {"WORKERS": 2, "ARGS": {"worker-class": "asgi"}},
        "uvicorn-2": {
            "WORKERS": 2,
            "GRACEFUL_TIMEOUT": 5,
            "ARGS": {"worker-class": "uvicorn_worker.UvicornWorker"},
        },
    }
    import_error_code = 3
    # Its busy worker goes on listening, and the idle one waits for half a second only.
    sends_without_a_pause = {"sync-2"}

    def import_error_codes(self, site: WebSite) -> set[int]:
        # Gunicorn's own command ends with 1 as often as with 3 if a second worker
        # fails while it stops because of the first.
        return {3} if site.worker_count == 1 else {1, 3}


@pytest.mark.process
class TestMaxRequests:
    """Workers are replaced after MAX_REQUESTS requests."""

    def test_drops_no_request(self, start: Starter, port: int) -> None:
        """Every request is answered, in the end by two new workers."""
        site = WebSite(start, port, GUNICORN, {"WORKERS": 2})
        web = site.serve(via=SCRIPT, MAX_REQUESTS=20)
        first = web.workers(2)
        answers: list[int] = []

        def others_have_answered() -> bool:
            answers.append(int(web.get("/who?s=0", timeout=30)))
            return len({*answers} - first) >= 2

        web.until(others_have_answered, f"two others than {first}", 60)
        # workers(2) has sent at least eight requests before.
        assert max(map(answers.count, first)) <= 20
        replaced = web.output.count("Autorestarting worker after current request")
        assert replaced >= 2
        assert web.stop() == 0

    @pytest.mark.parametrize("worker_class", ["gthread", "sync"])
    def test_queued_clients_are_served_by_the_next_worker(
        self, start: Starter, port: int, worker_class: str
    ) -> None:
        """The old worker is at its limit, with a slow request and a full queue."""
        args = {"worker-class": worker_class, "max-requests": 1}
        site = WebSite(start, port, GUNICORN, {"ARGS": args})
        env = start.environment({"web": site.entry()})
        web: Client = start.process([*MODULE, "web"], env, kind=Client)
        web.port = port
        web.says("Booting worker")
        web.until(lambda: children(web.process.pid), "a worker")
        (old,) = children(web.process.pid)
        request = web.in_flight("/slow?s=2")
        web.says("Autorestarting worker after current request")
        # Clients queue while the worker is stopped.
        os.kill(old, signal.SIGSTOP)
        queued = [socket.create_connection(("127.0.0.1", port), 60) for _ in range(5)]
        for client in queued:
            client.sendall(b"GET /who?s=0 HTTP/1.0\r\nHost: localhost\r\n\r\n")
        os.kill(old, signal.SIGCONT)
        assert request.result() == "slow done"
        answers = [body_of(client) for client in queued]
        # The old worker may take one that its poller has seen, like the native server.
        assert answers.count(str(old)) <= 1
        assert all(answer.isdecimal() for answer in answers), answers


@pytest.mark.process
def test_a_silent_client_does_not_hold_up_a_sync_worker(
    start: Starter, port: int
) -> None:
    """It is closed, and those behind it are served, before the worker stops."""
    args = {"worker-class": "sync"}
    site = WebSite(start, port, GUNICORN, {"ARGS": args, "GRACEFUL_TIMEOUT": 30})
    web = site.serve()
    request = web.in_flight("/slow?s=2")
    silent = socket.create_connection(("127.0.0.1", port), 60)
    half = socket.create_connection(("127.0.0.1", port), 60)
    half.sendall(b"GET /who?s=0 HTTP/1.0\r\nHo")
    queued = [socket.create_connection(("127.0.0.1", port), 60) for _ in range(5)]
    for client in queued:
        client.sendall(b"GET /who?s=0 HTTP/1.0\r\nHost: localhost\r\n\r\n")
    signalled = time.monotonic()
    assert web.stop() == 0
    assert time.monotonic() - signalled < 20
    assert request.result() == "slow done"
    answers = [body_of(client) for client in queued]
    assert all(answer.isdecimal() for answer in answers), answers
    for client in (silent, half):
        with client, contextlib.suppress(ConnectionResetError):
            assert b" 200 " not in client.recv(1000)


@pytest.mark.process
@pytest.mark.parametrize("worker_class", ["gthread", "sync"])
def test_a_stop_with_as_many_connections_as_files_are_allowed(
    start: Starter, port: int, worker_class: str
) -> None:
    """Clients that queue cannot all be accepted; the request in flight is finished."""
    args = {"worker-class": worker_class, "backlog": 500}
    site = WebSite(start, port, GUNICORN, {"ARGS": args})
    command = ["sh", "-c", 'ulimit -n 100; exec "$@"', "sh", *MODULE, "web"]
    env = start.environment({"web": site.entry()})
    web: Client = start.process(command, env, kind=Client)
    web.port = port
    web.wait_until_ready()
    request = web.in_flight("/slow?s=2")
    (worker,) = children(web.process.pid)
    # They queue while the worker is stopped.
    os.kill(worker, signal.SIGSTOP)
    idle = [socket.create_connection(("127.0.0.1", port), 60) for _ in range(200)]
    web.process.terminate()
    # Before its parent has passed the signal on, it would accept them as ever, and
    # crash with too many open files, as with the native command.
    wait_for(lambda: is_pending(worker, signal.SIGTERM), "the worker's SIGTERM")
    os.kill(worker, signal.SIGCONT)
    assert request.result() == "slow done"
    assert web.exits() == 0
    assert "Traceback" not in web.output
    for client in idle:
        client.close()


def is_pending(pid: int, signum: int) -> bool:
    """Tell whether a signal waits for a process that is stopped."""
    status = Path(f"/proc/{pid}/status").read_text()
    masks = re.findall(r"^(?:SigPnd|ShdPnd):\s*(\w+)", status, re.MULTILINE)
    return any(int(mask, 16) >> (signum - 1) & 1 for mask in masks)


def body_of(client: socket.socket) -> str:
    """Return the body of a response that ends with the connection."""
    with client:
        parts = iter(lambda: client.recv(4096), b"")
        return b"".join(parts).rpartition(b"\r\n\r\n")[2].decode()


@pytest.mark.process
def test_serves_on_two_addresses(start: Starter, port: int) -> None:
    other = free_port()
    bind = [f"127.0.0.1:{port}", f"127.0.0.1:{other}"]
    web = WebSite(start, port, GUNICORN, {"BIND": bind}).serve()
    web.port = other
    assert web.get("/who").isdecimal()
    assert web.stop() == 0


@pytest.mark.process
class TestConfigurationFile:
    """What Gunicorn's own file sets is what happens, and is known to the probe."""

    COMMAND = (sys.executable, str(PROJECT / "manage.py"), "prodserver", "web")
    TLS = Path(__file__).parents[1] / "tls"

    @pytest.fixture
    def serve(self, start: Starter, port: int, tmp_path: Path) -> Any:
        def started(
            file: str, *, settings: Any = None, env: Any = None, **keys: Any
        ) -> Client:
            (tmp_path / "gunicorn.conf.py").write_text(file)
            entry = {"BACKEND": f"{BACKENDS}.{GUNICORN}", **keys}
            environment = start.environment({"web": entry}, settings, **(env or {}))
            web: Client = start.process(
                self.COMMAND, environment, kind=Client, cwd=tmp_path
            )
            web.port = port
            web.says("Booting worker")
            web.until(lambda: start.probe("web").returncode == 0, "the probe's yes")
            return web

        return started

    def test_a_comment_leaves_the_address_to_port(self, serve: Any, port: int) -> None:
        web = serve("# bind is in the environment\n", env={"PORT": str(port)})
        assert web.get("/who").isdecimal()

    def test_address_in_a_module(self, serve: Any, port: int, tmp_path: Path) -> None:
        (tmp_path / "own.py").write_text(f"bind = '127.0.0.1:{port}'\n")
        web = serve("", ARGS={"config": "python:own"})
        assert web.get("/who").isdecimal()

    def test_certificate(self, serve: Any, port: int) -> None:
        web = serve(
            f"certfile = '{self.TLS / 'certificate.pem'}'\n"
            f"keyfile = '{self.TLS / 'key.pem'}'\n"
            f"bind = '127.0.0.1:{port}'\n"
        )
        context = ssl.create_default_context(cafile=self.TLS / "certificate.pem")
        context.check_hostname = False
        with urllib.request.urlopen(
            f"https://127.0.0.1:{port}/who", timeout=10, context=context
        ) as answer:
            assert answer.read().isdigit()
        assert web.stop() == 0

    @pytest.mark.parametrize("preload", [True, False])
    def test_file_runs_twice(
        self, serve: Any, port: int, tmp_path: Path, preload: bool
    ) -> None:
        """Once to know what is in it, and once in Gunicorn; not in each worker."""
        serve(
            f"open('{tmp_path / 'runs'}', 'a').write('x')\n"
            f"bind = '127.0.0.1:{port}'\nworkers = 2\n",
            PRELOAD=preload,
        )
        assert (tmp_path / "runs").read_text() == "xx"

    def test_variables_are_there_when_the_settings_are_imported(
        self, serve: Any, port: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """With manage.py too, which imports them before Gunicorn is there."""
        monkeypatch.delenv("TEST_BROKER_URL", raising=False)
        (tmp_path / "imported.py").write_text(
            "from proj.wsgi import application\nfrom django.conf import settings\n"
            "print('broker', settings.CELERY_BROKER_URL, flush=True)\n"
        )
        web = serve(
            "import os\nos.environ['TEST_BROKER_URL'] = 'redis://late'\n"
            f"bind = '127.0.0.1:{port}'\n",
            settings={"WSGI_APPLICATION": "imported.application"},
        )
        assert "broker redis://late\n" in web.output
        assert web.about()["frozen"], "it is preloaded"

    def test_application_is_imported_in_the_group_of_the_server(
        self, serve: Any, port: int, tmp_path: Path
    ) -> None:
        # Only root may change it; for others Gunicorn's group is their own.
        group = os.getgid() or 65534
        (tmp_path / "imported.py").write_text(
            "import os\nfrom proj.wsgi import application\n"
            "print('imported in group', os.getgid())\n"
        )
        web = serve(
            f"group = {group}\nbind = '127.0.0.1:{port}'\n",
            settings={"WSGI_APPLICATION": "imported.application"},
        )
        groups = re.findall(r"imported in group (\d+)", web.output)
        assert groups == [str(group)]
        if not os.getgid():
            assert "not preloading, because Gunicorn changes to the group" in web.output

    def test_hook_runs_before_the_application_is_imported(
        self, serve: Any, port: int, tmp_path: Path
    ) -> None:
        (tmp_path / "imported.py").write_text(
            "from proj.wsgi import application\nprint('imported', flush=True)\n"
        )
        web = serve(
            f"bind = '127.0.0.1:{port}'\n"
            "def post_fork(server, worker): print('forked', flush=True)\n",
            settings={"WSGI_APPLICATION": "imported.application"},
        )
        assert re.findall(r"^(?:forked|imported)$", web.output, re.M) == [
            "forked",
            "imported",
        ]
        why = "not preloading, because gunicorn.conf.py has a post_fork hook"
        assert why in web.output
