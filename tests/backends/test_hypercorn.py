"""Hypercorn, with an ASGI application and with a WSGI one."""

from __future__ import annotations

import inspect
import logging
import os
import re
import signal
import socket
import sys
import time
from pathlib import Path
from typing import Any

import pytest
from hypercorn.config import Config
from hypercorn.utils import load_application

from django_prodserver.backends.hypercorn import HypercornServer, HypercornWSGIServer
from django_prodserver.backends.hypercorn.logger import Logger
from tests.backends.contract import WebContract
from tests.backends.sites import ACCESS, Client, WebSite, children, load
from tests.conftest import Starter
from tests.harness import SCRIPT, free_port, wait_for

ASGI = "hypercorn.HypercornServer"
WSGI = "hypercorn.HypercornWSGIServer"


class TestHypercorn(WebContract):
    backend = ASGI
    variants = {"1": {}, "2": {"WORKERS": 2}}


class TestHypercornWSGI(WebContract):
    backend = WSGI
    variants = {"1": {}, "2": {"WORKERS": 2}}


@pytest.mark.process
class TestSupervisor:
    """The workers' parent process, which drops requests in the native server."""

    @pytest.fixture
    def site(self, start: Starter, port: int) -> WebSite:
        return WebSite(start, port, ASGI, {"WORKERS": 2})

    def test_stops_gracefully_when_a_worker_is_killed(self, site: WebSite) -> None:
        web = site.serve()
        request = web.in_flight("/slow?s=2")
        (busy,) = re.findall(r"web\[(\d+)\].*slow began", web.output)
        (idle,) = children(web.process.pid) - {int(busy)}
        os.kill(idle, signal.SIGKILL)
        assert web.exits() == 1
        assert request.result() == "slow done"
        assert f"worker {idle} was killed by SIGKILL, stopping" in web.output

    def test_sigterm_to_the_process_group_is_a_graceful_stop(
        self, site: WebSite
    ) -> None:
        """Ctrl-C signals the group, too; the native workers exit at once."""
        web = site.serve()
        request = web.in_flight("/slow?s=2")
        web.signal_all(signal.SIGTERM)
        assert web.exits() == 0
        assert request.result() == "slow done"

    def test_second_signal_forces_the_stop(self, site: WebSite) -> None:
        web = site.serve()
        web.in_flight("/slow?s=60")
        web.process.send_signal(signal.SIGTERM)
        # The stop has begun once the listeners are closed.
        wait_for(lambda: not _is_listening(site.port), "the stop")
        time.sleep(0.2)  # a second signal within 0.1 s is ignored
        signalled = time.monotonic()
        assert web.stop(signal.SIGINT) == 1
        assert time.monotonic() - signalled < 10

    def test_sighup_replaces_the_workers(self, site: WebSite) -> None:
        """The old workers finish their requests; no client is refused."""
        web = site.serve()
        old = web.workers(2)
        request = web.in_flight("/slow?s=2")
        web.process.send_signal(signal.SIGHUP)
        web.until(lambda: not old & children(web.process.pid), "other workers")
        assert request.result() == "slow done"
        assert not web.workers(2) & old
        assert web.stop() == 0

    def test_workers_stop_when_the_parent_is_killed(self, site: WebSite) -> None:
        """The native workers go on serving, and keep the port."""
        web = site.serve()
        request = web.in_flight("/slow?s=1")
        web.process.kill()
        assert web.exits() == -signal.SIGKILL
        assert request.result() == "slow done"


def _is_listening(port: int) -> bool:
    try:
        socket.create_connection(("127.0.0.1", port), 1).close()
    except OSError:
        return False
    return True


@pytest.mark.process
class TestAddresses:
    def test_serves_on_ipv4_ipv6_and_unix_addresses(
        self, start: Starter, port: int, short_folder: Path
    ) -> None:
        other, path = free_port(), short_folder / "web.sock"
        bind = [f"127.0.0.1:{port}", f"[::1]:{other}", f"unix:{path}"]
        web = WebSite(start, port, ASGI, {"BIND": bind}).serve()
        with socket.create_connection(("::1", other), 10) as client:
            client.sendall(b"GET /who HTTP/1.0\r\nHost: localhost\r\n\r\n")
            assert client.recv(4096).startswith(b"HTTP/1.1 200")
        with socket.socket(socket.AF_UNIX) as client:
            client.connect(str(path))
            client.sendall(b"GET /who HTTP/1.0\r\nHost: localhost\r\n\r\n")
            assert client.recv(4096).startswith(b"HTTP/1.1 200")
        assert web.stop() == 0

    def test_serves_on_an_inherited_socket(self, start: Starter, port: int) -> None:
        """As systemd passes one."""
        site = WebSite(start, port, ASGI, {"BIND": "fd://9"})
        env = start.environment({"web": site.entry()})
        argv = [sys.executable, "-c", LISTEN, str(port), *SCRIPT, "web"]
        web: Client = start.process(argv, env, kind=Client)
        web.port = port
        web.wait_until_ready()
        assert web.stop() == 0


