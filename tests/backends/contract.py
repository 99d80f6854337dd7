"""
The contracts: tests that every web server and every worker must pass.

They start real processes. To test a backend, subclass ``WebContract`` or
``WorkerContract`` in ``tests/backends/test_NAME.py`` and add the tests that only this
backend needs. Expected exit codes, and whether SIGINT lets requests finish, are read
from the backend class.
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
    HOLD,
    MAX_RESETS_AT_CLOSE,
    NO,
    RECORDED,
    YES,
    Broker,
    Client,
    LoadGenerator,
    ProbedProcess,
    UnixClient,
    WebSite,
    WorkerSite,
    children,
    entry,
    load,
    log_records,
    matching,
    stop_under_load,
    unsupported,
)
from tests.conftest import STOPS, Row, Starter
from tests.harness import MODULE, SCRIPT, Running

#: GRACEFUL_TIMEOUT in seconds, for tests in which a stop reaches it.
GRACE = 2
#: Seconds for which a heartbeat is valid. A late heartbeat fails no test.
MAX_AGE = 3
# A self-signed certificate for localhost, valid until 2126.
TLS = Path(__file__).parents[1] / "tls"
CERTIFICATE = str(TLS / "certificate.pem")
#: Settings of the test project: views that log, and the health middleware.
SETTINGS: dict[str, Any] = {
    "ROOT_URLCONF": "proj.logged",
    "MIDDLEWARE": [
        conf.MIDDLEWARE,
        "django.middleware.security.SecurityMiddleware",
        "django.middleware.common.CommonMiddleware",
    ],
    # Only /-/ is not exempt: without the middleware it would be redirected.
    "SECURE_SSL_REDIRECT": True,
    "SECURE_REDIRECT_EXEMPT": ["^(?!-/)"],
    "PRODSERVER_HEALTH": {"CHECKS": ["proj.checks.flag"], "TIMEOUT": 20, "MAX_AGE": 0},
}
#: A line of the text format: the first of a record, or an indented further one.
TEXT = re.compile(
    r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z "
    r"(debug|info|warning|error|critical) +web\[\d+\] [\w.-]+: .*|    .*"
)
#: Headers sent by a proxy; the first address was sent by the client itself.
FORWARDED = {
    "X-Forwarded-For": "9.9.9.9, 203.0.113.7, 127.0.0.1",
    "X-Forwarded-Proto": "https",
    "X-Forwarded-Host": "shop.example",
    "Forwarded": "for=9.9.9.9",
}


class Contract:
    """
    Run the tests of a contract once for each variant of a backend.

    A variant is a way to run the backend: keys of its ``PRODUCTION_PROCESSES`` entry
    (portable settings, or options in ``ARGS``) under the name that test ids show::

        variants = {"1": {}, "sync-2": {"WORKERS": 2, "ARGS": {"worker-class": "sync"}}}
    """

    #: The backend's dotted path below ``django_prodserver.backends``.
    backend: ClassVar[str]
    variants: ClassVar[Mapping[str, Mapping[str, Any]]]

    def pytest_generate_tests(self, metafunc: pytest.Metafunc) -> None:
        if "variant" in metafunc.fixturenames:
            metafunc.parametrize("variant", list(self.variants))


@pytest.mark.process
class WebContract(Contract):
    """
    Test what every web server must do. Subclass it; two attributes are required::

        class TestGranian(WebContract):
            backend = "granian.GranianASGIServer"
            variants = {"1": {}, "2": {"WORKERS": 2}}
            drops_quiet_connections = variants  # only if the server does so

    Override the attributes below where the server differs from their defaults.
    """

    #: The exit code for an application that cannot be imported.
    import_error_code: ClassVar[int] = 1
    #: The exit code for an unknown option.
    usage_error_code: ClassVar[int] = 2
    #: The exit code if another process listens on the address.
    address_in_use_code: ClassVar[int] = 1
    #: Variants that close a connection which has sent nothing when the stop begins.
    drops_quiet_connections: ClassVar[Collection[str]] = ()
    #: Variants whose quiet client sends at once, instead of when a listener is closed.
    sends_without_a_pause: ClassVar[Collection[str]] = ()
    #: Variants that reset the connections which are queued when the stop begins.
    drops_queued_connections: ClassVar[Collection[str]] = ()
    #: Whether a worker resets queued connections when SIGHUP replaces it.
    drops_connections_on_sighup: ClassVar[bool] = False

    @pytest.fixture
    def site(self, start: Starter, port: int, variant: str) -> WebSite:
        """The test project with this backend and the keys of the variant."""
        return WebSite(start, port, self.backend, self.variants[variant])

    @pytest.fixture
    def plain(self, start: Starter, port: int) -> WebSite:
        """The test project with this backend and only the keys that a test adds."""
        return WebSite(start, port, self.backend, {})

    def test_full_lifecycle(self, site: WebSite, variant: str, row: Row) -> None:
        """Start, serve, log, answer the probe, drain, and stop while in use."""
        web = site.serve(LOG_FORMAT="json", settings=SETTINGS, env=recorded())
        check_started_process(site, web)
        assert site.loading_processes() == [web.process.pid], "loaded once"
        assert "not preloading" not in web.output
        check_probe_and_health(site, web)
        check_request_ids(web)
        send_requests_to_log(web)
        check_drain(site, web)

        silence = 0 if variant in self.sends_without_a_pause else 1
        stopped = stop_under_load(web, 4, silence)
        assert stopped.in_flight == "slow done"
        if variant not in self.drops_quiet_connections:
            assert stopped.quiet == "200"
        assert stopped.code == site.stop_code
        assert stopped.seconds < 15  # the limit, GRACEFUL_TIMEOUT, is 25
        resets = stopped.late_clients.copy()
        assert resets.pop("200", 0) + resets.pop("refused", 0) > 20
        assert resets.total() <= MAX_RESETS_AT_CLOSE, resets
        check_log(site, web)
        assert site.probe("web")[0] == 1
        assert site.probe("--live", "web")[0] == 1
        row(
            STOPS,
            **{"backend": f"{self.backend} {variant}", "first (s)": web.ready_after},
            **{"in flight": "completed", "exit": stopped.code},
            **{"stop (s)": stopped.seconds},
        )

    def test_a_stop_serves_those_that_are_queued(
        self, site: WebSite, variant: str
    ) -> None:
        """The kernel has queued them when the stop begins."""
        web = site.serve()
        serving = web.workers(site.worker_count)
        for pid in serving:
            os.kill(pid, signal.SIGSTOP)
        address = ("127.0.0.1", web.port)
        queued = [socket.create_connection(address, 60) for _ in range(5)]
        for client in queued:
            client.sendall(b"GET /who?s=0 HTTP/1.0\r\nHost: localhost\r\n\r\n")
        web.process.send_signal(signal.SIGTERM)
        time.sleep(1)  # longer than between two looks of a server whether to stop
        for pid in serving:
            os.kill(pid, signal.SIGCONT)
        answers = [last_line(client) for client in queued]
        assert web.exits() == site.stop_code
        if variant not in self.drops_queued_connections:
            assert all(answer.isdecimal() for answer in answers), answers

    def test_a_restart_ignores_state_of_the_previous_run(self, site: WebSite) -> None:
        """A new start serves although the last one was draining; without preload."""
        web = site.serve(settings=SETTINGS, env=recorded())
        assert site.start.probe("--drain=0").returncode == 0
        assert web.health("/-/ready")[0] == 503
        assert web.stop() == site.stop_code
        marker = site.start.data / "web.draining"
        # Dated in the future, as if the clock had been set back since.
        os.utime(marker, (2**32, 2**32))
        site.clear_loads()

        web = site.serve(via=MODULE, PRELOAD=False, settings=SETTINGS, env=recorded())
        assert web.health("/-/ready") == (200, "ready\n")
        assert site.probe()[0] == 0
        # The workers first: each has loaded the application when it answers.
        workers = web.workers(site.worker_count)
        assert set(site.loading_processes()) == workers
        assert len(site.loading_processes()) == site.worker_count, "once each"
        assert "not preloading" not in web.output
        assert web.stop() == site.stop_code

    def test_trusted_proxy_text_log_and_sigint(self, site: WebSite) -> None:
        """Headers of a trusted proxy count, the log is text, and SIGINT stops it."""
        web = site.serve(
            via=SCRIPT,
            settings=SETTINGS,
            ROOT_PATH="/shop",
            TRUSTED_PROXIES=["127.0.0.0/8", "::1"],
        )
        # With and without the prefix: proxies may strip it.
        for path in ("/shop/seen", "/seen"):
            assert seen(web, path) == {
                "scheme": "https",
                "client": "203.0.113.7",
                "path": "/shop/seen",
                "path_info": "/seen",
                "reverse": "/shop/seen",
                "forwarded_host": True,
            }
        answer = web.request("/noted?n=1", **{"X-Request-ID": "ab-1"})
        assert answer[:2] == (200, "ab-1")
        assert web.request("/hostile").status == 200
        assert web.request("/fail").status == 500
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
        # Text from a client cannot forge a log line.
        forged = "2026-01-01T00:00:00.000Z info web[1] x: \\x1b[31mred\\r"
        assert f"\n    {forged}\n" in web.output
        assert "\n    ValueError: it fails\n    in two lines\n" in web.output

    def test_dry_run_command_behaves_the_same(self, site: WebSite) -> None:
        """The command that --dry-run prints logs alike and trusts the same proxies."""
        keys: dict[str, Any] = {"LOG_FORMAT": "json", "TRUSTED_PROXIES": ["10.0.0.0/8"]}
        web = site.serve_dry_run_command(SETTINGS, **keys)
        assert web.about()["asgi"] is (site.interface == "asgi")
        # 127.0.0.1 is not a trusted proxy here, so its headers change nothing.
        assert seen(web, "/seen") == {
            "scheme": "http",
            "client": "127.0.0.1",
            "path": "/seen",
            "path_info": "/seen",
            "reverse": "/seen",
            "forwarded_host": False,
        }
        answer = web.request("/printed", **{"X-Request-ID": "ab-1"})
        assert answer[:2] == (200, "ab-1")
        assert web.stop() == site.stop_code
        records = log_records(web)
        (access,) = matching(records, request_id="ab-1", logger=ACCESS)
        assert access["path"] == "/printed"
        assert matching(records, request_id="ab-1", logger="stdout")
        assert {record["process"] for record in records} == {"web"}

    def import_error_codes(self, site: WebSite) -> set[int]:
        """Return the exit codes for an application that cannot be imported."""
        return {self.import_error_code}

    def test_exits_if_the_application_cannot_be_imported(self, site: WebSite) -> None:
        path = "proj.broken.application"
        web = site.run_until_exit({"WSGI_APPLICATION": path, "ASGI_APPLICATION": path})
        assert web.process.returncode in self.import_error_codes(site)
        assert "Traceback" in web.output
        assert "a bug of the user's" in web.output

    def test_exits_if_an_installed_app_cannot_be_imported(self, plain: WebSite) -> None:
        """The application's own module loads it, so the server reports it."""
        env = plain.start.environment(
            {"web": plain.entry()}, TEST_APPS='["proj.broken"]'
        )
        # Not with manage.py, which fails before it runs the command.
        web: Running = plain.start.process([*MODULE, "web"], env)
        assert web.exits(20) in self.import_error_codes(plain)
        assert "a bug of the user's" in web.output

    def test_exits_on_an_unknown_option(self, plain: WebSite) -> None:
        """The server reports it; "manage.py check" does so before a start."""
        web = plain.run_until_exit(ARGS={"no-such-option": 1})
        assert web.process.returncode == self.usage_error_code
        assert "no-such-option" in web.output
        assert "Traceback" not in web.output

    def test_exits_if_the_address_is_in_use(self, site: WebSite) -> None:
        with socket.create_server(("127.0.0.1", site.port)):
            web = site.run_until_exit()
        assert web.process.returncode == self.address_in_use_code
        assert re.search("address.*in use", web.output, re.IGNORECASE)

    def test_portable_settings(self, plain: WebSite) -> None:
        """THREADS, KEEP_ALIVE and GRACEFUL_TIMEOUT take effect."""
        web = plain.serve(THREADS=2, KEEP_ALIVE=1, GRACEFUL_TIMEOUT=GRACE)
        with socket.create_connection(("127.0.0.1", web.port), 30) as idle:
            idle.sendall(b"GET /who?s=0 HTTP/1.1\r\nHost: localhost\r\n\r\n")
            answer = b""
            while more := idle.recv(4096):  # until the server closes it
                answer += more
        assert answer.startswith(b"HTTP/1.1 200")
        if "THREADS" not in unsupported(plain.backend):
            # With two threads, the third request waits for one of the first two.
            two = [web.in_flight("/slow?s=2") for _ in range(2)]
            third = web.in_flight("/slow?s=0")
            for request in (*two, third):
                assert request.result() == "slow done"
            events = re.findall(r"slow (began|ended)", web.output)
            assert events[:3] == ["began", "began", "ended"]
        check_request_is_cut(web, plain.cut_code)

    def test_portable_settings_on_a_unix_socket(
        self, start: Starter, short_folder: Path
    ) -> None:
        """The same keys work on every server; unsupported ones cause a warning."""
        path = short_folder / "web.sock"
        with socket.socket(socket.AF_UNIX) as left:
            left.bind(str(path))  # as a killed server leaves it behind
        keys = {
            **{"WORKERS": 2, "THREADS": 3, "GRACEFUL_TIMEOUT": GRACE, "KEEP_ALIVE": 30},
            **{"TIMEOUT": 90, "MAX_REQUESTS": 1000, "BIND": f"unix:{path}"},
        }
        config = entry(self.backend, keys)
        backend = load(config)
        unsupported_keys = unsupported(backend)
        env = start.environment({"web": config})
        web: UnixClient = start.process([*SCRIPT, "web"], env, kind=UnixClient)
        web.socket = path
        web.wait_until_ready()
        if "WORKERS" in unsupported_keys:
            assert web.workers(1) == {web.process.pid}
        else:
            answered = web.workers(2)
            assert len(answered) == 2
            assert answered <= children(web.process.pid)
        for key in keys:
            has_warning = f"{key} has no effect here" in web.output
            assert has_warning is (key in unsupported_keys), key
        check_request_is_cut(web, backend.cut_exit_code(backend.args))

    def test_serves_tls_with_a_certificate(self, plain: WebSite) -> None:
        if "CERTFILE" in unsupported(plain.backend):
            pytest.skip("no TLS")
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
        assert plain.probe("web")[0] == 0

    def test_stops_while_a_worker_is_forked(self, plain: WebSite) -> None:
        """A worker without signal handlers yet still stops, and promptly."""
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
        with LoadGenerator(web) as client:
            web.process.send_signal(signal.SIGHUP)
            web.until(
                lambda: not old & children(web.process.pid), "the old workers gone"
            )
            served = len(client.answers)
            web.until(lambda: len(client.answers) > served + 10, "answers after it")
        assert self.drops_connections_on_sighup or not client.errors
        assert not old & set(client.answers[served + 1 :])
        assert web.stop() == 0

    @pytest.mark.parametrize("log_format", ["json", None], ids=["json", "unwritten"])
    def test_one_form_with_handlers_of_the_project(
        self, plain: WebSite, log_format: str | None
    ) -> None:
        """LOG_FORMAT is that of every line; without it, the project's form is."""
        file = plain.start.data / "app.log"
        logging = {
            "version": 1,  # and other loggers are disabled, by default
            "formatters": {"own": {"format": "OWN %(name)s %(levelname)s %(message)s"}},
            "handlers": {
                "own": {"class": "logging.StreamHandler", "formatter": "own"},
                "file": {
                    "class": "logging.FileHandler",
                    "filename": str(file),
                    "formatter": "own",
                },
            },
            "root": {"handlers": ["own", "file"], "level": "INFO"},
        }
        keys: dict[str, Any] = {"LOG_FORMAT": log_format} if log_format else {}
        if "WORKERS" not in unsupported(plain.backend):
            keys["WORKERS"] = 2
        web = plain.serve(settings={**SETTINGS, "LOGGING": logging}, **keys)
        answer = web.request("/log", **{"X-Request-ID": "ab-1"})
        assert answer[:2] == (200, "ab-1")
        web.workers(keys.get("WORKERS", 1))  # none is stopped as it starts
        web.stop()
        expected = {
            "OWN proj.urls WARNING a line of the application",
            f"OWN {ACCESS} INFO GET /log 200",
        }
        lines = web.output.splitlines()
        if log_format:
            records = log_records(web)
            lines = [
                "OWN {logger} {level} {message}".format(
                    **record | {"level": record["level"].upper()}
                )
                for record in records
            ]
            assert matching(records, logger=ACCESS, request_id="ab-1")
        assert not [line for line in lines if not line.startswith("OWN ")], web.output
        in_file = file.read_text().splitlines()
        for line in expected:
            assert lines.count(line) == in_file.count(line) == 1
        # The last one of the server is its parent's, if it has one.
        servers = tuple(f"OWN {name}" for name in plain.backend.server_loggers)
        last = [line for line in lines if line.startswith(servers)][-1]
        assert last in in_file


