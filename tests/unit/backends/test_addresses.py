"""Where each server listens, as the probe is told it."""

from __future__ import annotations

import socket
from pathlib import Path

import pytest

from django_prodserver.backends import addresses
from django_prodserver.backends.addresses import host_header
from django_prodserver.backends.celery.backend import CeleryFlower
from django_prodserver.backends.granian.backend import GranianWSGIServer
from django_prodserver.backends.gunicorn.backend import GunicornServer
from django_prodserver.backends.uvicorn.backend import UvicornServer
from django_prodserver.backends.waitress.backend import WaitressServer

SERVERS = {
    "gunicorn": GunicornServer,
    "granian": GranianWSGIServer,
    "uvicorn": UvicornServer,
    "waitress": WaitressServer,
}


@pytest.fixture(autouse=True)
def _bare_environment(monkeypatch, tmp_path):
    for name in (
        "PORT",
        "PRODSERVER_HOST",
        "GUNICORN_CMD_ARGS",
        "UVICORN_PORT",
        "GRANIAN_PORT",
    ):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.chdir(tmp_path)


@pytest.mark.parametrize(
    ("server", "args", "addresses"),
    [
        ("gunicorn", {}, ["tcp://127.0.0.1:8000"]),
        ("gunicorn", {"bind": "0.0.0.0:80"}, ["tcp://0.0.0.0:80"]),
        ("gunicorn", {"b": ":80"}, ["tcp://:80"]),
        ("gunicorn", {"bind": "[::1]:80"}, ["tcp://[::1]:80"]),
        ("gunicorn", {"bind": "[::1]"}, ["tcp://[::1]:8000"]),
        ("gunicorn", {"bind": "web.internal"}, ["tcp://web.internal:8000"]),
        ("gunicorn", {"bind": "tcp://a:1"}, ["tcp://a:1"]),
        ("gunicorn", {"bind": "unix:/run/a"}, ["unix:///run/a"]),
        ("gunicorn", {"bind": "unix:///run/a"}, ["unix:///run/a"]),
        ("gunicorn", {"bind": "fd://3"}, []),
        ("gunicorn", {"bind": ["a:1", "b:2"]}, ["tcp://a:1", "tcp://b:2"]),
        ("uvicorn", {}, ["tcp://127.0.0.1:8000"]),
        ("uvicorn", {"host": "::1", "port": 80}, ["tcp://[::1]:80"]),
        ("uvicorn", {"uds": "/run/a", "port": 80}, ["unix:///run/a"]),
        ("uvicorn", {"fd": 3}, []),
        ("granian", {}, ["tcp://127.0.0.1:8000"]),
        ("granian", {"address": "0.0.0.0", "port": "80"}, ["tcp://0.0.0.0:80"]),
        ("granian", {"uds": "/run/a"}, ["unix:///run/a"]),
        ("waitress", {}, ["tcp://127.0.0.1:8000"]),
        ("waitress", {"host": "a"}, ["tcp://a:8080"]),
        ("waitress", {"port": 80}, ["tcp://0.0.0.0:80"]),
        ("waitress", {"listen": "*:80"}, ["tcp://*:80"]),
        ("waitress", {"listen": ["a:1", "[::1]:2"]}, ["tcp://a:1", "tcp://[::1]:2"]),
        ("waitress", {"unix-socket": "/run/a"}, ["unix:///run/a"]),
    ],
)
def test_the_address_is_that_of_the_options(server, args, addresses):
    backend = SERVERS[server](ARGS=args)
    assert list(backend.addresses(backend.prep_server_args())) == addresses


@pytest.mark.parametrize(
    ("server", "variable", "value", "addresses"),
    [
        ("gunicorn", "PORT", "80", ["tcp://0.0.0.0:80"]),
        ("gunicorn", "GUNICORN_CMD_ARGS", "-b a:1", ["tcp://a:1"]),
        ("uvicorn", "UVICORN_PORT", "80", ["tcp://127.0.0.1:80"]),
        ("uvicorn", "UVICORN_UDS", "/run/a", ["unix:///run/a"]),
        ("granian", "GRANIAN_PORT", "80", ["tcp://127.0.0.1:80"]),
    ],
)
def test_the_servers_own_variables_count(
    server, variable, value, addresses, monkeypatch
):
    monkeypatch.setenv(variable, value)
    backend = SERVERS[server]()
    assert list(backend.addresses(backend.prep_server_args())) == addresses


every = pytest.mark.parametrize("server", SERVERS)


@every
@pytest.mark.parametrize(
    ("environment", "address"),
    [
        ({}, "tcp://127.0.0.1:8000"),
        # Who sets PORT is a platform, whose router is not on the loopback.
        ({"PORT": "80"}, "tcp://0.0.0.0:80"),
        ({"PRODSERVER_HOST": "0.0.0.0"}, "tcp://0.0.0.0:8000"),
        ({"PRODSERVER_HOST": "::", "PORT": "80"}, "tcp://[::]:80"),
        ({"PRODSERVER_HOST": "10.0.0.1", "PORT": "80"}, "tcp://10.0.0.1:80"),
    ],
)
def test_the_default_address_is_the_same_everywhere(
    server, environment, address, monkeypatch
):
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    backend = SERVERS[server]()
    assert backend.addresses(backend.prep_server_args()) == (address,)


