"""``--compare``: its options, the load generators' output, the report, the advice."""

from __future__ import annotations

import argparse
import importlib.util
import json
from xml.etree import ElementTree

import pytest
from django.core.management import CommandError, call_command

from django_prodserver.backends import task_load
from django_prodserver.commands import cli
from django_prodserver.commands.compare import (
    advice,
    candidates,
    load_tools,
    options,
    plot,
    report,
    task_advice,
)
from django_prodserver.commands.compare.candidates import Candidate, LeftOut
from django_prodserver.commands.compare.load_tools import Burst
from django_prodserver.commands.compare.results import Result, Row
from django_prodserver.config.processes import Changes, Process
from django_prodserver.exceptions import UsageError
from tests.installed import skip_without_servers
from tests.servers import BACKENDS

GUNICORN = f"{BACKENDS}.gunicorn.GunicornServer"
WAITRESS = f"{BACKENDS}.waitress.WaitressServer"
UVICORN = f"{BACKENDS}.uvicorn.UvicornServer"

# What each printed of a server that breaks one request in 50, and answers 500 to one
# in 20.
WRK = """\
Running 1s test @ http://127.0.0.1:8899/
  1 threads and 4 connections
  Thread Stats   Avg      Stdev     Max   +/- Stdev
    Latency    42.45ms   10.99ms  51.90ms   93.48%
    Req/Sec    92.00     16.87   130.00     80.00%
  Latency Distribution
     50%   44.00ms
     75%   47.84ms
     90%   48.01ms
     99%   51.90ms
  92 requests in 1.00s, 11.58KB read
  Socket errors: connect 0, read 2, write 0, timeout 0
  Non-2xx or 3xx responses: 5
Requests/sec:     91.85
Transfer/sec:     11.56KB
"""
HEY = """\

Summary:
  Total:	1.0351 secs
  Slowest:	0.0519 secs
  Fastest:	0.0017 secs
  Average:	0.0421 secs
  Requests/sec:	94.6775
  
  Total data:	1078 bytes
  Size/request:	11 bytes

Latency distribution:
  10% in 0.0418 secs
  95% in 0.0483 secs
  0% in 0.0000 secs

Status code distribution:
  [200]	93 responses
  [500]	5 responses
"""  # noqa: W293
HEY_ERRORS = """
  Slowest:	0.0519 secs
  Requests/sec:	194.6775
  95%% in 0.0483 secs
  99%% in 0.0503 secs
Status code distribution:
  [200]	193 responses

Error distribution:
  [2]	Get "http://127.0.0.1:8899/": EOF
"""
AB = """\
Complete requests:      2
Failed requests:        0
Non-2xx responses:      1
Keep-Alive requests:    0
Requests per second:    0.22 [#/sec] (mean)
Time per request:       18246.604 [ms] (mean)
Time per request:       4561.651 [ms] (mean, across all concurrent requests)

Percentage of the requests served within a certain time (ms)
  50%   9122
  98%   9122
  99%   9122
 100%   9122 (longest request)
"""


@pytest.mark.parametrize(
    ("tool", "output", "burst"),
    [
        (load_tools.Wrk(), WRK, (91.85, 51.9, 7)),
        (load_tools.Wrk(), WRK.replace("51.90ms", "1.20s"), (91.85, 1200, 7)),
        (load_tools.Wrk(), WRK.replace("51.90ms", "730.00us"), (91.85, 0.73, 7)),
        (load_tools.Hey(), HEY, (94.6775, 51.9, 5)),
        (load_tools.Hey(), HEY_ERRORS, (194.6775, 50.3, 2)),
        (load_tools.ApacheBench(), AB, (0.22, 9122, 1)),
    ],
)
def test_what_a_load_generator_prints_is_read(tool, output, burst):
    assert tool.parse(output) == pytest.approx(burst)