#: Listen on file descriptor 9, then exec the command.
LISTEN = """
import os, socket, sys
listener = socket.create_server(("127.0.0.1", int(sys.argv[1])))
os.dup2(listener.fileno(), 9)
os.execv(sys.argv[2], sys.argv[2:])
"""


def test_devserver_serves_static_files(settings: Any) -> None:
    """Hypercorn evaluates the name without the module's __getattr__."""
    settings.DEBUG = True
    for backend in (HypercornServer(), HypercornWSGIServer()):
        backend.serve_static_files(backend.args)
        path = backend.command(backend.args)[1]
        served = vars(load_application(path, 0))["app"]
        if inspect.isfunction(served):  # with ROOT_PATH and TRUSTED_PROXIES around it
            served = inspect.getclosurevars(served).nonlocals["application"]
        assert "StaticFilesHandler" in type(served).__name__


@pytest.mark.parametrize(
    "key", [{"TRUSTED_PROXIES": ["10.0.0.1"]}, {"ROOT_PATH": "/a"}]
)
@pytest.mark.parametrize("option", [{"worker-class": "trio"}, {"reload": True}])
def test_wsgi_without_the_layer_around_it_is_refused(
    key: dict[str, Any], option: dict[str, Any]
) -> None:
    """Headers of anybody would be believed, or those of the proxy would not."""

    def faults(**keys: Any) -> list[str]:
        return [error.message for error in HypercornWSGIServer(**keys).check()]

    (fault,) = faults(ARGS=option, **key)
    assert "without TRUSTED_PROXIES and ROOT_PATH" in fault
    assert next(iter(option)) in fault
    assert not faults(ARGS=option)
    assert not faults(**key)
    assert not list(HypercornServer(ARGS=option, **key).check())