def last_line(client: socket.socket) -> str:
    """Return the last line that the client receives; "" if it is reset."""
    with client, contextlib.suppress(ConnectionResetError):
        received = b""
        while more := client.recv(4096):
            received += more
        return received.decode().rpartition("\n")[2]
    return ""


def recorded() -> dict[str, str]:
    """Return the environment in which the project records where it is loaded."""
    return {"TEST_APPS": RECORDED}


def check_started_process(site: WebSite, web: Client) -> None:
    """Check that the started process answers, or is the parent of those that do."""
    if "WORKERS" in site.variant or children(web.process.pid):
        assert web.workers(site.worker_count) <= children(web.process.pid)
        assert len(web.workers(site.worker_count)) == site.worker_count
    about = web.about()
    # Without gc.freeze() the garbage collector writes to memory shared by workers.
    assert about["frozen"] > 1000 or about["pid"] == web.process.pid
    assert web.process.pid in (about["pid"], about["ppid"])
    assert about["asgi"] is (site.interface == "asgi")
    # The application sees the same sys.argv as with the native command.
    argv = about["argv"]
    assert argv[1:] == site.native_argv(LOG_FORMAT="json", settings=SETTINGS)[1:]
    assert Path(argv[0]).is_absolute()


def check_probe_and_health(site: WebSite, web: Client) -> None:
    """Check the health paths, which ignore ALLOWED_HOSTS and redirects."""
    where = f"127.0.0.1:{web.port}"
    assert site.probe() == (0, f"web is ready: 200 from {where}")
    assert site.probe("--live") == (0, f"web is live: it listens on {where}")
    assert web.health("/log")[0] == 400
    assert web.health("/-/live") == (200, "alive\n")
    assert web.health("/-/ready") == (200, "ready\n")
    assert web.health("/-/ready", "HEAD") == (200, "")
    assert web.health("/-/ready", "POST") == (405, "only GET and HEAD\n")

    flag = site.start.data / "down"
    flag.write_text("the message of the check")
    assert web.health("/-/ready") == (503, "not ready: proj.checks.flag\n")
    assert web.health("/-/live") == (200, "alive\n")
    assert site.probe() == (1, f"web is not ready: 503 from {where}")
    assert site.probe("--live")[0] == 0
    web.says("not ready: proj.checks.flag: OSError: the message of the check")
    assert "Service Unavailable: /-/ready" not in web.output, "Django's own line"
    flag.unlink()
    assert web.health("/-/ready") == (200, "ready\n")


