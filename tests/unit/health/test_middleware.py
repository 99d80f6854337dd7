"""The health middleware: what it answers, to whom, and how soon."""

from __future__ import annotations

import asyncio
import logging
import sys
import threading
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from django.core import mail
from django.db import connections
from django.db.backends.base.base import BaseDatabaseWrapper
from django.test import AsyncClient, Client

from django_prodserver.config.context import VARIABLE, Context
from django_prodserver.exceptions import ConfigurationError
from django_prodserver.health import checks, conf, state
from tests.harness import wait_for

COMMON = "django.middleware.common.CommonMiddleware"
SECURITY = "django.middleware.security.SecurityMiddleware"
HERE = __name__


class Asked:
    """What a check of the tests does, and how often it has been asked."""

    def __init__(self) -> None:
        self.calls = 0
        self.threads: list[threading.Thread] = []
        self.conduct: Callable[[], object] = lambda: None

    def __call__(self) -> Any:
        self.calls += 1
        self.threads.append(threading.current_thread())
        return self.conduct()


asked = Asked()


def check() -> Any:
    return asked()


async def async_check() -> Any:
    await asyncio.sleep(0)
    return asked()


def well() -> None:
    """A check that has nothing to say."""


@pytest.fixture(autouse=True)
def _fresh(settings, monkeypatch):
    monkeypatch.setattr(f"{HERE}.asked", Asked())
    monkeypatch.delenv(VARIABLE, raising=False)
    settings.MIDDLEWARE = [conf.MIDDLEWARE, SECURITY, COMMON]


def configure(settings, *names: str, **more: object) -> None:
    # A machine with much to do may need the time.
    settings.PRODSERVER_HEALTH = {"CHECKS": [*names], "TIMEOUT": 30, **more}


CHECK, ASYNC_CHECK, WELL = (
    f"{HERE}.{name}" for name in ("check", "async_check", "well")
)


@pytest.fixture(params=["sync", "async"])
def ask(request, settings):
    """Ask a process of the project: all its requests go through one middleware."""
    clients: list[Any] = []

    def ask(path="/-/ready", method="get", **kwargs):
        if not clients:
            asynchronous = request.param == "async"
            clients.append(AsyncClient() if asynchronous else Client())
        answer = getattr(clients[0], method)(path, **kwargs)
        return asyncio.run(answer) if request.param == "async" else answer

    return ask


def said(answer: Any) -> tuple[int, str]:
    return answer.status_code, answer.content.decode()


READY = (200, "ready\n")


def test_what_is_asked_is_answered(ask):
    assert said(ask("/-/live")) == (200, "alive\n")
    answer = ask("/-/ready")
    assert said(answer) == READY
    assert answer.headers == {
        "Content-Type": "text/plain; charset=utf-8",
        "Content-Length": "6",
        "Cache-Control": "no-store",
    }


def test_everything_else_is_the_applications(ask):
    assert ask("/about").json()["pid"]
    for path in ("/", "/-/", "/-/ready/", "/x/-/ready"):
        assert ask(path).status_code == 404


def test_no_host_and_no_tls_is_asked_for(ask, settings):
    settings.ALLOWED_HOSTS = ["shop.example"]
    settings.SECURE_SSL_REDIRECT = True
    assert said(ask("/-/ready")) == READY
    assert said(ask("/-/live")) == (200, "alive\n")
    assert ask("/about").status_code == 400


def test_the_paths_are_configurable(ask, settings):
    settings.PRODSERVER_HEALTH = {"LIVE_PATH": "/up", "READY_PATH": "/healthz"}
    assert said(ask("/up")) == (200, "alive\n")
    assert said(ask("/healthz")) == READY
    assert ask("/-/ready").status_code == 404


def test_a_prefix_of_a_proxy_is_not_part_of_the_path(ask, settings):
    settings.FORCE_SCRIPT_NAME = "/shop"
    assert said(ask("/-/ready")) == READY


def test_head_and_nothing_else(ask):
    answer = ask("/-/ready", "head")
    assert (answer.status_code, answer.headers["Content-Length"]) == (200, "6")
    answer = ask("/-/live", "post")
    assert said(answer) == (405, "only GET and HEAD\n")
    assert answer.headers["Allow"] == "GET, HEAD"