@pytest.mark.parametrize("tool", load_tools.TOOLS, ids=lambda tool: tool.name)
def test_what_is_no_result_is_an_error(tool):
    with pytest.raises(ValueError, match="unable to connect"):
        tool.parse("unable to connect to 127.0.0.1")


@pytest.mark.parametrize("tool", load_tools.TOOLS, ids=lambda tool: tool.name)
def test_every_tool_gets_the_host_and_the_url(tool):
    command = tool.command("http://127.0.0.1:1/a", 2, 16, {"Host": "example.org"})
    assert command[0] == tool.name
    assert command[-1] == "http://127.0.0.1:1/a"
    assert "example.org" in " ".join(command)


def row(name, rates, memory=50.0, errors=0, lost=0, **more) -> Row:
    candidate = Candidate(name, GUNICORN, "(now)" in name, Changes({}), **more)
    return Row(
        candidate,
        {"/": [Burst(rate, 10, errors) for rate in rates]},
        [1.0 for _ in rates],
        [memory + number for number in range(len(rates))],
        [lost for _ in rates],
        [True for _ in rates],
    )


def result(*rows: Row, **more) -> Result:
    values = {
        "process": "web",
        "tool": "wrk",
        "cores": 2,
        "seconds": 2,
        "rounds": 3,
        "connections": 16,
        "memory": "PSS",
        "pages": ["/"],
        "left_out": [LeftOut("HypercornServer", "it is not installed.", "pip it")],
        "warnings": [],
        **more,
    }
    compared = Result(rows=list(rows), **values)
    compared.advice = advice.give(compared)
    return compared


NOW = row("UvicornServer (now)", [130, 135, 140], interface="asgi")
FASTER = row("GunicornServer", [700, 715, 730], interface="wsgi", threads=4)


class TestTheAdvice:
    """One sentence, which the numbers bear out."""

    def test_a_synchronous_project_on_an_asgi_server(self):
        assert result(NOW, FASTER, synchronous=True).advice == (
            "Take GunicornServer: 715 requests/s, 5.3 times the 135 of UvicornServer, "
            "because on an ASGI server Django starts a thread for each request to a "
            "synchronous view."
        )

    def test_the_reason_is_not_given_where_it_is_not_known(self):
        assert "because" not in result(NOW, FASTER).advice

    def test_what_overlaps_is_noise(self):
        other = row("GunicornServer", [120, 160, 165])
        text = result(NOW, other).advice
        assert text.startswith("Keep UvicornServer: GunicornServer did 160")
        assert "noise" in text

    def test_a_small_difference_is_not_worth_a_switch(self):
        other = row("GunicornServer", [141, 142, 143])
        assert "too little" in result(NOW, other).advice

    def test_a_single_round_says_little(self):
        one, other = row("A (now)", [100]), row("B", [150])
        assert "a single round" in result(one, other, rounds=1).advice
        assert result(one, row("B", [250])).advice.startswith("Take B")

    def test_the_best_one_is_kept(self):
        slower = row("B", [10, 11, 12])
        text = "Keep UvicornServer: 135 requests/s, and the next best, B, did 11."
        assert result(NOW, slower).advice == text

    def test_the_best_one_is_kept_where_the_rest_is_noise(self):
        text = result(NOW, row("B", [90, 110, 131])).advice
        assert text == (
            "Keep UvicornServer: nothing was faster, though B is within the noise of "
            "these rounds (135 and 110 requests/s)."
        )

    def test_a_server_that_loses_requests_is_never_recommended(self):
        losing = row("B", [900, 901, 902], lost=1)
        failing = row("C", [900, 901, 902], errors=4)
        assert result(NOW, losing, failing).advice.startswith("Keep UvicornServer")

    def test_one_that_loses_requests_is_not_kept_without_a_word(self):
        losing = row("B (now)", [900, 901, 902], lost=1)
        text = result(losing, FASTER).advice
        assert text.startswith("Keep B")
        assert text.endswith(", although it had 3 requests lost at a stop.")

    def test_one_that_fails_is_not_kept(self):
        failing = row("B (now)", [900, 901, 902], errors=2)
        text = result(failing, FASTER).advice
        assert text.startswith("Take GunicornServer (715 requests/s), or find out")
        assert text.endswith("B had 6 errors under load.")

    def test_the_same_in_less_memory(self):
        heavy = row("B (now)", [700, 715, 730], memory=100)
        assert "in 51 MiB instead of 101" in result(heavy, FASTER).advice

    def test_nothing_measured(self):
        assert "Nothing was measured" in result().advice
        assert "Nothing was measured" in result(row("A", [])).advice

    def test_all_fail(self):
        assert "errors" in result(row("A", [1, 2], errors=3)).advice