def check_drain(site: WebSite, web: Client) -> None:
    """Check that a draining server is live, not ready, and still serves."""
    assert site.start.probe("--drain=0").returncode == 0
    assert site.probe() == (1, "web is not ready: it is draining")
    assert web.health("/-/ready") == (503, "not ready: draining\n")
    assert web.health("/-/ready", "HEAD") == (503, "")
    assert web.health("/-/live") == (200, "alive\n")
    assert site.probe("--live")[0] == 0
    assert web.about()["pid"]


#: Ids of concurrent requests; each must be kept.
IDS = [f"id-{number}" for number in range(24)]
#: The longest valid request id, and invalid ones, which are replaced.
LONGEST_ID = "a" * 128
INVALID_IDS = ("a b", 'a"}', "a" * 129, "<script>", "a\x85b", "ä")
#: The size in bytes of a stream that takes 5 s.
ENDLESS_BYTES = 5_000
AGENT = "Mozilla'\"\\{}%s%(x)s" + "A" * 3000


def check_request_ids(web: Client) -> None:
    """Check the ids of concurrent requests to slow views, sync and async."""
    for view in ("noted", "async-noted"):
        with ThreadPoolExecutor(8) as pool:
            answers = pool.map(
                lambda id: web.request(f"/{view}?n={id}", **{"X-Request-ID": id}),  # noqa: B023
                IDS,
            )
            assert [answer[:2] for answer in answers] == [(200, id) for id in IDS]
    for given in INVALID_IDS:
        answer = web.request("/about", **{"X-Request-ID": given})
        assert answer.status == 200
        assert re.fullmatch("[0-9a-f]{32}", answer.request_id or ""), given
    answer = web.request("/about", **{"X-Request-ID": LONGEST_ID})
    assert answer[:2] == (200, LONGEST_ID)


