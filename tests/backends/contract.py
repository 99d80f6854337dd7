"""
What holds for every web server and for every worker, with real processes.

The test file of a backend hands it over, and adds what is only its own::

    class TestGranian(WebContract):
        backend = "granian.GranianASGIServer"
        variants = {"1": {}, "2": {"WORKERS": 2}}

A variant is a way to run the backend: keys of its entry in PRODUCTION_PROCESSES,
portable settings or ARGS. What a test may expect of a backend (exit codes, whether
SIGINT finishes a request) is read from the backend class.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
import signal
import socket
import ssl
import time
import urllib.request
from collections.abc import Collection, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, ClassVar

import psutil
import pytest
from django.test import override_settings

from django_prodserver.health import conf
from tests import harness, schema
from tests.backends.sites import (
    ACCESS,
    IN_THAT_MOMENT,
    NO,
    RECORDED,
    YES,
    Broker,
    Client,
    Hammer,
    UnixClient,
    Watched,
    WebSite,
    WorkerSite,
    children,
    entry,
    lines,
    load,
    of,
    stop_in_use,
    unsupported,
)
from tests.conftest import STOPS, Row, Starter
from tests.harness import MODULE, SCRIPT, Running

#: Seconds, where a stop is to be cut.
GRACE = 2
#: Seconds that a heartbeat counts. No test fails for a beat that comes late.
MAX_AGE = 3
# A certificate that signs itself, for localhost, until 2126.
TLS = Path(__file__).parents[1] / "tls"
CERTIFICATE = str(TLS / "certificate.pem")
#: Settings of the project: views that log, and the health middleware.
LOGGED: dict[str, Any] = {
    "ROOT_URLCONF": "proj.logged",
    "MIDDLEWARE": [
        conf.MIDDLEWARE,
        "django.middleware.security.SecurityMiddleware",
        "django.middleware.common.CommonMiddleware",
    ],
    # Everything else is redirected: /-/ would be too, but for the middleware.
    "SECURE_SSL_REDIRECT": True,
    "SECURE_REDIRECT_EXEMPT": ["^(?!-/)"],
    "PRODSERVER_HEALTH": {"CHECKS": ["proj.checks.flag"], "TIMEOUT": 20, "MAX_AGE": 0},
}
#: A line of the text form: the head of a record, or one that belongs to it.
TEXT = re.compile(
    r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z "
    r"(debug|info|warning|error|critical) +web\[\d+\] [\w.-]+: .*|    .*"
)
#: What a proxy sends; the first address is the client's own claim.
FORWARDED = {
    "X-Forwarded-For": "9.9.9.9, 203.0.113.7, 127.0.0.1",
    "X-Forwarded-Proto": "https",
    "X-Forwarded-Host": "shop.example",
    "Forwarded": "for=9.9.9.9",
}


class Contract:
    """Parametrises the tests of a contract that take a variant."""

    #: Its dotted path below ``django_prodserver.backends``.
    backend: ClassVar[str]
    variants: ClassVar[Mapping[str, Mapping[str, Any]]]

    def pytest_generate_tests(self, metafunc: pytest.Metafunc) -> None:
        if "variant" in metafunc.fixturenames:
            metafunc.parametrize("variant", list(self.variants))


@pytest.mark.process
class WebContract(Contract):
    """What holds for every web server."""

    #: The exit code for an application that cannot be imported.
    failure_code: ClassVar[int] = 1
    #: The exit code for an option that the server does not know.
    usage_code: ClassVar[int] = 2
    #: The exit code where another process listens at its address.
    address_in_use_code: ClassVar[int] = 1
    #: Variants that close a connection, at a stop, of which no byte has come yet.
    drops_quiet_connections: ClassVar[Collection[str]] = ()
    #: Variants that a connection which is kept, and idle, holds up at a stop.
    waits_for_idle_connections: ClassVar[Collection[str]] = ()
    #: Whether a worker resets what is in its queue when SIGHUP replaces it.
    drops_connections_on_sighup: ClassVar[bool] = False
    #: Variants whose application does not see X-Forwarded-Host, of any proxy.
    hides_forwarded_host: ClassVar[Collection[str]] = ()
    #: Whether a stream goes on to its end when its client has gone.
    streams_to_nobody: ClassVar[bool] = False

    @pytest.fixture
    def site(self, start: Starter, port: int, variant: str) -> WebSite:
        """The project, served by this backend as that variant."""
        return WebSite(start, port, self.backend, self.variants[variant])

    @pytest.fixture
    def plain(self, start: Starter, port: int) -> WebSite:
        """The project, served by this backend with no settings but those of a test."""
        return WebSite(start, port, self.backend, {})

    def test_a_life(self, site: WebSite, variant: str, row: Row) -> None:
        """It starts, serves, logs, is probed, drains, and stops while it is used."""
        web = site.serve(LOG_FORMAT="json", settings=LOGGED, env=recorded())
        is_the_process_that_was_started(site, web)
        assert site.loaded_by() == [web.process.pid], "loaded once, before a fork"
        assert "not preloading" not in web.output
        is_known_to_the_probe(site, web)
        keeps_ids_apart(web)
        answers_for_its_log(web)
        drains(site, web)

        idle = 0 if variant in self.waits_for_idle_connections else 4
        stopped = stop_in_use(web, idle)
        assert stopped.in_flight == "slow done"
        if variant not in self.drops_quiet_connections:
            assert stopped.quiet == "200"
        assert stopped.code == site.stop_code
        assert stopped.seconds < 10
        came = stopped.came.copy()
        assert came.pop("200", 0) + came.pop("refused", 0) > 20
        assert came.total() <= IN_THAT_MOMENT, came
        has_logged(site, web, self.streams_to_nobody)
        assert site.probed("web")[0] == 1
        assert site.probed("--live", "web")[0] == 1
        row(
            STOPS,
            **{"backend": f"{self.backend} {variant}", "first (s)": web.ready_after},
            **{"in flight": "completed", "exit": stopped.code},
            **{"stop (s)": stopped.seconds},
        )

    def test_the_next_start_is_a_new_one(self, site: WebSite) -> None:
        """On the same address, with the drain marker of the last, and not preloaded."""
        web = site.serve(settings=LOGGED, env=recorded())
        assert site.start.probe("--drain=0").returncode == 0
        assert web.health("/-/ready")[0] == 503
        assert web.stop() == site.stop_code
        marker = site.start.data / "web.draining"
        # As if the clock had been set back in between.
        os.utime(marker, (2**32, 2**32))
        site.forget_loads()

        web = site.serve(via=MODULE, PRELOAD=False, settings=LOGGED, env=recorded())
        assert web.health("/-/ready") == (200, "ready\n")
        assert site.probed()[0] == 0
        assert set(site.loaded_by()) == web.workers(site.count)
        assert len(site.loaded_by()) == site.count, "loaded by each worker, once"
        assert "not preloading" not in web.output
        assert web.stop() == site.stop_code

    def test_behind_a_proxy_until_ctrl_c(self, site: WebSite, variant: str) -> None:
        """It believes a proxy that is trusted, logs text, and SIGINT stops it."""
        web = site.serve(
            via=SCRIPT,
            settings=LOGGED,
            ROOT_PATH="/shop",
            TRUSTED_PROXIES=["127.0.0.0/8", "::1"],
        )
        # Whether the proxy leaves the prefix to it or not.
        for path in ("/shop/seen", "/seen"):
            assert seen(web, path) == {
                "scheme": "https",
                "client": "203.0.113.7",
                "path": "/shop/seen",
                "path_info": "/seen",
                "reverse": "/shop/seen",
                "forwarded_host": variant not in self.hides_forwarded_host,
            }
        answer = web.ask("/noted?n=1", **{"X-Request-ID": "ab-1"})
        assert answer[:2] == (200, "ab-1")
        assert web.ask("/hostile").status == 200
        assert web.ask("/fail").status == 500
        request = web.in_flight("/slow?s=2")
        assert web.stop(signal.SIGINT) == 0
        if site.finishes_on(signal.SIGINT):
            assert request.result() == "slow done"

        for text in web.output.splitlines():
            assert TEXT.fullmatch(text), text
        pattern = (
            rf"{ACCESS}: GET /shop/noted 200 request_id=ab-1 "
            r"duration=\d+\.\d+ bytes=5 client=127\.0\.0\.1$"
        )
        assert len(re.findall(pattern, web.output, re.MULTILINE)) == 1
        assert "GET /shop/seen 200" in web.output
        assert "client=203.0.113.7" in web.output
        # What a client sends cannot pass for a line of its own.
        forged = "2026-01-01T00:00:00.000Z info web[1] x: \\x1b[31mred\\r"
        assert f"\n    {forged}\n" in web.output
        assert "\n    ValueError: it fails\n    in two lines\n" in web.output

    def test_the_printed_command_does_the_same(self, site: WebSite) -> None:
        """What --dry-run prints logs the same, and believes no other proxy."""
        keys: dict[str, Any] = {"LOG_FORMAT": "json", "TRUSTED_PROXIES": ["10.0.0.0/8"]}
        web = site.serve_pasted(LOGGED, **keys)
        assert web.about()["asgi"] is (site.interface == "asgi")
        # Not even with headers that pass.
        assert seen(web, "/seen") == {
            "scheme": "http",
            "client": "127.0.0.1",
            "path": "/seen",
            "path_info": "/seen",
            "reverse": "/seen",
            "forwarded_host": False,
        }
        answer = web.ask("/printed", **{"X-Request-ID": "ab-1"})
        assert answer[:2] == (200, "ab-1")
        assert web.stop() == site.stop_code
        found = lines(web)
        (told,) = of(found, request_id="ab-1", logger=ACCESS)
        assert told["path"] == "/printed"
        assert of(found, request_id="ab-1", logger="stdout")
        assert {one["process"] for one in found} == {"web"}

    def test_an_application_that_cannot_be_imported_ends_it(
        self, site: WebSite
    ) -> None:
        path = "proj.broken.application"
        web = site.fails({"WSGI_APPLICATION": path, "ASGI_APPLICATION": path})
        assert web.process.returncode == self.failure_code
        assert "Traceback" in web.output
        assert "a bug of the user's" in web.output

    def test_an_app_that_cannot_be_set_up_ends_it(self, plain: WebSite) -> None:
        """In the launcher, whatever the server."""
        env = plain.start.environment(
            {"web": plain.entry()}, TEST_APPS='["proj.broken"]'
        )
        # Not by manage.py, which fails on it before it asks us.
        web: Running = plain.start.process([*MODULE, "web"], env)
        assert web.exits(20) == 1
        assert "a bug of the user's" in web.output

    def test_an_unknown_option_ends_it(self, plain: WebSite) -> None:
        """The server says so itself; "manage.py check" does before."""
        web = plain.fails(ARGS={"no-such-option": 1})
        assert web.process.returncode == self.usage_code
        assert "no-such-option" in web.output
        assert "Traceback" not in web.output

    def test_an_address_in_use_ends_it(self, site: WebSite) -> None:
        with socket.create_server(("127.0.0.1", site.port)):
            web = site.fails()
        assert web.process.returncode == self.address_in_use_code
        assert re.search("address.*in use", web.output, re.IGNORECASE)

    def test_portable_settings(self, plain: WebSite) -> None:
        """THREADS, KEEP_ALIVE and GRACEFUL_TIMEOUT, which cuts a request at last."""
        web = plain.serve(THREADS=2, KEEP_ALIVE=1, GRACEFUL_TIMEOUT=GRACE)
        with socket.create_connection(("127.0.0.1", web.port), 30) as idle:
            idle.sendall(b"GET /who?s=0 HTTP/1.1\r\nHost: localhost\r\n\r\n")
            answer = b""
            while more := idle.recv(4096):  # until the server closes it
                answer += more
        assert answer.startswith(b"HTTP/1.1 200")
        if "THREADS" not in unsupported(plain.backend):
            # The third has to wait for one of the two before it.
            two = [web.in_flight("/slow?s=2") for _ in range(2)]
            third = web.in_flight("/slow?s=0")
            for request in (*two, third):
                assert request.result() == "slow done"
            events = re.findall(r"slow (began|ended)", web.output)
            assert events[:3] == ["began", "began", "ended"]
        is_cut(web, plain.cut_code)

    def test_portable_settings_on_a_unix_socket(
        self, start: Starter, short_folder: Path
    ) -> None:
        """One dictionary for all servers; what one cannot honour, it says."""
        path = short_folder / "web.sock"
        with socket.socket(socket.AF_UNIX) as left:
            left.bind(str(path))  # as a server that was killed leaves it
        keys = {
            **{"WORKERS": 2, "THREADS": 3, "GRACEFUL_TIMEOUT": GRACE, "KEEP_ALIVE": 30},
            **{"TIMEOUT": 90, "MAX_REQUESTS": 1000, "BIND": f"unix:{path}"},
        }
        config = entry(self.backend, keys)
        backend = load(config)
        cannot = unsupported(backend)
        env = start.environment({"web": config})
        web: UnixClient = start.process([*SCRIPT, "web"], env, kind=UnixClient)
        web.socket = path
        web.wait_until_ready()
        if "WORKERS" in cannot:
            assert web.workers(1) == {web.process.pid}
        else:
            answered = web.workers(2)
            assert len(answered) == 2
            assert answered <= children(web.process.pid)
        for key in keys:
            assert (f"{key} does nothing here" in web.output) is (key in cannot), key
        is_cut(web, backend.cut_exit_code(backend.args))

    def test_a_certificate_makes_it_tls(self, plain: WebSite) -> None:
        if "CERTFILE" in unsupported(plain.backend):
            pytest.skip("it speaks no TLS")
        keys = {"CERTFILE": CERTIFICATE, "KEYFILE": str(TLS / "key.pem")}
        env = plain.start.environment({"web": plain.entry(**keys)})
        web: Client = plain.start.process([*SCRIPT, "web"], env, kind=Client)
        trusted = ssl.create_default_context(cafile=CERTIFICATE)
        url = f"https://127.0.0.1:{plain.port}/who?s=0"

        def answers() -> bool:
            try:
                with urllib.request.urlopen(url, timeout=5, context=trusted) as answer:
                    return bool(answer.status == 200)
            except OSError:
                return False

        web.until(answers, "an answer over TLS")
        assert plain.probed("web")[0] == 0

    def test_a_stop_as_a_worker_is_forked(self, plain: WebSite) -> None:
        """A worker that has no handlers yet does not miss it, and is not waited for."""
        if "WORKERS" in unsupported(plain.backend):
            pytest.skip("it has no workers")
        env = plain.start.environment(
            {"web": plain.entry(WORKERS=2)},
            TEST_APPS='["proj.forked.ForkedConfig"]',
        )
        web: Running = plain.start.process([*MODULE, "web"], env)
        web.until(lambda: (plain.start.data / "forked").exists(), "the fork")
        forked = time.monotonic()
        assert web.exits() == 0
        assert time.monotonic() - forked < 10

    def test_sighup_replaces_the_workers(self, plain: WebSite) -> None:
        if "WORKERS" in unsupported(plain.backend):
            pytest.skip("it has no workers")
        web = plain.serve(WORKERS=2)
        old = web.workers(2)
        with Hammer(web) as client:
            web.process.send_signal(signal.SIGHUP)
            web.until(
                lambda: not old & children(web.process.pid), "the old workers gone"
            )
            served = len(client.answers)
            web.until(lambda: len(client.answers) > served + 10, "answers after it")
        assert self.drops_connections_on_sighup or not client.errors
        assert not old & set(client.answers[served + 1 :])
        assert web.stop() == 0

    def test_the_users_root_handler_gets_everything(self, plain: WebSite) -> None:
        """LOGGING stands where it says something, and nothing is told twice."""
        logging = {
            "version": 1,
            "disable_existing_loggers": False,
            "formatters": {"own": {"format": "OWN %(name)s %(levelname)s %(message)s"}},
            "handlers": {"own": {"class": "logging.StreamHandler", "formatter": "own"}},
            "root": {"handlers": ["own"], "level": "INFO"},
        }
        web = plain.serve(settings={**LOGGED, "LOGGING": logging}, LOG_FORMAT="json")
        answer = web.ask("/log", **{"X-Request-ID": "ab-1"})
        assert answer[:2] == (200, "ab-1")
        web.stop()
        said = web.output.splitlines()
        assert said.count("OWN proj.urls WARNING a line of the application") == 1
        assert said.count(f"OWN {ACCESS} INFO GET /log 200") == 1
        assert '"ab-1"' not in web.output


def recorded() -> dict[str, str]:
    return {"TEST_APPS": RECORDED}


def is_the_process_that_was_started(site: WebSite, web: Client) -> None:
    """There is nothing in between: it answers, or is the parent of those that do."""
    if "WORKERS" in site.variant or children(web.process.pid):
        assert web.workers(site.count) <= children(web.process.pid)
        assert len(web.workers(site.count)) == site.count
    about = web.about()
    # Else the garbage collector would write to the memory that workers share.
    assert about["frozen"] > 1000 or about["pid"] == web.process.pid
    assert web.process.pid in (about["pid"], about["ppid"])
    assert about["asgi"] is (site.interface == "asgi")
    # What the application sees of the command line is what it would see natively.
    argv = about["argv"]
    assert argv[1:] == site.native_argv(LOG_FORMAT="json", settings=LOGGED)[1:]
    assert Path(argv[0]).is_absolute()


def is_known_to_the_probe(site: WebSite, web: Client) -> None:
    """Its health is asked for before hosts and redirects matter."""
    where = f"127.0.0.1:{web.port}"
    assert site.probed() == (0, f"web is ready: 200 from {where}")
    assert site.probed("--live") == (0, f"web is alive: it listens on {where}")
    assert web.health("/log")[0] == 400
    assert web.health("/-/live") == (200, "alive\n")
    assert web.health("/-/ready") == (200, "ready\n")
    assert web.health("/-/ready", "HEAD") == (200, "")
    assert web.health("/-/ready", "POST") == (405, "only GET and HEAD\n")

    flag = site.start.data / "down"
    flag.write_text("the message of the check")
    assert web.health("/-/ready") == (503, "not ready: proj.checks.flag\n")
    assert web.health("/-/live") == (200, "alive\n")
    assert site.probed() == (1, f"web is not ready: 503 from {where}")
    assert site.probed("--live")[0] == 0
    web.says("not ready: proj.checks.flag: OSError: the message of the check")
    assert "Service Unavailable: /-/ready" not in web.output, "Django's own line"
    flag.unlink()
    assert web.health("/-/ready") == (200, "ready\n")


def drains(site: WebSite, web: Client) -> None:
    """Not ready and alive; it serves on."""
    assert site.start.probe("--drain=0").returncode == 0
    assert site.probed() == (1, "web is not ready: it is draining")
    assert web.health("/-/ready") == (503, "not ready: draining\n")
    assert web.health("/-/ready", "HEAD") == (503, "")
    assert web.health("/-/live") == (200, "alive\n")
    assert site.probed("--live")[0] == 0
    assert web.about()["pid"]


#: Names of requests at the same time, which all keep theirs.
IDS = [f"id-{number}" for number in range(24)]
#: The longest that is taken, and some that are replaced.
LONGEST_ID = "a" * 128
WRONG_IDS = ("a b", 'a"}', "a" * 129, "<script>", "a\x85b", "ä")
#: The bytes of a stream of 5 s.
ENDLESS = 5_000
AGENT = "Mozilla'\"\\{}%s%(x)s" + "A" * 3000


def keeps_ids_apart(web: Client) -> None:
    """Ask for a slow view, in threads and not, with several requests at a time."""
    for view in ("noted", "async-noted"):
        with ThreadPoolExecutor(8) as pool:
            answers = pool.map(
                lambda id: web.ask(f"/{view}?n={id}", **{"X-Request-ID": id}),  # noqa: B023
                IDS,
            )
            assert [answer[:2] for answer in answers] == [(200, id) for id in IDS]
    for given in WRONG_IDS:
        answer = web.ask("/about", **{"X-Request-ID": given})
        assert answer.status == 200
        assert re.fullmatch("[0-9a-f]{32}", answer.request_id or ""), given
    answer = web.ask("/about", **{"X-Request-ID": LONGEST_ID})
    assert answer[:2] == (200, LONGEST_ID)


def answers_for_its_log(web: Client) -> None:
    """Ask for what ``has_logged`` looks for."""
    answer = web.ask("/noted?n=1&key=SECRET", **{"X-Request-ID": "ab-1"})
    assert answer[:2] == (200, "ab-1")
    assert web.ask("/fail?key=SECRET", **{"X-Request-ID": "fail-1"}).status == 500
    for path in ("/printed", "/stream", "/hostile"):
        assert web.ask(path, **{"X-Request-ID": path.strip("/")}).status == 200
    for agent in (AGENT, f"{AGENT}\x85"):
        assert web.ask("/hostile", **{"User-Agent": agent}).status == 200
    web.leave_in_mid_stream("/endless")
    web.says("GET /endless ")


def has_logged(site: WebSite, web: Client, streams_to_nobody: bool) -> None:
    """Every line of a life is of the schema, and there is one for each request."""
    found = lines(web)
    assert "SECRET" not in web.output
    assert {one["process"] for one in found} == {"web"}
    access = {
        **{"logger": ACCESS, "message": "GET /noted 200", "level": "info"},
        **{"method": "GET", "path": "/noted", "status": 200, "bytes": 5},
        **{"client": "127.0.0.1", "request_id": "ab-1"},
    }
    (noted,) = of(found, **access)
    assert 0.05 <= noted["duration"] < 30
    of_request = of(found, request_id="ab-1", pid=noted["pid"])
    assert [one["message"] for one in of_request] == [
        "begins 1",
        "ends 1",
        "GET /noted 200",
    ]
    assert of_request[1]["extra"] == {"number": 7, "who": "{'a': 'b'}"}
    for id in IDS:
        messages = [one["message"] for one in of(found, request_id=id)]
        assert messages == [
            *(f"begins {id}", f"ends {id}", "GET /noted 200"),
            *(f"begins {id}", f"ends {id}", "GET /async-noted 200"),
        ]

    (error,) = of(found, level="error", request_id="fail-1")
    assert error["logger"] == "django.request"
    assert error["exception"] == "ValueError"
    assert error["exception_message"] == "it fails\nin two lines"
    assert "proj/logged.py" in error["traceback"]
    assert of(found, logger=ACCESS, request_id="fail-1", status=500)

    (printed,) = of(found, logger="stdout")
    assert printed["message"] == "printed /printed"
    assert printed["request_id"] == "printed"
    (stream,) = of(found, logger=ACCESS, path="/stream")
    assert stream["bytes"] == 300
    assert len(of(found, message="a chunk", request_id="stream")) == 3
    (left,) = of(found, logger=ACCESS, path="/endless")
    assert left["status"] == 200
    if not streams_to_nobody:
        assert left["bytes"] < ENDLESS
    # Granian leaves out a header that is not ASCII.
    agents = [one for one in found if one["message"].startswith("agent: Mozilla")]
    assert agents
    assert all("'\"\\{}%s%(x)s" in one["message"] for one in agents)
    # Health is told of only where it is bad.
    health = [one for one in of(found, logger=ACCESS) if one["path"].startswith("/-/")]
    assert {one["status"] for one in health} == {405, 503}
    own = {one["logger"].partition(".")[0] for one in found}
    assert own.intersection(site.backend.server_loggers)


def seen(web: Client, path: str) -> dict[str, Any]:
    """Return what a view sees of a request that a proxy has passed on."""
    found = json.loads(web.ask(path, **FORWARDED).body)
    forwarded = found.pop("forwarded")
    assert "HTTP_X_FORWARDED_HOST" in forwarded or not forwarded
    return {**found, "forwarded_host": bool(forwarded)}


def is_cut(web: Client, code: int) -> None:
    """A request that is not finished within GRACEFUL_TIMEOUT is cut."""
    request = web.in_flight("/slow?s=120")
    signalled = time.monotonic()
    assert web.stop(seconds=60) == code
    assert GRACE - 0.5 < time.monotonic() - signalled < 30
    with pytest.raises(OSError, match=r"closed connection|reset"):
        request.result(30)


@pytest.mark.process
class DeadlineContract(Contract):
    """What holds for a worker that is not done within GRACEFUL_TIMEOUT."""

    #: What "manage.py enqueue" calls its queue.
    queue: ClassVar[str]
    #: The same for tasks that go back to their queue, where not all do.
    late_queue: ClassVar[str] = ""
    #: Settings of the project.
    settings: ClassVar[Mapping[str, Any]] = {}
    #: Whether a second SIGTERM does not wait for the deadline.
    hurries_on_a_second_signal: ClassVar[bool] = True

    @pytest.fixture
    def site(self, start: Starter, redis_url: str, variant: str) -> WorkerSite:
        """The project with a database and a broker, for this worker."""
        config = entry(self.backend, {"APP": "proj.celery.app"}, self.variants[variant])
        return WorkerSite(start, redis_url, config, self.settings, self.queue)

    def test_a_task_that_is_not_finished_is_ended_and_put_back(
        self, site: WorkerSite
    ) -> None:
        site.queue = self.late_queue or self.queue
        worker = site.worker(GRACEFUL_TIMEOUT=GRACE)
        site.hold(worker, "long")
        signalled = time.monotonic()
        assert worker.stop(seconds=60) == load(site.config).cut_exit_code([])
        assert GRACE - 0.5 < time.monotonic() - signalled < 30
        assert f"not finished within {GRACE} s (GRACEFUL_TIMEOUT)" in worker.output
        assert site.marks("long") == [(1, 0)]

        # Not preloaded: the Django app alone can connect to the worker's signals.
        last: dict[str, Any] = {
            "GRACEFUL_TIMEOUT": 600,
            "PRELOAD": False,
            "LOG_FORMAT": "json",
        }
        again = site.worker(**last)
        again.until(lambda: site.start.marks("long")[0] == 2, "the task begun again")
        begun = 2
        if self.hurries_on_a_second_signal:  # and the task goes back once more
            again.process.send_signal(signal.SIGTERM)
            time.sleep(1.5)  # RQ takes two within a second for one
            assert again.stop(seconds=60) == 1
            assert site.marks("long") == [(2, 0)]
            again, begun = site.worker(**last), 3
        site.go()
        site.done(again, "long")
        assert again.stop(seconds=60) == 0
        assert site.marks("long") == [(begun, 1)]
        found = lines(again)
        (began,) = of(found, message="working on long")
        assert began["state"] == "started"
        (success,) = of(found, task_id=began["task_id"], state="success")
        assert 0 <= success["runtime"] < 30


class WorkerContract(DeadlineContract):
    """What holds for every worker."""

    #: What its log says when it takes tasks.
    ready: ClassVar[str]
    #: What it calls the task, and the queue, in its log; no queue if it knows none.
    task: ClassVar[str]
    logged_queue: ClassVar[str] = ""
    #: Whether the broker is the database.
    on_database: ClassVar[bool] = False
    #: Processes beside those that CONCURRENCY counts.
    other_processes: ClassVar[int] = 0

    def test_a_life(
        self, site: WorkerSite, start: Starter, broker: Broker, row: Row
    ) -> None:
        """It works and logs, is probed as things happen to it, and is stopped."""
        site.env["TEST_REDIS_URL"] = broker.url
        keys: dict[str, Any] = {"LOG_FORMAT": "json", "HEALTH": {"MAX_AGE": MAX_AGE}}
        worker = site.worker(**keys)
        watched = Watched(start, worker)
        watched.becomes(YES, "is ready")
        ready_after = time.monotonic() - worker.started
        site.enqueue("good", "fail")
        has_ended_both(worker)

        # What it waits for goes: not ready, and alive for as long. And it comes back.
        with self.broker_away(start, broker):
            watched.becomes(NO, "no connection to")
            time.sleep(MAX_AGE + 1)
            assert watched.is_live()
            assert watched.ask("--ready")[0] == NO
        watched.becomes(YES, "is ready", seconds=120)

        worker.process.send_signal(signal.SIGSTOP)
        watched.dies("is stopped")
        worker.process.send_signal(signal.SIGCONT)
        watched.becomes(YES, "is ready")

        # A task that takes longer than the age that counts.
        site.hold(worker, "long")
        time.sleep(MAX_AGE + 1)
        watched.becomes(YES, "is ready")
        site.enqueue("behind")
        worker.process.send_signal(signal.SIGTERM)
        watched.becomes(NO, "draining")
        site.go()
        signalled = time.monotonic()
        code = worker.exits()
        assert code == 0
        took = time.monotonic() - signalled
        assert took < 15
        assert site.marks("long") == [(1, 1)]
        watched.dies("is not running")
        self.has_logged(worker)

        again = site.pasted()
        # One more, that is surely the second worker's: it is in its loop by then.
        site.enqueue("last")
        site.done(again, "behind", "last")
        assert again.stop() == 0
        assert site.marks("behind", "long", "last") == [(1, 1)] * 3
        row(
            STOPS,
            **{"backend": self.id(site), "first (s)": ready_after},
            **{"in flight": "completed", "exit": code, "stop (s)": took},
        )

    def test_sigint_finishes_the_task(self, site: WorkerSite) -> None:
        worker = site.worker(via=MODULE)
        site.hold(worker, "long")
        worker.process.send_signal(signal.SIGINT)
        site.go()
        code = load(site.config).clean_exit_code(signal.SIGINT, [])
        assert worker.exits() == code
        assert site.marks("long") == [(1, 1)]

    def test_portable_settings(self, start: Starter, redis_url: str) -> None:
        """So many processes, those queues and no other, each replaced after a task."""
        queues = {
            name: {"URL": redis_url} for name in ("default", "wanted", "also", "other")
        }
        tasks = {**self.settings.get("TASKS", TASKS_ON_DATABASE)["default"]}
        settings = {
            **self.settings,
            "TASKS": {"default": {**tasks, "QUEUES": []}},
            "RQ_QUEUES": queues,
        }
        count = 3
        keys = {"CONCURRENCY": count, "QUEUES": ["wanted", "also"], "MAX_TASKS": 1}
        config = entry(self.backend, {"APP": "proj.celery.app"}, keys)
        site = WorkerSite(start, redis_url, config, settings, self.queue)
        with override_settings(**settings):
            cannot = unsupported(load(config))
        worker = site.worker(via=SCRIPT, env={"CELERY_WORKER_LOGLEVEL": "INFO"})
        worker.says(self.ready)
        for key in keys:
            told = f"{key} does nothing here" in worker.output
            assert told is (key in cannot), key
        on = "" if "QUEUES" in cannot else "wanted"
        if on:
            site.enqueue("other", on="other")
        if "CONCURRENCY" in cannot:
            # One process, which ends after its one task.
            site.enqueue("first", on=on)
            assert worker.exits() == 0
        else:
            number = count + self.other_processes
            parent = psutil.Process(worker.process.pid)
            worker.until(
                lambda: len(parent.children(recursive=True)) == number,
                f"{number} processes",
            )
            names = ("first", "second", "third")
            site.enqueue(*names, on=on)
            site.done(worker, *names)
            marks = start.data / "marks"
            done_by = {harness.lines(marks / f"{name}.ended")[0] for name in names}
            assert len(done_by) == 3
            assert worker.stop() == 0
        assert site.marks("first", "other") == [(1, 1), (0, 0)]

    def id(self, site: WorkerSite) -> str:
        args = " ".join(str(value) for value in site.config.get("ARGS", {}).values())
        return f"{self.backend} {args}".strip()

    @contextlib.contextmanager
    def broker_away(self, start: Starter, broker: Broker) -> Iterator[None]:
        database = start.data / "db.sqlite3"
        away = database.with_suffix(".away")
        if self.on_database:
            database.rename(away)
            database.mkdir()
        else:
            broker.kill()
        yield
        if self.on_database:
            database.rmdir()
            away.rename(database)
        else:
            broker.start()

    def has_logged(self, worker: Running) -> None:
        """Every line is of the schema; a task has id, name, queue, state, runtime."""
        found = lines(worker)
        assert {one["process"] for one in found} == {"worker"}
        (good,) = of(found, message="working on good")
        assert good["state"] == "started"
        assert good["task"] == self.task
        (success,) = of(found, task_id=good["task_id"], state="success")
        assert 0 <= success["runtime"] < 30
        (failed,) = of(found, message="working on fail")
        told = of(found, task_id=failed["task_id"], state="failure")
        assert told
        assert "it fails" in json.dumps(told)
        if self.logged_queue:
            queues = {one["queue"] for one in (good, failed, *told)}
            assert queues == {self.logged_queue}
            assert of(told, exception="ValueError", exception_message="it fails")
        after = found[found.index(told[-1]) + 1 :]
        ids = (good["task_id"], failed["task_id"])
        assert not [one for one in after if one.get("task_id") in ids]


TASKS_ON_DATABASE = {"default": {"BACKEND": "django_tasks_db.DatabaseBackend"}}


def has_ended_both(worker: Running) -> None:
    """Wait for the lines of a task that is done and of one that has failed."""

    def states() -> set[str]:
        # Whole lines only: the last may be on its way.
        whole = worker.output.rpartition("\n")[0].splitlines()
        found = [schema.line(text) for text in whole]
        return {one["state"] for one in found if "runtime" in one}

    worker.until(lambda: states() == {"success", "failure"}, "both tasks ended")