class TestConfigurationFile:
    """Our defaults do not override Hypercorn's configuration file."""

    FILE = 'bind = ["127.0.0.1:7000"]\nworkers = 3\nloglevel = "debug"\n'

    @pytest.mark.parametrize(
        ("name", "prefix"),
        [("hypercorn.toml", ""), ("own.py", "file:"), ("own_config.py", "python:")],
    )
    def test_file_overrides_defaults(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, prefix: str
    ) -> None:
        (tmp_path / name).write_text(self.FILE)
        monkeypatch.syspath_prepend(tmp_path)
        path = "own_config" if prefix == "python:" else str(tmp_path / name)
        backend = load_entry(ARGS={"config": f"{prefix}{path}"})
        words = " ".join(backend.args)
        assert "--bind" not in words
        assert "--log-level" not in words
        assert "--keep-alive=65" in words
        assert backend.addresses(backend.args) == ("tcp://127.0.0.1:7000",)
        assert backend.option("workers", backend.args) == "3"

    def test_a_comment_sets_nothing(self, tmp_path: Path) -> None:
        file = tmp_path / "hypercorn.toml"
        file.write_text("# bind, loglevel and use_reloader are set elsewhere\n")
        backend = load_entry(ARGS={"config": str(file)})
        assert "--log-level=info" in backend.args
        assert backend.addresses(backend.args) == ("tcp://127.0.0.1:8000",)
        assert backend.must_exec(backend.args) == ""

    @pytest.mark.parametrize(
        ("line", "option"),
        [
            ("keep_alive_timeout = 5", "keep-alive"),
            ("graceful_timeout = 5", "graceful-timeout"),
            ("loglevel = 'debug'", "log-level"),
        ],
    )
    def test_file_has_names_of_its_own(
        self, tmp_path: Path, line: str, option: str
    ) -> None:
        file = tmp_path / "hypercorn.toml"
        file.write_text(line)
        backend = load_entry(ARGS={"config": str(file)})
        assert f"--{option}" not in " ".join(backend.args)
        value = line.partition(" = ")[2].strip("'")
        assert backend.option(option, backend.args) == value

    def test_file_decides_about_tls_and_preloading(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        file = tmp_path / "own.py"
        file.write_text(
            "import os\ncertfile = 'c.pem'\nkeyfile = 'k.pem'\nworkers = 0\n"
            "os.environ['REGION'] = 'eu'\n"
        )
        backend = load_entry(ARGS={"config": f"file:{file}"})
        assert backend.speaks_tls(backend.args)
        assert not backend.forks(backend.args)
        assert backend.server_environment(backend.args, {}) == {"REGION": "eu"}
        assert backend.must_exec(backend.args) == ""
        monkeypatch.setenv("REGION", "us")
        assert f"file:{file} sets REGION" in backend.must_exec(backend.args)
        file.write_text("use_reloader = True")
        backend = load_entry(ARGS={"config": str(file), "workers": 1})
        assert backend.must_exec(backend.args) == "", "it is no TOML"
        file = tmp_path / "own.toml"
        file.write_text("use_reloader = true")
        backend = load_entry(ARGS={"config": str(file)})
        assert "--reload" in backend.must_exec(backend.args)

    def test_settings_override_the_file(self, tmp_path: Path) -> None:
        file = tmp_path / "hypercorn.toml"
        file.write_text(self.FILE)
        args = {"config": str(file)}
        backend = load_entry(BIND="127.0.0.1:9000", LOG_LEVEL="error", ARGS=args)
        assert "--log-level=error" in backend.args
        assert backend.addresses(backend.args) == ("tcp://127.0.0.1:9000",)


@pytest.mark.process
def test_probe_knows_what_the_file_sets(
    start: Starter, port: int, tmp_path: Path
) -> None:
    """A module with the address and a certificate; it may print."""
    tls = Path(__file__).parents[1] / "tls"
    (tmp_path / "own.py").write_text(
        f"print('reading')\nbind = '127.0.0.1:{port}'\n"
        f"certfile = '{tls / 'certificate.pem'}'\nkeyfile = '{tls / 'key.pem'}'\n"
    )
    entry = {
        "BACKEND": f"django_prodserver.backends.{ASGI}",
        "ARGS": {"config": "python:own"},
    }
    env = start.environment({"web": entry}, PYTHONPATH=str(tmp_path))
    web = start.process([*SCRIPT, "web"], env)
    web.until(lambda: start.probe("web").returncode == 0, "the probe's yes")
    assert web.output.count("reading") == 1
    assert web.stop() == 0


def load_entry(**keys: Any) -> HypercornServer:
    backend = load(
        {"BACKEND": f"django_prodserver.backends.{ASGI}", **keys},
    )
    assert isinstance(backend, HypercornServer)
    return backend


@pytest.mark.parametrize(
    ("binds", "expected"),
    [
        ([], ("tcp://127.0.0.1:8000",)),
        (["0.0.0.0"], ("tcp://0.0.0.0:8000",)),
        (
            ["[::1]:80", "unix:/run/web.sock"],
            ("tcp://[::1]:80", "unix:///run/web.sock"),
        ),
        (["fd://3"], ()),
    ],
)
def test_probe_addresses(binds: list[str], expected: tuple[str, ...]) -> None:
    assert HypercornServer().addresses([f"--bind={bind}" for bind in binds]) == expected


def test_tls_needs_a_certificate_and_a_key() -> None:
    both = ["--certfile=a", "--keyfile=b"]
    assert HypercornServer().speaks_tls(both)
    assert not HypercornServer().speaks_tls(both[:1])


class TestLogger:
    """Hypercorn's loggers, to which its own Logger adds handlers."""

    @pytest.fixture
    def config(self) -> Any:
        names = ("hypercorn.error", "hypercorn.access")
        yield Config()
        for name in names:
            logging.getLogger(name).handlers = []
            logging.getLogger(name).propagate = True

    def test_records_propagate_to_the_root_logger(self, config: Config) -> None:
        config.accesslog = "-"
        logger = Logger(config)
        assert logging.getLogger("hypercorn.error").handlers == []
        assert logging.getLogger("hypercorn.error").propagate
        assert logger.access_logger is None, "the access log is ours"

    def test_keeps_handlers_of_logging(self, config: Config) -> None:
        own = logging.NullHandler()
        for name in ("error", "access"):
            logging.getLogger(f"hypercorn.{name}").handlers = [own]
        logger = Logger(config)
        assert logging.getLogger("hypercorn.error").handlers == [own]
        assert logger.access_logger is logging.getLogger("hypercorn.access")
        assert logger.access_logger.handlers == [own]

    def test_writes_to_log_files(self, config: Config, tmp_path: Path) -> None:
        config.accesslog = str(tmp_path / "access.log")
        config.errorlog = str(tmp_path / "error.log")
        logger = Logger(config)
        assert logger.access_logger is not None
        for name in ("access", "error"):
            (handler,) = logging.getLogger(f"hypercorn.{name}").handlers
            assert isinstance(handler, logging.FileHandler)
            assert handler.baseFilename == str(tmp_path / f"{name}.log")
            handler.close()


@pytest.mark.process
def test_writes_both_access_logs(start: Starter, port: int, tmp_path: Path) -> None:
    file = tmp_path / "access.log"
    args = {"access-logfile": str(file)}
    web = WebSite(start, port, ASGI, {}).serve(LOG_FORMAT="json", ARGS=args)
    assert web.stop() == 0
    assert '"GET /about 1.1" 200' in file.read_text()
    assert re.search(f'"{ACCESS}".*GET /about 200', web.output)