def test_the_table_has_each_page_and_what_was_left_out():
    both = row("GunicornServer (now)", [700, 715, 730], workers=2, threads=4)
    both.bursts["/about/"] = [Burst(10, 400, 1) for _ in range(3)]
    lines = report.as_text(result(NOW, both, pages=["/", "/about/"])).splitlines()
    assert lines[0].split("  ")[0] == "SERVER"
    assert "PSS MIB" in lines[0]
    # The fastest first, in an equal mix of the pages.
    assert lines[1].startswith("UvicornServer (now)")
    assert lines[2].startswith("GunicornServer (now)  2 x 4 threads  /  ")
    assert "715 (700-730)" in lines[2]
    assert lines[3].split() == ["/about/", "10", "(10-10)", "400", "3"]
    assert "Left out: HypercornServer: it is not installed. pip it" in lines
    assert lines[-1].startswith("Keep UvicornServer")


class TestAWorker:
    """Its rows are concurrencies."""

    def rows(self, *rates, **more) -> list[Row]:
        return [
            row(f"concurrency {number}", each, memory=50 * number, workers=number)
            for number, each in zip((1, 2, 4), rates, strict=False)
        ]

    def advice(self, *rows: Row, **more) -> str:
        return task_advice.give(result(*rows, unit="tasks", **more))

    def test_the_smallest_that_does_as_much(self):
        rows = self.rows([100, 101, 102], [190, 195, 200], [191, 199, 210])
        assert self.advice(*rows) == (
            "Take concurrency 2: 195 tasks/s in 101 MiB; concurrency 4 did 199 in 201 "
            "MiB."
        )

    def test_the_largest(self):
        rows = self.rows([100, 101, 102], [190, 195, 200])
        assert self.advice(*rows).endswith("and more may do more still.")

    def test_a_single_round_says_little(self):
        assert self.advice(*self.rows([100], [140])).startswith("Take concurrency 1")

    def test_failures_and_losses_come_first(self):
        assert "fail" in self.advice(row("concurrency 1", [5, 6], errors=1))
        assert "lost 2" in self.advice(row("concurrency 1", [5, 6], lost=1))
        assert "Nothing was measured" in self.advice()
        assert "nothing to compare" in self.advice(row("concurrency 1", [5, 6]))

    def test_the_report(self):
        found = result(*self.rows([1, 2], [3, 4]), unit="tasks", pages=["a.b"])
        text = report.as_text(found)
        assert text.splitlines()[0].startswith("WORKER         TASK")
        assert "concurrency 2" in text
        [first, _] = json.loads(report.as_json(found))["workers"]
        assert first["tasks"]["/"]["tasks_per_second"]["runs"] == [1, 2]
        assert "Tasks per second" in plot.as_svg(found)


def test_json_has_the_runs():
    found = json.loads(report.as_json(result(NOW, FASTER, interrupted=True)))
    assert found["interrupted"] is True
    server = found["servers"][1]
    rate = server["pages"]["/"]["requests_per_second"]
    assert rate == {"median": 715, "runs": [700, 715, 730]}
    assert server["memory_mib"]["median"] == 51
    assert found["left_out"][0]["name"] == "HypercornServer"


