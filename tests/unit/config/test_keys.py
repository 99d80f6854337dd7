"""The neutral keys: what each becomes, and what is stronger than what."""

from __future__ import annotations

from typing import Any

import pytest

from django_prodserver.backends import loader
from django_prodserver.backends.base import CommandBackend
from django_prodserver.backends.web import WebBackend
from django_prodserver.config import bind, concurrency, keys
from django_prodserver.config.argv import value_of, values_of
from django_prodserver.config.cgroups import Amount
from django_prodserver.config.keys import KEYS, Unsupported
from django_prodserver.config.processes import Process
from django_prodserver.exceptions import ConfigurationError, Fault
from tests.servers import BACKENDS

WEB = {
    "gunicorn": "gunicorn.GunicornServer",
    "uvicorn": "uvicorn.UvicornServer",
    "uvicorn-wsgi": "uvicorn.UvicornWSGIServer",
    "granian-asgi": "granian.GranianASGIServer",
    "granian-wsgi": "granian.GranianWSGIServer",
    "waitress": "waitress.WaitressServer",
}
WORKERS = {
    "celery": "celery.CeleryWorker",
    "db_worker": "django_tasks.DjangoTasksWorker",
    "qcluster": "django_q2.DjangoQ2Worker",
}
ALL = {**WEB, **WORKERS, "beat": "celery.CeleryBeat"}