@every
def test_an_address_in_args_is_stronger_than_the_environment(server, monkeypatch):
    monkeypatch.setenv("PRODSERVER_HOST", "0.0.0.0")
    monkeypatch.setenv("PORT", "80")
    args = {"bind": "a:1"} if server == "gunicorn" else {"host": "a", "port": 1}
    backend = SERVERS[server](ARGS=args)
    assert backend.addresses(backend.prep_server_args()) == ("tcp://a:1",)
    words = backend.command(backend.prep_server_args())
    assert not [word for word in words if "0.0.0.0" in word or word.endswith("80")]


@every
def test_a_unix_socket_is_no_tcp_address_too(server, monkeypatch):
    monkeypatch.setenv("PRODSERVER_HOST", "0.0.0.0")
    monkeypatch.setenv("PORT", "80")
    option = {"gunicorn": "bind", "waitress": "unix-socket"}.get(server, "uds")
    path = "unix:/run/a" if server == "gunicorn" else "/run/a"
    backend = SERVERS[server](ARGS={option: path})
    assert backend.addresses(backend.prep_server_args()) == ("unix:///run/a",)
    words = backend.command(backend.prep_server_args())
    assert not [word for word in words if "0.0.0.0" in word or word.endswith("80")]


@every
@pytest.mark.parametrize("port", ["0", "65536", "tcp://10.0.0.1:80", "eighty", "-1"])
def test_a_port_that_is_none_is_told_of(server, port, monkeypatch):
    monkeypatch.setenv("PORT", port)
    assert f"PORT is {port!r} in the environment, which is not a port." in [
        fault.message for fault in SERVERS[server]().check()
    ]


def test_gunicorns_file_has_the_address(tmp_path):
    (tmp_path / "gunicorn.conf.py").write_text("bind = 'a:1'\n")
    assert GunicornServer().addresses([]) == ("tcp://a:1",)


@pytest.mark.parametrize(
    ("server", "args", "tls"),
    [
        ("gunicorn", {}, False),
        ("gunicorn", {"certfile": "a", "keyfile": "b"}, True),
        ("uvicorn", {}, False),
        ("uvicorn", {"ssl-certfile": "a"}, True),
        ("granian", {}, False),
        ("granian", {"ssl-cert": "a", "ssl-key": "b"}, True),
        ("waitress", {}, False),
    ],
)
def test_tls_is_where_there_is_a_certificate(server, args, tls):
    backend = SERVERS[server](ARGS=args)
    assert backend.speaks_tls(backend.prep_server_args()) is tls


@pytest.mark.parametrize(
    ("allowed", "host"),
    [
        (["example.com", "b"], "example.com"),
        ([".example.com"], "example.com"),
        (["*", "b"], "b"),
        (["*"], "localhost"),
        ([], "localhost"),
    ],
)
def test_the_host_is_one_the_site_answers_to(allowed, host, settings):
    settings.ALLOWED_HOSTS = allowed
    assert host_header() == host


@pytest.mark.parametrize(
    ("args", "addresses", "path"),
    [
        ({}, ["tcp://:5555"], "/healthcheck"),
        ({"address": "::1", "port": 80}, ["tcp://[::1]:80"], "/healthcheck"),
        ({"unix_socket": "/run/a"}, ["unix:///run/a"], "/healthcheck"),
        ({"url-prefix": "/a/b/"}, ["tcp://:5555"], "/a/b/healthcheck"),
        ({"conf": __file__}, [], "/healthcheck"),
    ],
)
def test_flower_is_asked_where_it_is(args, addresses, path):
    """It has an address of its own, and a page for probes."""
    backend = CeleryFlower(ARGS=args)
    words = backend.prep_server_args()
    assert list(backend.addresses(words)) == addresses
    assert (backend.kind, backend.path(words)) == ("web", path)
    assert not backend.speaks_tls(words)
    assert CeleryFlower(ARGS={"certfile": "a"}).speaks_tls(["--certfile=a"])


class TestASocketFile:
    """One that a killed server has left is removed; nothing else is."""

    @pytest.fixture
    def path(self, short_folder: Path) -> Path:
        return short_folder / "web.sock"

    def test_that_nobody_listens_on_is_removed(self, path: Path) -> None:
        with socket.socket(socket.AF_UNIX) as server:
            server.bind(str(path))
            server.listen()
        addresses.remove_stale(f"unix://{path}")
        assert not path.exists()

    def test_that_a_server_listens_on_stays(self, path: Path) -> None:
        with socket.socket(socket.AF_UNIX) as server:
            server.bind(str(path))
            server.listen()
            addresses.remove_stale(f"unix://{path}")
            assert path.is_socket()

    def test_that_takes_no_streams_stays(self, path: Path) -> None:
        """Somebody else's: connecting fails in another way."""
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as other:
            other.bind(str(path))
            addresses.remove_stale(f"unix://{path}")
            assert path.is_socket()

    def test_that_is_no_socket_stays(self, path: Path) -> None:
        path.write_text("a file")
        addresses.remove_stale(f"unix://{path}")
        assert path.read_text() == "a file"

    def test_that_is_not_there(self, path: Path) -> None:
        addresses.remove_stale(f"unix://{path}")
        assert not path.exists()

    def test_of_another_kind_of_address_stays(self, path: Path) -> None:
        with socket.socket(socket.AF_UNIX) as server:
            server.bind(str(path))
        addresses.remove_stale(f"tcp://{path}")
        assert path.is_socket()


def test_an_address_of_ipv6_has_brackets():
    for host in ("::1", "[::1]"):
        assert addresses.tcp(host, 80) == "tcp://[::1]:80"
    assert addresses.tcp("a", 80) == "tcp://a:80"