def send_requests_to_log(web: Client) -> None:
    """Send the requests whose records ``check_log`` expects."""
    answer = web.request("/noted?n=1&key=SECRET", **{"X-Request-ID": "ab-1"})
    assert answer[:2] == (200, "ab-1")
    assert web.request("/fail?key=SECRET", **{"X-Request-ID": "fail-1"}).status == 500
    for path in ("/printed", "/stream", "/hostile"):
        assert web.request(path, **{"X-Request-ID": path.strip("/")}).status == 200
    for agent in (AGENT, f"{AGENT}\x85"):
        assert web.request("/hostile", **{"User-Agent": agent}).status == 200
    web.disconnect_mid_stream("/endless")
    web.says("GET /endless ")


def check_log(site: WebSite, web: Client) -> None:
    """Check that every line follows the schema, and each request has one."""
    records = log_records(web)
    assert "SECRET" not in web.output
    assert {record["process"] for record in records} == {"web"}
    access = {
        **{"logger": ACCESS, "message": "GET /noted 200", "level": "info"},
        **{"method": "GET", "path": "/noted", "status": 200, "bytes": 5},
        **{"client": "127.0.0.1", "request_id": "ab-1"},
    }
    (noted,) = matching(records, **access)
    assert 0.05 <= noted["duration"] < 30
    of_request = matching(records, request_id="ab-1", pid=noted["pid"])
    assert [record["message"] for record in of_request] == [
        "begins 1",
        "ends 1",
        "GET /noted 200",
    ]
    assert of_request[1]["extra"] == {"number": 7, "who": "{'a': 'b'}"}
    for id in IDS:
        messages = [record["message"] for record in matching(records, request_id=id)]
        assert messages == [
            *(f"begins {id}", f"ends {id}", "GET /noted 200"),
            *(f"begins {id}", f"ends {id}", "GET /async-noted 200"),
        ]

    (error,) = matching(records, level="error", request_id="fail-1")
    assert error["logger"] == "django.request"
    assert error["exception"] == "ValueError"
    assert error["exception_message"] == "it fails\nin two lines"
    assert "proj/logged.py" in error["traceback"]
    assert matching(records, logger=ACCESS, request_id="fail-1", status=500)

    (printed,) = matching(records, logger="stdout")
    assert printed["message"] == "printed /printed"
    assert printed["request_id"] == "printed"
    (stream,) = matching(records, logger=ACCESS, path="/stream")
    assert stream["bytes"] == 300
    assert len(matching(records, message="a chunk", request_id="stream")) == 3
    (disconnected,) = matching(records, logger=ACCESS, path="/endless")
    assert disconnected["status"] == 200
    assert disconnected["bytes"] < ENDLESS_BYTES
    # Granian drops headers that are not ASCII.
    messages = [record["message"] for record in records]
    agents = [text for text in messages if text.startswith("agent: Mozilla")]
    assert agents
    assert all("'\"\\{}%s%(x)s" in text for text in agents)
    # Health requests are logged only when they fail.
    requests = matching(records, logger=ACCESS)
    health = [record for record in requests if record["path"].startswith("/-/")]
    assert {record["status"] for record in health} == {405, 503}
    loggers = {record["logger"].partition(".")[0] for record in records}
    assert loggers.intersection(site.backend.server_loggers)