@pytest.fixture(autouse=True)
def _bare_environment(monkeypatch, tmp_path):
    for name in ("PORT", "PRODSERVER_HOST", "WEB_CONCURRENCY", "PRODSERVER_LOG_FORMAT"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.chdir(tmp_path)


def made(name: str, **config: Any) -> CommandBackend:
    entry = {"BACKEND": f"{BACKENDS}.{ALL[name]}", "APP": "proj.celery.app", **config}
    backend = loader.load(Process("web", entry))
    assert isinstance(backend, CommandBackend)
    return backend


def option(name: str, wanted: str, **config: Any) -> str | None:
    backend = made(name, **config)
    return value_of(wanted, backend.args, backend.option_table)


#: One value of each key, and the words it is for each server; None for none.
BECOMES: dict[str, tuple[Any, dict[str, list[str] | None]]] = {
    "BIND": (
        "[::1]:80",
        {
            "gunicorn": ["--bind=[::1]:80"],
            "uvicorn": ["--host=::1", "--port=80"],
            "uvicorn-wsgi": ["--host=::1", "--port=80"],
            "granian-asgi": ["--host=::1", "--port=80"],
            "granian-wsgi": ["--host=::1", "--port=80"],
            "waitress": ["--host=::1", "--port=80"],
        },
    ),
    "WORKERS": (
        3,
        {
            "gunicorn": ["--workers=3"],
            "uvicorn": ["--workers=3"],
            "uvicorn-wsgi": ["--workers=3"],
            "granian-asgi": ["--workers=3"],
            "granian-wsgi": ["--workers=3"],
            "waitress": None,
        },
    ),
    "THREADS": (
        7,
        {
            "gunicorn": ["--threads=7"],
            "uvicorn": None,
            "uvicorn-wsgi": [],
            "granian-asgi": None,
            "granian-wsgi": ["--blocking-threads=7"],
            "waitress": ["--threads=7"],
        },
    ),
    "TIMEOUT": (
        70,
        {
            "gunicorn": ["--timeout=70"],
            "uvicorn": ["--timeout-worker-healthcheck=70"],
            "uvicorn-wsgi": ["--timeout-worker-healthcheck=70"],
            "granian-asgi": None,
            "granian-wsgi": None,
            "waitress": None,
        },
    ),
    "KEEP_ALIVE": (
        50,
        {
            "gunicorn": ["--keep-alive=50"],
            "uvicorn": ["--timeout-keep-alive=50"],
            "uvicorn-wsgi": ["--timeout-keep-alive=50"],
            "granian-asgi": ["--http1-header-read-timeout=50000"],
            "granian-wsgi": ["--http1-header-read-timeout=50000"],
            "waitress": ["--channel-timeout=50", "--cleanup-interval=30"],
        },
    ),
    "MAX_REQUESTS": (
        1000,
        {
            "gunicorn": ["--max-requests=1000"],
            "uvicorn": None,
            "uvicorn-wsgi": None,
            "granian-asgi": None,
            "granian-wsgi": None,
            "waitress": None,
        },
    ),
    "CERTFILE": (
        "/tls/a.pem",
        {
            "gunicorn": ["--certfile=/tls/a.pem"],
            "uvicorn": ["--ssl-certfile=/tls/a.pem"],
            "uvicorn-wsgi": ["--ssl-certfile=/tls/a.pem"],
            "granian-asgi": ["--ssl-certificate=/tls/a.pem"],
            "granian-wsgi": ["--ssl-certificate=/tls/a.pem"],
            "waitress": None,
        },
    ),
    "KEYFILE": (
        "/tls/a.key",
        {
            "gunicorn": ["--keyfile=/tls/a.key"],
            "uvicorn": ["--ssl-keyfile=/tls/a.key"],
            "uvicorn-wsgi": ["--ssl-keyfile=/tls/a.key"],
            "granian-asgi": ["--ssl-keyfile=/tls/a.key"],
            "granian-wsgi": ["--ssl-keyfile=/tls/a.key"],
            "waitress": None,
        },
    ),
    "GRACEFUL_TIMEOUT": (
        7,
        {
            "gunicorn": ["--graceful-timeout=7"],
            "uvicorn": ["--timeout-graceful-shutdown=7"],
            "uvicorn-wsgi": ["--timeout-graceful-shutdown=7"],
            "granian-asgi": ["--workers-kill-timeout=7"],
            "granian-wsgi": ["--workers-kill-timeout=7"],
            "waitress": ["--graceful-timeout=7"],
        },
    ),
    "CONCURRENCY": (
        3,
        {"celery": ["--concurrency=3"], "db_worker": None, "qcluster": []},
    ),
    "QUEUES": (
        ["a", "b"],
        {
            "celery": ["--queues=a,b"],
            "db_worker": ["--queue-name=a,b"],
            "qcluster": None,
        },
    ),
    "MAX_TASKS": (
        9,
        {
            "celery": ["--max-tasks-per-child=9"],
            "db_worker": ["--max-tasks=9"],
            "qcluster": [],
        },
    ),
    "SINGLETON": (
        "default",
        {"celery": None, "beat": [], "db_worker": None, "qcluster": None},
    ),
}


@pytest.mark.parametrize(
    ("key", "name", "words"),
    [
        (key, name, words)
        for key, (_, servers) in BECOMES.items()
        for name, words in servers.items()
    ],
)
def test_what_a_key_becomes(key, name, words):
    backend = made(name, **{key: BECOMES[key][0]})
    if words is None:
        assert isinstance(backend.keys[key], Unsupported)
        assert list(backend.unsupported_keys()) == [key]
        assert backend.args == made(name).args
    else:
        assert [word for word in backend.args if word in words] == words
        assert not backend.unsupported_keys()


@pytest.mark.parametrize("name", [*WEB, *WORKERS])
def test_a_backend_says_something_of_every_key_of_its_kind(name):
    backend = made(name)
    web = isinstance(backend, WebBackend)
    kind = keys.WEB if web else keys.WORKER
    others = [set(made(other).keys) for other in (WEB if web else WORKERS)]
    assert set(kind).intersection(set().union(*others)) <= set(backend.keys)
    assert set(backend.keys) <= {*kind, *keys.SHARED}


@pytest.mark.parametrize("key", KEYS)
def test_a_default_is_of_the_keys_own_form_and_has_a_reason(key):
    known = KEYS[key]
    assert known.meaning.endswith(".")
    if known.default is not None:
        assert known.is_right(known.default)
        assert known.why


WRONG: dict[str, list[Any]] = {
    "BIND": [
        *(
            "",
            "8000",
            8000,
            "a:0",
            "a:65536",
            "::1:80",
            "unix:",
            "unix:run/a",
            "fd://x",
        ),
        *([], ["a:1", "b"], None, "http://a:1", "a b:1"),
    ],
    "WORKERS": [0, -1, 1.5, "2", True, "Auto", None],
    "CONCURRENCY": [0, "2", True],
    "THREADS": [0, "auto", "4"],
    "TIMEOUT": [0, "30", 1.5],
    "KEEP_ALIVE": [-1, "5"],
    "MAX_REQUESTS": [0, True],
    "MAX_TASKS": [0, "9"],
    "SINGLETON": ["", 1, None],
    "CERTFILE": ["", 1, None],
    "KEYFILE": ["", []],
    "QUEUES": ["a", [], [""], [1], None],
    "GRACEFUL_TIMEOUT": [0, "25", True],
    "ROOT_PATH": ["shop", "/", "/shop/", 1],
    "TRUSTED_PROXIES": ["10.0.0.1", [1], []],
    "ACCESS_LOG": [1, "no", None],
    "WARM_UP": ["/", [], ["shop/"], ["http://a/"], [1], ["/a b"], ["/ü"], None],
    "LOG_LEVEL": ["INFO", "loud", 10],
    "LOG_FORMAT": ["xml", None],
}


def test_every_key_has_values_that_are_wrong():
    assert set(WRONG) == set(KEYS)


@pytest.mark.parametrize(
    ("key", "value"),
    [
        pytest.param(key, value, id=f"{key}-{value!r}")
        for key, values in WRONG.items()
        for value in values
    ],
)
def test_a_wrong_value_is_told_with_the_right_form(key, value):
    entry = {"BACKEND": f"{BACKENDS}.gunicorn.GunicornServer", key: value}
    faults = list(loader.faults(Process("web", entry)))
    assert faults[0].fault == Fault.BAD_VALUE
    assert faults[0].message == f"PRODUCTION_PROCESSES['web'][{key!r}] is {value!r}."
    assert faults[0].hint == f"Write {key} as {KEYS[key].form}."


@pytest.mark.parametrize(
    ("bind", "name", "words"),
    [
        ("0.0.0.0:1", "gunicorn", ["--bind=0.0.0.0:1"]),
        (":1", "gunicorn", ["--bind=0.0.0.0:1"]),
        (["a:1", "unix:/b"], "gunicorn", ["--bind=a:1", "--bind=unix:/b"]),
        ("fd://3", "gunicorn", ["--bind=fd://3"]),
        ("unix:///b", "gunicorn", ["--bind=unix:/b"]),
        ("unix:/b", "uvicorn", ["--uds=/b"]),
        ("fd://3", "uvicorn", ["--fd=3"]),
        (["a:1"], "uvicorn", ["--host=a", "--port=1"]),
        ("unix:/b", "granian-wsgi", ["--uds=/b"]),
        ("unix:/b", "waitress", ["--unix-socket=/b"]),
        (["a:1", "[::1]:2"], "waitress", ["--listen=a:1", "--listen=[::1]:2"]),
    ],
)
def test_bind_in_all_its_forms(bind, name, words):
    backend = made(name, BIND=bind)
    address = (
        "--bind",
        "--uds",
        "--fd",
        "--host",
        "--port",
        "--listen",
        "--unix-socket",
    )
    assert [word for word in backend.args if word.startswith(address)] == words


@pytest.mark.parametrize(
    ("bind", "name"),
    [
        (["a:1", "b:2"], "uvicorn"),
        (["a:1", "b:2"], "granian-asgi"),
        ("fd://3", "granian-wsgi"),
        ("fd://3", "waitress"),
        (["a:1", "unix:/b"], "waitress"),
    ],
)
def test_an_address_that_the_server_cannot_have_is_a_fault(bind, name):
    with pytest.raises(ConfigurationError) as caught:
        made(name, BIND=bind)
    assert caught.value.fault == Fault.BAD_VALUE
    assert caught.value.message.startswith("PRODUCTION_PROCESSES['web']['BIND'] is '")


@pytest.mark.parametrize("text", ["::1:80", "a:b:1", "a:", "unix:b", "fd://", "a:1 "])
def test_what_is_no_address(text):
    assert bind.parse(text) is None


ORDER = ("default", "variable", "key", "ARGS", "command line")


@pytest.mark.parametrize("name", ["gunicorn", "uvicorn", "granian-wsgi"])
@pytest.mark.parametrize("strongest", range(1, len(ORDER)))
def test_each_origin_is_stronger_than_the_ones_before_it(name, strongest, monkeypatch):
    """Of workers: the variable says 2, the key 3, ARGS 4, the command line 5."""
    said = ORDER[: strongest + 1]
    config: dict[str, Any] = {}
    if "variable" in said:
        monkeypatch.setenv("WEB_CONCURRENCY", "2")
    if "key" in said:
        config["WORKERS"] = 3
    if "ARGS" in said:
        config["ARGS"] = {"workers": 4}
    backend = made(name, **config)
    words = backend.args
    if "command line" in said:
        words = backend.override(words, ["--workers", "5"])
    assert value_of("workers", words, backend.option_table) == str(strongest + 1)
    assert len(values_of("workers", words, backend.option_table)) == 1


@pytest.mark.parametrize(
    ("key", "name"),
    [
        (key, name)
        for key, (_, servers) in BECOMES.items()
        for name, words in servers.items()
        if words and key != "BIND"
    ],
)
def test_args_win_over_a_key_under_any_spelling(key, name):
    value, servers = BECOMES[key]
    backend = made(name)
    known, _ = backend.option_table.find((servers[name] or [""])[0].partition("=")[0])
    for spelling in {known.name, known.name.replace("-", "_"), *known.spellings}:
        stronger = made(name, **{key: value}, ARGS={spelling: "1"})
        given = [word for word in stronger.args if word.startswith(f"{known.on}=")]
        assert given == [f"{known.on}=1"], spelling


@pytest.mark.parametrize(
    ("name", "bind", "args", "words"),
    [
        ("uvicorn", "a:1", {"uds": "/b"}, ["--uds=/b"]),
        ("uvicorn", "unix:/b", {"port": 2}, ["--port=2"]),
        ("uvicorn", "a:1", {"port": 2}, ["--host=a", "--port=2"]),
        ("waitress", "a:1", {"listen": "b:2"}, ["--listen=b:2"]),
        ("waitress", ["a:1", "b:2"], {"host": "c"}, ["--host=c"]),
        ("waitress", "unix:/b", {"port": 2}, ["--port=2"]),
        ("gunicorn", ["a:1", "b:2"], {"b": "c:3"}, ["--bind=c:3"]),
        ("granian-asgi", "unix:/b", {"address": "c"}, ["--host=c"]),
    ],
)
def test_an_address_in_args_replaces_the_one_of_bind(name, bind, args, words):
    backend = made(name, BIND=bind, ARGS=args)
    address = ("--bind", "--uds", "--host", "--port", "--listen", "--unix-socket")
    assert [word for word in backend.args if word.startswith(address)] == words


def test_bind_is_stronger_than_the_platforms_variables(monkeypatch):
    monkeypatch.setenv("PORT", "9")
    monkeypatch.setenv("PRODSERVER_HOST", "0.0.0.0")
    assert option("gunicorn", "bind", BIND="a:1") == "a:1"
    assert option("uvicorn", "host", BIND="unix:/a") is None


@pytest.mark.parametrize("text", ["0", "-1", "two", "1.5"])
@pytest.mark.parametrize("name", WEB)
def test_a_number_of_workers_that_is_none_is_told_of(name, text, monkeypatch):
    monkeypatch.setenv("WEB_CONCURRENCY", text)
    message = f"WEB_CONCURRENCY is {text!r} in the environment."
    assert message in [fault.message for fault in made(name).check()]


def test_gunicorn_of_another_worker_class_has_no_threads_by_default():
    """They would make "sync" another class, and mean nothing to the rest."""
    assert option("gunicorn", "threads") == "4"
    assert option("gunicorn", "threads", ARGS={"worker-class": "sync"}) is None
    assert option("gunicorn", "threads", ARGS={"k": "asgi"}) is None
    both = option("gunicorn", "threads", THREADS=2, ARGS={"worker-class": "gthread"})
    assert both == "2"


@pytest.mark.parametrize(
    ("name", "variable", "value", "given"),
    [
        ("uvicorn", "UVICORN_TIMEOUT_KEEP_ALIVE", "9", "timeout-keep-alive"),
        ("granian-wsgi", "GRANIAN_BLOCKING_THREADS", "9", "blocking-threads"),
        ("gunicorn", "GUNICORN_CMD_ARGS", "--threads=9", "threads"),
    ],
)
def test_a_default_yields_to_the_servers_own_variable(
    name, variable, value, given, monkeypatch
):
    assert option(name, given)
    monkeypatch.setenv(variable, value)
    assert option(name, given) is None


@pytest.mark.parametrize(
    ("cpus", "memory", "most", "number", "why"),
    [
        (Amount(0.5, "cgroup quota"), None, 12, 1, "0.5 CPU (cgroup quota)"),
        (Amount(1.5, "cgroup quota"), None, 12, 2, "1.5 CPUs (cgroup quota)"),
        (Amount(2, "affinity"), None, 12, 2, "2 CPUs (affinity)"),
        (Amount(64, ""), None, 12, 12, "64 CPUs, 12 at most"),
        (Amount(64, ""), None, None, 64, "64 CPUs"),
        (Amount(2, ""), Amount(24 * 2**30, ""), 12, 2, "2 CPUs"),
        (
            Amount(2, ""),
            Amount(128 * 2**20, "cgroup limit"),
            *(12, 1, "2 CPUs, memory allows 1 (128 MiB, cgroup limit)"),
        ),
        (
            Amount(8, ""),
            Amount(2**30, "cgroup limit"),
            *(12, 7, "8 CPUs, memory allows 7 (1024 MiB, cgroup limit)"),
        ),
        (Amount(1, ""), Amount(2**20, ""), 12, 1, "1 CPU"),
    ],
)
def test_auto_is_reckoned(cpus, memory, most, number, why):
    assert concurrency.recommend(cpus, memory, most) == (number, why)


@pytest.mark.parametrize("name", ["gunicorn", "uvicorn", "granian-asgi"])
def test_auto_is_a_number_on_the_command_line(name, monkeypatch):
    monkeypatch.setattr(concurrency, "auto", lambda key: (5, "so many"))
    assert option(name, "workers", WORKERS="auto") == "5"
    monkeypatch.setenv("WEB_CONCURRENCY", "auto")
    assert option(name, "workers") == "5"
    assert made(name).environment()["WEB_CONCURRENCY"] == "5"