@pytest.mark.parametrize("name", ["check", "async_check"])
def test_a_failing_check_is_named_and_its_message_is_in_the_log(
    name, ask, settings, caplog
):
    configure(settings, f"{HERE}.{name}", WELL)
    settings.ADMINS = ["admin@shop.example"]

    def fail():
        raise OSError("no route to\n10.0.0.7")

    asked.conduct = fail
    with caplog.at_level(logging.INFO):
        assert said(ask()) == (503, f"not ready: {HERE}.{name}\n")
        assert ask("/-/ready", "head").status_code == 503
        assert said(ask("/-/live")) == (200, "alive\n")
    line = f"not ready: {HERE}.{name}: OSError: no route to 10.0.0.7"
    # Once, and nothing of Django's own, which would mail it to the admins too.
    assert [record.getMessage() for record in caplog.records] == [line]
    assert mail.outbox == []


@pytest.mark.parametrize(
    ("conduct", "expected"),
    [
        (lambda: None, ""),
        (lambda: True, ""),
        (lambda: 0, ""),
        (lambda: False, "returned False"),
        (lambda: sys.exit(0), "SystemExit: 0"),
    ],
    ids=["None", "True", "0", "False", "exit"],
)
def test_what_a_check_may_say(conduct, expected, ask, settings, caplog):
    configure(settings, CHECK)
    asked.conduct = conduct
    assert ask().status_code == (503 if expected else 200)
    assert caplog.messages == ([f"not ready: {CHECK}: {expected}"] if expected else [])


def test_the_log_says_when_it_changes(ask, settings, caplog):
    configure(settings, CHECK, MAX_AGE=0)
    for answer, status in (("well", 200), ("not", 503), ("not", 503), ("well", 200)):
        asked.conduct = partial({"well": True, "not": False}.get, answer)
        assert ask().status_code == status
    assert asked.calls == 4
    assert caplog.messages == [
        f"not ready: {CHECK}: returned False",
        f"{CHECK} passes again",
    ]


def test_a_result_counts_for_everyone_for_a_while(ask, settings):
    configure(settings, CHECK, MAX_AGE=3600)
    for _ in range(10):
        assert said(ask()) == READY
    assert asked.calls == 1


def test_a_check_that_hangs_costs_one_thread_and_no_time(ask, settings, caplog):
    configure(settings, CHECK, TIMEOUT=1, MAX_AGE=0)
    release = threading.Event()
    asked.conduct = lambda: release.wait(60)
    began = time.monotonic()
    for _ in range(40):
        assert said(ask()) == (503, f"not ready: {CHECK}\n")
    # It would be 40 s, were it waited for at each of them.
    assert time.monotonic() - began < 20
    assert asked.calls == 1
    assert caplog.messages == [f"not ready: {CHECK}: no answer within 1 s"]
    release.set()
    wait_for(lambda: not asked.threads[0].is_alive(), "the end of its thread")
    asked.conduct = lambda: None
    wait_for(lambda: said(ask()) == READY, "ready again")
    assert asked.threads[0].daemon, "it would keep the process from ending"


def test_a_check_that_hangs_for_long_is_begun_anew(ask, settings, monkeypatch, caplog):
    """What it hangs on may be gone for good, and a new connection would be well."""
    monkeypatch.setattr(checks, "_GIVE_UP_AFTER", 0.3)
    configure(settings, CHECK, TIMEOUT=0.1, MAX_AGE=0)
    release = threading.Event()
    asked.conduct = lambda: release.wait(60)
    assert ask().status_code == 503
    asked.conduct = lambda: None
    wait_for(lambda: said(ask()) == READY, "ready, though the first one hangs")
    assert asked.threads[0].is_alive()
    before = [*caplog.messages]
    assert before[0] == f"not ready: {CHECK}: no answer within 0.1 s"
    assert before[-1] == f"{CHECK} passes again"
    release.set()
    asked.threads[0].join(60)
    assert caplog.messages == before, "what has been given up is of long ago"
    wait_for(lambda: said(ask()) == READY, "ready")


def test_no_more_than_a_few_checks_hang(ask, settings, monkeypatch):
    monkeypatch.setattr(checks, "_GIVE_UP_AFTER", 0.0)
    monkeypatch.setattr(checks, "_MAX_HANGING", 3)
    configure(settings, CHECK, TIMEOUT=0.05, MAX_AGE=0)
    release = threading.Event()
    asked.conduct = lambda: release.wait(60)
    for _ in range(10):
        assert ask().status_code == 503
    assert asked.calls == 3
    release.set()
    for thread in asked.threads:
        thread.join(60)


def test_those_who_wait_for_one_that_hangs_are_forgotten(settings):
    """Or each probe would leave something behind, for as long as it hangs."""
    release = threading.Event()
    asked.conduct = lambda: release.wait(60)
    one = checks.Check(CHECK, conf.Health(timeout=0.2))

    async def wait_often() -> None:
        for _ in range(50):
            await one.current_run().wait_async()

    asyncio.run(wait_often())
    run = one.current_run()
    assert len(vars(run.future)["_done_callbacks"]) == 1
    release.set()
    asked.threads[0].join(60)