def test_the_plot_is_svg_that_needs_nothing_else():
    svg = plot.as_svg(result(NOW, FASTER, pages=["/?a=1&b=<2>"]))
    root = ElementTree.fromstring(svg)  # noqa: S314  # it is ours
    words = " ".join(root.itertext())
    assert "/?a=1&b=<2>" in words
    assert "GunicornServer: 715 requests per second, 51 MiB" in words
    assert "href" not in svg
    assert "url(" not in svg


class TestTheOptions:
    """Every mistake is one message with exit code 2."""

    @pytest.fixture(autouse=True)
    def _web(self, settings, monkeypatch):
        settings.PRODUCTION_PROCESSES = {
            "web": {"BACKEND": GUNICORN},
            "worker": {"BACKEND": f"{BACKENDS}.django_tasks.DjangoTasksWorker"},
            "rq": {"BACKEND": f"{BACKENDS}.rq.RQWorker"},
            "release": {
                "BACKEND": f"{BACKENDS}.management.ManagementCommands",
                "COMMANDS": ["check"],
            },
        }
        skip_without_servers(settings.PRODUCTION_PROCESSES)
        monkeypatch.delenv("PROCESS_NAME", raising=False)

    @pytest.mark.parametrize(
        ("words", "message"),
        [
            ("web --compare http://example.org/", "is a URL"),
            ("web --compare //example.org/", "is a URL"),
            ("web --compare about", "--compare /about"),
            ("web --compare /ä", "Percent-encode"),
            ("web --compare / --workers 2", "--compare does not take --workers"),
            ("web --compare --plot a.png", "--plot writes SVG"),
            ("web --compare --plot /no/such/a.svg", "no directory"),
            ("release --compare", "'release' is neither"),
            ("worker --compare", "Which task should the worker 'worker' run?"),
            ("worker --compare /", "A worker has no paths, such as /"),
            ("worker --compare --task nothing", "There is no task 'nothing'"),
            ("worker --compare --task proj.jobs.work.mark", "is not a task"),
            ("worker --compare --task proj.jobs.tasks.tick", "have the queue"),
            ("rq --compare --task x", "cannot send tasks to RQWorker"),
            ("nobody --compare", "No process named 'nobody'"),
        ],
    )
    def test_a_mistake(self, words, message):
        with pytest.raises(CommandError) as error:
            call_command("prodserver", *words.split())
        assert message in str(error.value)
        assert "nobody" in words or error.value.returncode == 2

    def test_no_load_generator(self, monkeypatch, tmp_path):
        monkeypatch.setenv("PATH", str(tmp_path))
        with pytest.raises(CommandError, match="apt-get install wrk") as error:
            call_command("prodserver", "web", "--compare")
        assert error.value.returncode == 69

    def test_a_broker_elsewhere(self, monkeypatch):
        celery = pytest.importorskip("celery")
        from django_prodserver.backends.celery.task_load import CeleryTaskLoad

        for broker in (
            "redis://:secret@redis.example.com/0",
            "redis://localhost;redis://10.0.0.1/1",
            "amqp://10.0.0.1//",
            "sqs://key:secret@",
        ):
            load = CeleryTaskLoad(celery.Celery(broker=broker, set_as_current=False))
            with pytest.raises(UsageError, match="not on this machine") as error:
                load.check_hosts()
            assert "secret" not in str(error.value)
        local = celery.Celery(broker="redis://localhost/1", set_as_current=False)
        CeleryTaskLoad(local).check_hosts()

    @pytest.mark.parametrize(
        "url",
        [
            "redis://localhost:6379/0",
            "redis://:secret@127.0.0.1/1",
            "amqp://guest@[::1]//",
            "redis+socket:///run/redis.sock",
            "filesystem://",
            "amqp://",
        ],
    )
    def test_a_broker_on_this_machine(self, url):
        assert task_load.host_of(url) in ("localhost", "127.0.0.1", "::1", "")

    def test_concurrencies(self):
        for text in ("0", "1,,2", "x", "1;2"):
            words = ["worker", "--compare", "--task=a.b", f"--concurrency={text}"]
            with pytest.raises(CommandError):
                call_command("prodserver", *words)

    def test_a_count(self):
        for text in ("0", "-1", "x", "1.5", "9" * 5000):
            with pytest.raises(CommandError):
                call_command("prodserver", "web", "--compare", f"--rounds={text}")

    def test_they_are_the_servers_without_compare(self):
        parser = argparse.ArgumentParser(allow_abbrev=False)
        cli.add_arguments(parser)
        parsed = cli.split(["web", "--connections", "5"], parser)
        assert parsed.native == ["--connections", "5"]

    def test_paths(self):
        assert options.check_paths([]) == ["/"]
        assert options.check_paths(["/b?c=d", "/a", "/b?c=d"]) == ["/b?c=d", "/a"]


