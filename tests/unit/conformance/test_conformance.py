"""prodserver-conformance without an engine: its usage, its reports, its secrets."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tomllib
from collections.abc import Callable, Sequence
from importlib import import_module
from pathlib import Path

import pytest

from django_prodserver.exceptions import UsageError
from prodserver_conformance import cli, container
from prodserver_conformance.checks import MODULES
from prodserver_conformance.options import Options, read_env
from prodserver_conformance.report import Report, Result
from prodserver_conformance.secrets import CANARY, Secrets

ROOT = Path(__file__).parents[3]
CHECKS = [
    *("comes-up", "pid-1", "non-root", "any-uid", "read-only", "capabilities"),
    *("setuid", "root-home", "probe-truth", "second-start", "probe-cost"),
    *("forged-log", "forged-headers", "secrets", "drain", "stop"),
    *("unknown-process", "exit-codes", "byte-code", "size"),
]


class Done:
    """How the command ended, and what it said."""

    def __init__(self, args: Sequence[str], capsys: pytest.CaptureFixture[str]) -> None:
        with pytest.raises(SystemExit) as ended:
            cli.main(args)
        self.code = ended.value.code
        self.out, self.err = capsys.readouterr()


@pytest.fixture
def conformance(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> Callable[..., Done]:
    monkeypatch.setenv("DOCKER_HOST", "unix:///nowhere.sock")
    return lambda *args: Done(args, capsys)


def test_the_checks_are_listed_without_an_engine(
    conformance: Callable[..., Done],
) -> None:
    done = conformance("--list")
    assert (done.code, done.err) == (0, "")
    assert [line.split()[0] for line in done.out.splitlines()] == CHECKS
    assert all(len(line.split()) > 4 for line in done.out.splitlines())


def test_every_module_of_checks_is_in_the_list() -> None:
    files = (ROOT / "src/prodserver_conformance/checks").glob("*.py")
    assert {file.stem for file in files} == {"__init__", *MODULES}


def test_the_console_script_is_this_main() -> None:
    scripts = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["scripts"]
    module, _, name = scripts["prodserver-conformance"].partition(":")
    assert getattr(import_module(module), name) is cli.main


@pytest.mark.parametrize(
    ("args", "said"),
    [
        ([], "Which image?"),
        (["x", "--only=drian"], "Unknown row 'drian'.\nThe rows: comes-up, "),
        (["x", "--env=tops=ecret", "--env=A B=tops"], "--env is not NAME=value"),
        (["x", "--env=NOT_SET_ANYWHERE"], "--env NOT_SET_ANYWHERE: it is not set here"),
        (["x", "--env-file=/no/such/file"], "--env-file /no/such/file cannot be read"),
        (["x", "--volume=data"], "--volume data has no path in the container"),
        (["x", "--timeout=soon"], "'soon' is not a number above 0"),
        (["x", "--max-size=-1"], "'-1' is not a number above 0"),
        (["x", "--json=/no/such/folder/x"], "/no/such/folder/x cannot be written"),
        (["x", "--junit=/"], "/ cannot be written"),
        (["x", "--nosuch"], "unrecognized arguments: --nosuch"),
        (["x", "y"], "unrecognized arguments: y"),
    ],
)
def test_wrong_usage_is_2(
    args: list[str], said: str, conformance: Callable[..., Done]
) -> None:
    done = conformance(*args)
    assert done.code == 2, done.err
    assert said in done.err
    assert "tops" not in done.err
    assert "Traceback" not in done.err
    assert done.out == ""


def test_no_engine_is_69() -> None:
    """As a process of its own, for docker-py leaves a socket open."""
    done = subprocess.run(
        [sys.executable, "-m", "prodserver_conformance", "x"],
        env={**os.environ, "DOCKER_HOST": "unix:///nowhere.sock"},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 69, done.stderr
    said = "prodserver-conformance: No Docker engine answers: "
    assert done.stderr.startswith(said)
    assert "DOCKER_HOST" in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize("module", ["pytest", "testcontainers"])
def test_what_is_missing_is_78(
    module: str, monkeypatch: pytest.MonkeyPatch, conformance: Callable[..., Done]
) -> None:
    # What import says of it, and so does find_spec.
    monkeypatch.setitem(sys.modules, module, None)
    done = conformance("x")
    assert done.code == 78
    assert f"{module} is not installed." in done.err
    assert 'pip install "django-prodserver[conformance]"' in done.err


def test_the_command_line_is_stronger_than_the_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FROM_HERE", "here")
    file = tmp_path / "env"
    file.write_text("# a comment\n\nA=1\nB=x = y#z\n  C=  \nFROM_HERE\n")
    found = read_env(["A=2"], str(file))
    assert found == {"A": "2", "B": "x = y#z", "C": "", "FROM_HERE": "here"}


def test_a_bad_line_of_the_file_is_named_and_not_shown(tmp_path: Path) -> None:
    file = tmp_path / "env"
    file.write_text("A=1\n=tops\n")
    with pytest.raises(UsageError) as caught:
        read_env([], str(file))
    assert str(caught.value) == f"line 2 of {file} is not NAME=value."


def test_what_is_a_secret() -> None:
    secrets = Secrets(
        {
            "DJANGO_SECRET_KEY": "a-key-of-the-site",
            "DATABASE_URL": "postgres://me:pass%2Fword@db/x",
            "CACHE_URL": "redis://cache/0",
            "API_TOKEN": "abc",
            "PORT": "80000000",
        }
    )
    assert secrets.names == [CANARY, "DATABASE_URL", "DJANGO_SECRET_KEY"]
    text = "postgres://me:pass%2Fword@db pass/word a-key-of-the-site abc abcd 80000000"
    assert secrets.find_in(text) == ["DATABASE_URL", "DJANGO_SECRET_KEY"]
    assert secrets.redact(text) == "postgres://me:***@db *** *** *** abcd 80000000"
    assert secrets.find_in("nothing of it") == []
    [canary] = secrets.canary.values()
    assert secrets.find_in(f"CONFORMANCE={canary}") == [CANARY]


def test_two_secrets_of_which_one_holds_the_other() -> None:
    secrets = Secrets({"A_TOKEN": "longer-secret", "B_TOKEN": "longer"})
    assert secrets.redact("longer-secret longer") == "*** ***"


@pytest.fixture
def report() -> tuple[Report, list[str]]:
    lines: list[str] = []
    made = Report(lines.append, Secrets({"TOKEN": "topsecret"}).redact)
    made.expected = 3
    made.add(Result("size", "", "passed", "read it", "12 MiB", "", 0.04))
    made.add(
        Result("stop", "web", "failed", "SIGTERM", "said topsecret", "do not", 1.26)
    )
    made.add(Result("drain", "worker", "skipped", "", "no web process", "", 0))
    return made, lines


def test_progress_is_a_line_for_each_check(report: tuple[Report, list[str]]) -> None:
    assert report[1] == [
        "[1/3] ok   size (0.0 s)",
        "[2/3] FAIL stop web (1.3 s)",
        "[3/3] skip drain worker (0.0 s)",
    ]


@pytest.mark.parametrize("columns", ["20", "80", "300"])
def test_the_table(
    columns: str,
    report: tuple[Report, list[str]],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("COLUMNS", columns)
    made, lines = report
    del lines[:]
    made.write_table()
    head, size, stop, fix, drain = lines[1:]
    assert head.split() == ["ROW", "PROCESS", "DONE", "SEEN"]
    assert size.split() == ["ok", "size", "-", "read", "it", "12", "MiB"]
    assert stop.split() == ["FAIL", "stop", "web", "SIGTERM", "said", "***"]
    assert fix.split() == ["fix:", "do", "not"]
    assert drain.split() == ["skip", "drain", "worker", "no", "web", "process"]
    assert made.summary() == "1 passed, 1 failed, 1 skipped"


def test_what_is_good() -> None:
    made = Report(lambda line: None, lambda text: text)
    made.add(Result("size", "", "passed", "", "", "", 0))
    assert made.passed(strict=True)
    made.add(Result("drain", "worker", "skipped", "", "", "", 0))
    assert (made.passed(strict=False), made.passed(strict=True)) == (True, False)
    made.add(Result("stop", "web", "failed", "", "", "", 0))
    assert not made.passed(strict=False)


def test_as_json(report: tuple[Report, list[str]]) -> None:
    options = Options(image="shop", processes=["web", "worker"])
    text = report[0].to_json(options, "sha256:1")
    assert "topsecret" not in text
    found = json.loads(text)
    assert found["rows"][1] == {
        "row": "stop",
        "process": "web",
        "outcome": "failed",
        "did": "SIGTERM",
        "saw": "said ***",
        "fix": "do not",
        "seconds": 1.26,
    }
    del found["rows"]
    assert found == {
        "image": "shop",
        "id": "sha256:1",
        "processes": ["web", "worker"],
        "good": False,
    }


class LosingContainer(container.Container):
    """Its engine loses what the first commands print, as Docker 20.10 has done."""

    def __init__(self, losses: int) -> None:
        super().__init__(docker=None)
        self.losses = losses
        self.runs = 0

    def exec(self, *command: str, user: str = "") -> container.CompletedCommand:
        self.runs += 1
        return container.CompletedCommand(0, "" if self.runs <= self.losses else "[]")


def test_an_output_that_is_lost_is_asked_for_again() -> None:
    found = LosingContainer(losses=2)
    assert found.run_program("processes") == []
    assert found.runs == 3


def test_a_program_that_prints_nothing_fails() -> None:
    found = LosingContainer(losses=10)
    with pytest.raises(container.CheckFailed, match="exits with 0"):
        found.run_program("processes")
    assert found.runs == 3