def test_an_answer_that_is_late_is_none(ask, settings, caplog):
    configure(settings, CHECK, TIMEOUT=0.2, MAX_AGE=3600)
    asked.conduct = lambda: time.sleep(0.6)
    assert ask().status_code == 503
    asked.threads[0].join(60)
    assert ask().status_code == 503
    assert asked.calls == 1
    assert caplog.messages == [f"not ready: {CHECK}: no answer within 0.2 s"]


def test_a_check_leaves_no_connection_open(ask, settings, tmp_path, django_db_blocker):
    """Each run has a thread, and so connections, of its own."""
    configure(settings, CHECK, MAX_AGE=0)
    opened: list[BaseDatabaseWrapper] = []

    def connect() -> None:
        connection = connections["default"]
        connection.settings_dict = {
            **connection.settings_dict,
            "NAME": tmp_path / "db.sqlite3",
        }
        connection.ensure_connection()
        opened.append(connection)

    asked.conduct = connect
    with django_db_blocker.unblock():
        for _ in range(3):
            assert said(ask()) == READY
        for thread in asked.threads:
            thread.join(60)
    assert len(opened) == 3
    assert [connection.connection for connection in opened] == [None] * 3


def test_checks_run_side_by_side(ask, settings):
    """The limit is that of the answer, however many there are."""
    both = threading.Barrier(2, timeout=30)
    asked.conduct = lambda: both.wait() * 0
    configure(settings, CHECK, ASYNC_CHECK)
    assert said(ask()) == READY


class NoThread(threading.Thread):
    def start(self):
        raise RuntimeError("can't start new thread")


def test_no_more_threads_is_not_ready(ask, settings, monkeypatch, caplog):
    configure(settings, CHECK)
    none_left = SimpleNamespace(Thread=NoThread, Lock=threading.Lock)
    monkeypatch.setattr(f"{checks.__name__}.threading", none_left)
    assert said(ask()) == (503, f"not ready: {CHECK}\n")
    assert caplog.messages == [f"not ready: {CHECK}: can't start new thread"]


@pytest.fixture
def runtime(tmp_path, monkeypatch) -> Path:
    monkeypatch.setenv("PRODSERVER_RUNTIME_DIR", str(tmp_path))
    file = state.write(state.State("web", "web"))
    assert file
    monkeypatch.setenv(VARIABLE, Context(state_file=file).encode())
    return Path(file)


def own(file: Path) -> state.State:
    found = state.read(str(file))
    assert found
    return found


def test_what_drains_is_alive_and_not_ready(runtime, ask, settings):
    configure(settings, CHECK, MAX_AGE=0)
    assert said(ask()) == READY
    own(runtime).drain()
    assert said(ask()) == (503, "not ready: draining\n")
    assert said(ask("/-/live")) == (200, "alive\n")
    assert ask("/about").status_code == 200
    assert asked.calls == 1, "what drains has nothing to ask"
    (runtime.parent / "web.draining").unlink()
    assert said(ask()) == READY


def test_another_run_of_the_name_may_drain(runtime, ask):
    """In a folder that two containers share, or before this one."""
    assert said(ask()) == READY
    runtime.unlink()
    assert state.write(state.State("web", "web", pid=1, start="1"))
    own(runtime).drain()
    assert said(ask()) == READY


# What has a name


def test_the_cache(ask, settings, caplog):
    configure(settings, "cache:own", MAX_AGE=0)
    backends = "django.core.cache.backends"
    for backend, status in ((f"{backends}.locmem.LocMemCache", 200), (DUMMY, 503)):
        settings.CACHES = {"default": {}, "own": {"BACKEND": backend}}
        assert ask().status_code == status
    assert caplog.messages == ["not ready: cache:own: does not return the stored value"]


#: Takes everything and keeps nothing, as one that ignores that it has no server.
DUMMY = "django.core.cache.backends.dummy.DummyCache"


@pytest.mark.parametrize(
    "value", [{"CHECKS": ["databse"]}, {"TIMEOUT": "1"}, {"CHECKS": ["a.b"]}, 5]
)
def test_a_fault_is_said_at_the_start(value, ask, settings):
    settings.PRODSERVER_HEALTH = value
    with pytest.raises(ConfigurationError, match=r"^PRODSERVER_HEALTH"):
        ask("/about")