def seen(web: Client, path: str) -> dict[str, Any]:
    """Return what a view sees of a request with the headers of a proxy."""
    view = json.loads(web.request(path, **FORWARDED).body)
    forwarded = view.pop("forwarded")
    assert "HTTP_X_FORWARDED_HOST" in forwarded or not forwarded
    return {**view, "forwarded_host": bool(forwarded)}


def check_request_is_cut(web: Client, code: int) -> None:
    """Check that a request which is unfinished after GRACEFUL_TIMEOUT is cut."""
    request = web.in_flight("/slow?s=120")
    signalled = time.monotonic()
    assert web.stop(seconds=60) == code
    assert GRACE - 0.5 < time.monotonic() - signalled < 30
    with pytest.raises(OSError, match=r"closed connection|reset"):
        request.result(30)


@pytest.mark.process
class DeadlineContract(Contract):
    """
    Test that a worker requeues tasks which are unfinished after GRACEFUL_TIMEOUT.

    It is part of ``WorkerContract``. Subclass it alone for a further way to run a
    worker that passes the whole contract already::

        class TestWithoutPreload(DeadlineContract):
            backend = "django_q2.DjangoQ2Worker"
            variants = {"redis": {"PRELOAD": False}}
            queue = "q2"
    """

    #: The queue's name in "manage.py enqueue" of the test project.
    queue: ClassVar[str]
    #: The same for tasks that are requeued, if not all are.
    late_queue: ClassVar[str] = ""
    #: Settings of the test project.
    settings: ClassVar[Mapping[str, Any]] = {}
    #: Whether a second SIGTERM stops the worker before the deadline.
    second_signal_forces_stop: ClassVar[bool] = True

    @pytest.fixture
    def site(self, start: Starter, redis_url: str, variant: str) -> WorkerSite:
        """The test project with a database and a broker, for this worker."""
        config = entry(self.backend, {"APP": "proj.celery.app"}, self.variants[variant])
        return WorkerSite(start, redis_url, config, self.settings, self.queue)

    def test_unfinished_task_is_interrupted_and_requeued(
        self, site: WorkerSite
    ) -> None:
        site.queue = self.late_queue or self.queue
        worker = site.start_worker(GRACEFUL_TIMEOUT=GRACE)
        site.start_held_tasks(worker, "long")
        signalled = time.monotonic()
        assert worker.stop(seconds=60) == load(site.config).cut_exit_code([])
        assert GRACE - 0.5 < time.monotonic() - signalled < 30
        assert f"not finished within {GRACE} s (GRACEFUL_TIMEOUT)" in worker.output
        assert site.marks("long") == [(1, 0)]

        # Without preload, only the Django app can connect to the worker's signals.
        last: dict[str, Any] = {
            "GRACEFUL_TIMEOUT": 600,
            "PRELOAD": False,
            "LOG_FORMAT": "json",
        }
        again = site.start_worker(**last)
        again.until(lambda: site.start.marks("long")[0] == 2, "the task begun again")
        starts = 2
        if self.second_signal_forces_stop:  # which requeues the task again
            again.process.send_signal(signal.SIGTERM)
            time.sleep(1.5)  # RQ ignores a second signal within a second
            assert again.stop(seconds=60) == 1
            assert site.marks("long") == [(2, 0)]
            again, starts = site.start_worker(**last), 3
        site.release_tasks()
        site.wait_until_done(again, "long")
        assert again.stop(seconds=60) == 0
        assert site.marks("long") == [(starts, 1)]
        records = log_records(again)
        (started,) = matching(records, message="working on long")
        assert started["state"] == "started"
        (success,) = matching(records, task_id=started["task_id"], state="success")
        assert 0 <= success["runtime"] < 30