class TestTheCandidates:
    """Each installed web backend, with settings as equal as they can be."""

    @pytest.fixture(autouse=True)
    def _bare_environment(self, monkeypatch):
        for name in ("PORT", "PRODSERVER_HOST", "WEB_CONCURRENCY"):
            monkeypatch.delenv(name, raising=False)

    def found(self, *only: str, **config) -> dict[str, Candidate]:
        process = Process("web", {"BACKEND": GUNICORN, **config})
        return {each.name: each for each in candidates.find(process, only)[0]}

    def test_the_configured_one_is_first_and_there_once(self):
        pytest.importorskip("gunicorn")
        names = list(self.found())
        assert names[0] == "GunicornServer (now)"
        assert "GunicornServer, without ARGS" not in names
        assert "CeleryFlower" not in names

    def test_workers_and_threads_of_args_count_for_all(self):
        pytest.importorskip("gunicorn")
        found = self.found(ARGS={"workers": 3, "threads": 5, "max-requests": 9})
        assert found["UvicornServer"].workers == 3
        assert found["WaitressServer"].threads == 5
        assert found["WaitressServer"].workers == 1
        # What it costs is seen: ARGS are only this server's.
        assert "GunicornServer, without ARGS" in found

    @pytest.mark.parametrize("bind", ["0.0.0.0:80", "unix:/run/web.sock"])
    def test_each_listens_on_the_given_port_of_loopback_alone(self, bind):
        pytest.importorskip("gunicorn")
        config = {"BACKEND": GUNICORN, "BIND": bind, "ARGS": {"bind": "[::]:81"}}
        process = Process("web", config)
        found, _ = candidates.find(process)
        for candidate in found:
            plan = candidate.plan(process, 4321)
            assert plan.backend.addresses(plan.args) == ("tcp://127.0.0.1:4321",)

    def test_what_is_not_installed_is_left_out_with_the_reason(self, monkeypatch):
        real = importlib.util.find_spec
        monkeypatch.setattr(
            "django_prodserver.backends.base.find_spec",
            lambda name: None if name == "granian" else real(name),
        )
        _, left_out = candidates.find(Process("web", {"BACKEND": WAITRESS}))
        by_name = {entry.name: entry for entry in left_out}
        assert by_name["GranianWSGIServer"].why == "granian is not installed."
        assert "python -m pip install" in by_name["GranianWSGIServer"].hint

    def test_without_an_asgi_application(self, settings):
        settings.ASGI_APPLICATION = None
        _, left_out = candidates.find(Process("web", {"BACKEND": WAITRESS}))
        why = {entry.name: entry.why for entry in left_out}
        assert "ASGI_APPLICATION is not set" in why["UvicornServer"]

    def test_only_some(self):
        pytest.importorskip("uvicorn")
        names = self.found("waitress", "UvicornServer")
        assert set(names) == {"WaitressServer", "UvicornServer"}
        with pytest.raises(UsageError, match="not a web backend") as error:
            self.found("gunicron")
        assert "'gunicorn'" in error.value.hint