class WorkerContract(DeadlineContract):
    """
    Test what every worker must do. Subclass it; five attributes are required::

        class TestDjangoQ2(WorkerContract):
            backend = "django_q2.DjangoQ2Worker"
            variants = {"redis": {}}
            queue = "q2"  # add it to proj/jobs/management/commands/enqueue.py
            ready = "running."  # in the worker's log
            task = "proj.jobs.work.mark"  # the task's name in the log
    """

    #: Text that the worker logs once it accepts tasks.
    ready: ClassVar[str]
    #: The names of task and queue in the log; "" if the worker knows no queues.
    task: ClassVar[str]
    logged_queue: ClassVar[str] = ""
    #: Whether the broker is the database.
    on_database: ClassVar[bool] = False
    #: Whether tasks run in the started process itself, CONCURRENCY of them at a time.
    runs_in_one_process: ClassVar[bool] = False
    #: Whether a process may take tasks while another one has none.
    prefetches: ClassVar[bool] = False
    #: Number of child processes that CONCURRENCY does not count.
    other_processes: ClassVar[int] = 0

    def test_full_lifecycle(
        self, site: WorkerSite, start: Starter, broker: Broker, row: Row
    ) -> None:
        """Run tasks, log, answer the probe through failures, and stop gracefully."""
        site.env["TEST_REDIS_URL"] = broker.url
        keys: dict[str, Any] = {"LOG_FORMAT": "json", "HEALTH": {"MAX_AGE": MAX_AGE}}
        worker = site.start_worker(**keys)
        probed = ProbedProcess(start, worker)
        probed.wait_for_readiness(YES, "is ready")
        ready_after = time.monotonic() - worker.started
        site.enqueue("good", "fail")
        wait_for_success_and_failure(worker)

        # Without its broker it is live but not ready; it recovers with the broker.
        with self.broker_unavailable(start, broker):
            probed.wait_for_readiness(NO, "no connection to")
            time.sleep(MAX_AGE + 1)
            assert probed.is_live()
            assert probed.probe("--ready")[0] == NO
        probed.wait_for_readiness(YES, "is ready", seconds=120)

        worker.process.send_signal(signal.SIGSTOP)
        probed.wait_until_not_live("is stopped")
        worker.process.send_signal(signal.SIGCONT)
        probed.wait_for_readiness(YES, "is ready")

        # A task that takes longer than a heartbeat is valid.
        site.start_held_tasks(worker, "long")
        time.sleep(MAX_AGE + 1)
        probed.wait_for_readiness(YES, "is ready")
        site.enqueue("behind")
        worker.process.send_signal(signal.SIGTERM)
        probed.wait_for_readiness(NO, "draining")
        site.release_tasks()
        signalled = time.monotonic()
        code = worker.exits()
        assert code == 0
        took = time.monotonic() - signalled
        assert took < 15
        assert site.marks("long") == [(1, 1)]
        probed.wait_until_not_live("is not running")
        self.check_log(worker)

        again = site.start_dry_run_command()
        # A task that only the second worker can take: after it, the loop has started.
        site.enqueue("last")
        site.wait_until_done(again, "behind", "last")
        assert again.stop() == 0
        assert site.marks("behind", "long", "last") == [(1, 1)] * 3
        row(
            STOPS,
            **{"backend": self.title(site), "first (s)": ready_after},
            **{"in flight": "completed", "exit": code, "stop (s)": took},
        )

    def test_sigint_finishes_the_task(self, site: WorkerSite) -> None:
        worker = site.start_worker(via=MODULE)
        site.start_held_tasks(worker, "long")
        worker.process.send_signal(signal.SIGINT)
        site.release_tasks()
        code = load(site.config).clean_exit_code(signal.SIGINT, [])
        assert worker.exits() == code
        assert site.marks("long") == [(1, 1)]

    def test_portable_settings(self, start: Starter, redis_url: str) -> None:
        """CONCURRENCY, QUEUES and MAX_TASKS take effect."""
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
        with override_settings(TASKS=settings["TASKS"], RQ_QUEUES=queues):
            unsupported_keys = unsupported(load(config))
        worker = site.start_worker(via=SCRIPT, env={"CELERY_WORKER_LOGLEVEL": "INFO"})
        worker.says(self.ready)
        for key in keys:
            has_warning = f"{key} has no effect here" in worker.output
            assert has_warning is (key in unsupported_keys), key
        on = "" if "QUEUES" in unsupported_keys else "wanted"
        if on:
            site.enqueue("other", on="other")
        if "CONCURRENCY" in unsupported_keys:
            # A single process, which exits after its one task.
            site.enqueue("first", on=on)
            assert worker.exits() == 0
        elif self.runs_in_one_process:
            names = ("first", "second", "third")
            site.enqueue(*names, seconds=HOLD, on=on)
            site.wait_until_begun(worker, *names)
            site.release_tasks()
            assert worker.stop() == 0
        else:
            number = count + self.other_processes
            parent = psutil.Process(worker.process.pid)
            worker.until(
                lambda: len(parent.children(recursive=True)) == number,
                f"{number} processes",
            )
            names = ("first", "second", "third")
            site.enqueue(*names, on=on)
            site.wait_until_done(worker, *names)
            marks = start.data / "marks"
            pids = {harness.lines(marks / f"{name}.ended")[0] for name in names}
            assert len(pids) == 3 or self.prefetches
            assert worker.stop() == 0
        assert site.marks("first", "other") == [(1, 1), (0, 0)]

    def title(self, site: WorkerSite) -> str:
        """Return the backend and its options, for the table of stops."""
        args = " ".join(str(value) for value in site.config.get("ARGS", {}).values())
        return f"{self.backend} {args}".strip()

    @contextlib.contextmanager
    def broker_unavailable(self, start: Starter, broker: Broker) -> Iterator[None]:
        """Take the broker away for as long as the block runs."""
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

    def check_log(self, worker: Running) -> None:
        """Check the schema of every line, and the fields of the tasks' lines."""
        records = log_records(worker)
        assert {record["process"] for record in records} == {"worker"}
        (good,) = matching(records, message="working on good")
        assert good["state"] == "started"
        assert good["task"] == self.task
        (success,) = matching(records, task_id=good["task_id"], state="success")
        assert 0 <= success["runtime"] < 30
        (failed,) = matching(records, message="working on fail")
        failures = matching(records, task_id=failed["task_id"], state="failure")
        assert failures
        assert "it fails" in json.dumps(failures)
        if self.logged_queue:
            queues = {record["queue"] for record in (good, failed, *failures)}
            assert queues == {self.logged_queue}
            assert matching(
                failures, exception="ValueError", exception_message="it fails"
            )
        # Tasks that run at the same time end in any order.
        last = max(map(records.index, (success, failures[-1])))
        later = records[last + 1 :]
        ids = (good["task_id"], failed["task_id"])
        assert not [record for record in later if record.get("task_id") in ids]


TASKS_ON_DATABASE = {"default": {"BACKEND": "django_tasks_db.DatabaseBackend"}}


def wait_for_success_and_failure(worker: Running) -> None:
    """Wait until one task has succeeded and one has failed, by the log."""

    def states() -> set[str]:
        # Complete lines only: the last may still be in the middle of its write.
        complete = worker.output.rpartition("\n")[0].splitlines()
        records = [schema.line(text) for text in complete]
        return {record["state"] for record in records if "runtime" in record}

    worker.until(lambda: states() == {"success", "failure"}, "both tasks ended")
