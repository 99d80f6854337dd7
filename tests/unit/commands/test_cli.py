"""The command line: what is ours, what is Django's, and what the server gets."""

from __future__ import annotations

import io
import json
import os
import shlex
import sys
from collections.abc import Callable
from importlib import metadata
from pathlib import Path
from typing import Any

import pytest
from django.core.management import (
    CommandError,
    call_command,
    execute_from_command_line,
)

from django_prodserver import __main__
from django_prodserver.backends.base import BaseServerBackend
from django_prodserver.backends.introspection import OptionFile
from django_prodserver.backends.introspection.installed import installed_options
from django_prodserver.commands import cli
from django_prodserver.config.argv import Option, OptionTable
from django_prodserver.exceptions import UnknownProcess
from django_prodserver.process import termination_log
from tests.installed import entry, installed, skip_without_servers

BACKENDS = "django_prodserver.backends"
GUNICORN_PACKAGE = f"{BACKENDS}.gunicorn"
GUNICORN = f"{GUNICORN_PACKAGE}.GunicornServer"
WEB = {"BACKEND": GUNICORN, "ARGS": {"workers": 2, "threads": 4}}
Q2 = {"BACKEND": f"{BACKENDS}.django_q2.DjangoQ2Worker"}
# The options that nobody has written.
DEFAULTS = [
    "--no-control-socket",
    "--bind=127.0.0.1:8000",
    "--worker-tmp-dir=/dev/shm",
    "--graceful-timeout=25",
    "--log-level=info",
    "--logger-class=django_prodserver.backends.gunicorn.logger.Logger",
    "--keep-alive=65",
]
REST = ["proj.wsgi:application", *DEFAULTS]


@pytest.fixture(autouse=True)
def _restored(monkeypatch):
    """Both entry points write to the environment and to the path, as they may."""
    monkeypatch.setenv("DJANGO_SETTINGS_MODULE", "proj.settings")
    monkeypatch.delenv("PORT", raising=False)
    monkeypatch.delenv("PRODSERVER_HOST", raising=False)
    monkeypatch.delenv("PROCESS_NAME", raising=False)
    monkeypatch.delenv("GUNICORN_CMD_ARGS", raising=False)
    monkeypatch.delenv("PRODSERVER_LOG_FORMAT", raising=False)
    monkeypatch.setattr(sys, "path", list(sys.path))


@pytest.fixture
def configured(settings):
    def configure(**processes):
        settings.PRODUCTION_PROCESSES = processes
        skip_without_servers(processes)

    return configure


class Done:
    """What a command has said, and its exit code."""

    def __init__(self, run: Callable[[], Any], capsys: Any) -> None:
        try:
            run()
        except SystemExit as end:
            self.code = end.code or 0
        else:
            self.code = 0
        self.out, self.err = capsys.readouterr()

    @property
    def words(self) -> list[str]:
        """The command that --dry-run has printed, without its environment."""
        words = shlex.split(self.out)
        while "=" in words[0] and not words[0].startswith("-"):
            words.pop(0)
        return words

    @property
    def program(self) -> str:
        return Path(self.words[0]).name


@pytest.fixture(params=["manage", "main"])
def prodserver(request, capsys) -> Callable[..., Done]:
    """Both entry points: manage.py's, and that of "prodserver" and "python -m"."""

    def run(*args: str) -> Done:
        if request.param == "manage":
            argv = ["manage.py", "prodserver", *args]
            return Done(lambda: execute_from_command_line(argv), capsys)
        return Done(lambda: cli.main(args), capsys)

    return run


@pytest.mark.parametrize(
    ("args", "native"),
    [
        ("", "--workers=2 --threads=4"),
        ("web", "--workers=2 --threads=4"),
        ("web --workers 8", "--threads=4 --workers 8"),
        ("web --workers=8", "--threads=4 --workers=8"),
        ("web -w 8", "--threads=4 -w 8"),
        ("web -w8", "--threads=4 -w8"),
        ("--workers 8", "--threads=4 --workers 8"),
        ("web -- --workers 8", "--threads=4 --workers 8"),
        ("-- -w 8", "--threads=4 -w 8"),
        ("web -w 8 -- --threads=1", "-w 8 --threads=1"),
        ("web --bind a --bind b", "--workers=2 --threads=4 --bind a --bind b"),
        ("web --name 'a b'", "--workers=2 --threads=4 --name 'a b'"),
        ("web --bind=-", "--workers=2 --threads=4 --bind=-"),
        ("web --new-one x", "--workers=2 --threads=4 --new-one x"),
    ],
)
def test_what_is_not_ours_goes_to_the_server(args, native, configured, prodserver):
    """It replaces what is configured, under any spelling, and nothing else."""
    configured(web=WEB)
    done = prodserver("--dry-run", *shlex.split(args))
    assert done.code == 0, done.err
    _, application, *words = done.words
    assert done.program == "gunicorn"
    assert application == REST[0]
    given = [word for word in words if word not in REST]
    assert given == shlex.split(native)


DJANGOS = (
    *("--settings=proj.settings", "--settings proj.settings", "--pythonpath=/tmp"),
    *("--pythonpath /tmp", "--traceback", "--no-color", "--force-color"),
    *("--skip-checks", "--verbosity=2", "--verbosity 3", "-v 2", "-v2"),
)


@pytest.mark.parametrize("option", DJANGOS)
@pytest.mark.parametrize("place", ["before", "after"])
def test_djangos_own_options_stay_djangos(place, option, configured, prodserver):
    configured(web=WEB)
    words = option.split()
    args = [*words, "web"] if place == "before" else ["web", "-w", "8", *words]
    done = prodserver(*args, "--dry-run")
    assert done.code == 0, done.err
    assert not set(words) & set(done.words)


def test_behind_two_dashes_nothing_is_ours_or_djangos(configured, prodserver):
    configured(web=WEB)
    native = ["--settings=x", "--list", "-v", "--dry-run", "--", "y"]
    done = prodserver("web", "--dry-run", "--", *native)
    assert done.words[-len(native) :] == native


def test_no_option_of_ours_is_abbreviated(configured, prodserver):
    """A server may have one of that name, today or in its next release."""
    configured(web=WEB)
    assert "--show" in prodserver("web", "--dry-run", "--show").words


MISSPELLED = {
    "--lst": "--list",
    "--lis": "--list",
    "--inti": "--init",
    "--explian": "--explain",
    "--dryrun": "--dry-run",
    "--dry_run": "--dry-run",
    "--dry": "--dry-run",
    "--form=json": "--format",
    "--settin=x": "--settings",
}


@pytest.mark.parametrize("name", [["web"], []], ids=["name", "no-name"])
@pytest.mark.parametrize("option", MISSPELLED)
def test_a_misspelled_option_of_ours_starts_nothing(
    option, name, configured, prodserver
):
    """The process is planned, but nothing of it is started or printed."""
    configured(web=WEB)
    done = prodserver(*name, option)
    assert done.code == 2
    assert done.out == ""
    assert f"Unknown option '{option.partition('=')[0]}'." in done.err
    assert f"Did you mean '{MISSPELLED[option]}'?" in done.err
    assert "put it after --" in done.err


def test_a_misspelled_option_where_no_process_is_chosen(configured, prodserver):
    configured(a=WEB, b=WEB)
    done = prodserver("--lst")
    assert done.code == 2
    assert "Did you mean '--list'?" in done.err


@pytest.mark.parametrize(
    ("process", "option"),
    [("web", "--config"), ("web", "--forw"), ("other", "--lst")],
    ids=["its-own", "a-prefix", "unknown-server"],
)
def test_an_option_that_the_server_may_have_is_not_misspelled(
    process, option, configured, prodserver
):
    """All of these are close to --format, --settings or --list."""
    configured(web=WEB, other={"BACKEND": f"{__name__}.Theirs"})
    done = prodserver(process, "--dry-run", f"{option}=x")
    assert done.code == 0, done.err
    assert option in done.out


SERVERS = {
    "gunicorn": {"--wrokers=3": "--workers", "--statsd-hots=x": "--statsd-host"},
    "gunicorn-switch": {"--initg": "--initgroups"},
    "uvicorn": {"--prot=3": "--port", "--work=3": "--workers"},
    "granian": {"--wrkers": "--workers"},
    "waitress": {"--thraeds=2": "--threads"},
    "hypercorn": {"--wrkers=2": "--workers"},
    "celery": {"--concurency=2": "--concurrency"},
    "tasks": {"--intervall=2": "--interval"},
    "q2": {"--run-onec": "--run-once"},
}
PROCESSES = {
    "gunicorn": {"BACKEND": GUNICORN},
    "gunicorn-switch": {"BACKEND": GUNICORN},
    "uvicorn": {"BACKEND": f"{BACKENDS}.uvicorn.UvicornServer"},
    "granian": {"BACKEND": f"{BACKENDS}.granian.GranianWSGIServer"},
    "waitress": {"BACKEND": f"{BACKENDS}.waitress.WaitressServer"},
    "hypercorn": {"BACKEND": f"{BACKENDS}.hypercorn.HypercornServer"},
    "celery": {"BACKEND": f"{BACKENDS}.celery.CeleryWorker", "APP": "proj.celery.app"},
    "tasks": {"BACKEND": f"{BACKENDS}.django_tasks.DjangoTasksWorker"},
    "q2": Q2,
}


@pytest.mark.parametrize(
    ("name", "option"),
    [(name, option) for name, options in SERVERS.items() for option in options],
)
def test_a_misspelled_option_of_the_server_starts_nothing(
    name, option, configured, prodserver
):
    configured(**{name: PROCESSES[name]})
    done = prodserver(name, option)
    assert done.code == 2
    assert done.out == ""
    assert f"Unknown option '{option.partition('=')[0]}'." in done.err
    assert f"Did you mean '{SERVERS[name][option]}'?" in done.err


def test_what_the_installed_server_has_is_not_misspelled(
    configured, prodserver, monkeypatch
):
    """It may be newer than the table."""
    installed = installed_options(OptionFile(GUNICORN_PACKAGE))
    assert installed
    newer = installed.read_options()
    newer.append(Option("worker", "value", "--worker"))
    monkeypatch.setattr(
        "django_prodserver.checks.server_options.read",
        lambda installed: (OptionTable(newer), "gunicorn 99"),
    )
    configured(web=WEB)
    done = prodserver("web", "--dry-run", "--wrker=2")
    assert done.code == 2
    monkeypatch.setattr(
        "django_prodserver.checks.server_options.read",
        lambda installed: (
            OptionTable([*newer, Option("wrker", "value", "--wrker")]),
            "gunicorn 99",
        ),
    )
    assert "--wrker=2" in prodserver("web", "--dry-run", "--wrker=2").words


def test_an_abbreviated_option_replaces_what_is_configured(configured, prodserver):
    """As the server itself reads it."""
    configured(web={**WEB, "BIND": "127.0.0.1:1"})
    words = prodserver("web", "--dry-run", "--bin", "127.0.0.1:2").words
    assert words[-2:] == ["--bin", "127.0.0.1:2"]
    assert not [word for word in words if word.startswith("--bind")]


def test_a_value_attached_to_a_short_option_is_explained(configured, prodserver):
    configured(worker={"BACKEND": f"{BACKENDS}.celery.CeleryWorker", "APP": "p.app"})
    done = prodserver("worker", "--explain", "--format=json", "-c4", "-Ofair")
    rows = {row["option"]: row for row in json.loads(done.out)}
    assert (rows["-c"]["value"], rows["-c"]["from"]) == ("4", "command line")
    assert rows["-O"]["value"] == "fair"
    assert "CONCURRENCY" not in rows


def test_behind_two_dashes_nothing_is_misspelled(configured, prodserver):
    configured(web=WEB)
    assert "--lst" in prodserver("web", "--dry-run", "--", "--lst").words


@pytest.mark.parametrize(
    ("args", "said"),
    [
        ("--list --dry-run", "--dry-run: not allowed with argument --list"),
        ("--list web", "--list takes no names"),
        ("--list -- x", "--list takes no names"),
        ("--list --workers=2", "--list takes no names"),
        ("--list --format=yaml", "argument --format: invalid choice: 'yaml'"),
        ("--all web -w 8", "--all takes only process names"),
        ("--all -- x", "--all takes only process names"),
        ("--dry-run=1 web", "argument --dry-run: ignored explicit argument '1'"),
        ("web worker", "To run several: prodserver --all web worker"),
        ("web --native", "--native only works with --dry-run."),
        ("web --explain --native", "--native only works with --dry-run."),
        ("--list --native", "--native only works with --dry-run."),
        ("--all --native", "--native only works with --dry-run."),
    ],
)
def test_wrong_usage_is_2(args, said, configured, prodserver):
    configured(web=WEB, worker=Q2)
    done = prodserver(*args.split())
    assert done.code == 2
    assert done.out == ""
    assert said in done.err


@pytest.mark.parametrize(
    ("names", "variable", "chosen"),
    [
        ("web worker", "", "gunicorn"),
        ("worker web", "", "gunicorn"),
        ("worker", "", "django-admin"),
        ("web worker", "worker", "django-admin"),
        ("a b", "b", "gunicorn"),
    ],
    ids=["web", "web-in-any-place", "the-only-one", "PROCESS_NAME", "a-variable-only"],
)
def test_without_a_name(names, variable, chosen, configured, prodserver, monkeypatch):
    monkeypatch.setenv("PROCESS_NAME", variable)
    configured(**{name: Q2 if name == "worker" else WEB for name in names.split()})
    assert prodserver("--dry-run").program == chosen


def test_a_name_is_stronger_than_the_variable(configured, prodserver, monkeypatch):
    monkeypatch.setenv("PROCESS_NAME", "worker")
    configured(web=WEB, worker=Q2)
    assert prodserver("web", "--dry-run").program == "gunicorn"


@pytest.mark.parametrize(
    ("args", "variable", "said"),
    [
        ([], "", "No process was named, and none is called 'web'."),
        (["c"], "", "No process named 'c'."),
        ([], "c", "No process named 'c' (from PROCESS_NAME)."),
    ],
    ids=["none", "unknown", "unknown-variable"],
)
def test_which_process_is_not_guessed(
    args, variable, said, configured, prodserver, monkeypatch
):
    monkeypatch.setenv("PROCESS_NAME", variable)
    configured(a=WEB, b=WEB)
    done = prodserver(*args)
    assert done.code == 78
    assert said in done.err
    assert "Configured: a, b." in done.err


@pytest.fixture
def secretive(configured):
    configured(
        web={
            "BACKEND": GUNICORN,
            "ARGS": {"env": ["SECRET_KEY=tops", "A=1"], "name": "amqp://u:tops@h"},
            "ENV": {"DATABASE_URL": "postgres://u:tops@db/x", "API_TOKEN": "tops"},
        },
        flower={
            "BACKEND": f"{BACKENDS}.celery.CeleryFlower",
            "APP": "proj.celery.app",
            "ARGS": {"basic-auth": "u:tops", "broker-api": "http://u:tops@h/api"},
        },
    )


@pytest.mark.parametrize(
    "args",
    ["web --dry-run", "flower --dry-run", "--list", "--list --format=json"],
)
def test_secrets_are_shown_on_request_only(args, secretive, prodserver):
    hidden = prodserver(*args.split())
    assert hidden.code == 0, hidden.err
    assert "tops" not in hidden.out
    assert "***" in hidden.out
    assert "tops" in prodserver(*args.split(), "--show-secrets").out


def test_what_is_no_secret_is_shown(secretive, prodserver):
    out = prodserver("web", "--dry-run").out
    for plain in ("--env=A=1", "@h", "postgres://u:", "@db/x", "DATABASE_URL="):
        assert plain in out


def test_dry_run_prints_one_line_a_shell_reads_back(configured, prodserver):
    odd = 'it\'s "odd" $HOME `x`\\'
    configured(web={**WEB, "ENV": {"ODD": odd}, "PREFIX": ["nice", "-n", "5"]})
    done = prodserver("web", "--dry-run", "--name", odd)
    assert done.out.count("\n") == 1
    assert f"ODD={odd}" in shlex.split(done.out)
    assert done.words[:3] == ["nice", "-n", "5"]
    assert done.words[-1] == odd


def test_a_backend_without_a_native_command_has_none_to_print(configured, prodserver):
    configured(web={"BACKEND": f"{__name__}.Theirs"})
    done = prodserver("web", "--dry-run", "--native")
    assert done.code == 2
    assert done.out == ""
    assert f"{__name__}.Theirs has no native command." in done.err


def test_secrets_are_masked_in_a_native_command_too(secretive, prodserver):
    hidden = prodserver("web", "--dry-run", "--native")
    assert hidden.code == 0, hidden.err
    assert "tops" not in hidden.out + hidden.err
    shown = prodserver("web", "--dry-run", "--native", "--show-secrets")
    assert "tops" in shown.out


def listed(prodserver, *args: str) -> list[dict[str, Any]]:
    done = prodserver("--list", "--format", "json", *args)
    assert done.code == 0, done.err
    return list(json.loads(done.out))


def test_list_for_machines(configured, prodserver):
    configured(web=WEB, worker=Q2)
    web, worker = listed(prodserver)
    argv = ["gunicorn", *REST, "--workers=2", "--threads=4"]
    assert web == {
        "name": "web",
        "backend": GUNICORN,
        "argv": argv,
        "command": shlex.join(argv),
        "default": True,
        "error": None,
    }
    assert worker["argv"] == ["django-admin", "qcluster"]
    assert worker["default"] is False


def test_list_for_people(configured, prodserver):
    configured(web=WEB, worker=Q2)
    head, web, worker = prodserver("--list").out.splitlines()
    assert head.split() == ["NAME", "BACKEND", "COMMAND"]
    assert web.startswith("web (default)  GunicornServer  gunicorn proj.wsgi:")
    assert worker.split() == ["worker", "DjangoQ2Worker", "django-admin", "qcluster"]
    columns = {line.index(word) for line, word in ((head, "COMM"), (worker, "django-"))}
    assert len(columns) == 1


FAULTY: dict[str, tuple[Any, str | None, str]] = {
    "no-dictionary": ("web", None, "is 'web', not a dictionary."),
    "no-backend": ({}, None, "has no BACKEND."),
    "a-class": ({"BACKEND": int}, "<class 'int'>", "has the BACKEND <class 'int'>."),
    "a-typo": ({"BACKEND": f"{GUNICORN}s"}, f"{GUNICORN}s", "cannot be imported"),
    "env": ({**WEB, "ENV": "A=1"}, GUNICORN, "is not a dictionary of variables."),
    "prefix": ({**WEB, "PREFIX": 5}, GUNICORN, "['PREFIX'] is 5."),
    "args": ({**WEB, "ARGS": None}, GUNICORN, "['ARGS'] is None"),
    "key": ({**WEB, 1: 2}, GUNICORN, "has the key 1."),
}


@pytest.mark.parametrize(
    ("entry", "backend", "error"), FAULTY.values(), ids=list(FAULTY)
)
def test_list_shows_faults_beside_what_is_right(
    entry, backend, error, configured, prodserver
):
    configured(bad=entry, web=WEB)
    bad, web = listed(prodserver)
    assert web["error"] is None
    assert bad["backend"] == backend
    assert (bad["argv"], bad["command"]) == (None, None)
    assert error in bad["error"]
    assert f"# {bad['error']}" in prodserver("--list").out.splitlines()[1]


def test_list_shows_the_command_of_what_is_not_installed(
    configured, prodserver, monkeypatch
):
    configured(web=WEB)
    monkeypatch.setitem(sys.modules, "gunicorn", None)
    [web] = listed(prodserver)
    assert web["argv"][0] == "gunicorn"
    assert "gunicorn is not installed." in web["error"]
    assert f"{web['command']}  # {web['error']}" in prodserver("--list").out


@pytest.mark.parametrize(
    "name", [1, "a\nb", "", "x" * 10_000], ids=["number", "line", "empty", "long"]
)
def test_list_shows_a_wrong_name_on_one_line(name, settings, prodserver):
    settings.PRODUCTION_PROCESSES = {name: WEB, "web": WEB}
    bad, web = listed(prodserver)
    assert "has the name" in bad["error"]
    assert web["default"] is True
    out = prodserver("--list").out
    assert len(out.splitlines()) == 3
    assert len(out) < 1000


def test_list_lists_every_backend(configured, prodserver):
    paths = installed()
    configured(**{f"p{n}": entry(path) for n, path in enumerate(paths)})
    rows = listed(prodserver)
    assert [row["backend"] for row in rows] == paths
    assert [row["error"] for row in rows] == [None] * len(paths)


class Theirs(BaseServerBackend):
    def start_server(self, *args):
        """Never: it is only looked at."""


def test_a_backend_without_a_native_command(configured, prodserver):
    path = f"{__name__}.Theirs"
    configured(web={"BACKEND": path, "ARGS": {"a": "b c", "token": "x"}})
    [web] = listed(prodserver)
    assert (web["argv"], web["command"]) == (None, "start_server()")
    assert prodserver("web", "--dry-run", "--d").out == (
        f"# {path} has no native command; "
        "it is called with: '--a=b c' '--token=***' --d\n"
    )


def test_no_processes_is_an_error_for_list(settings, prodserver):
    settings.PRODUCTION_PROCESSES = {}
    done = prodserver("--list")
    assert done.code == 78
    assert "PRODUCTION_PROCESSES is empty or not set." in done.err


def test_call_command(configured):
    configured(web=WEB, worker=Q2)
    out = io.StringIO()
    call_command("prodserver", "worker", dry_run=True, stdout=out)
    call_command("prodserver", "web", "--workers", 8, dry_run=True, stdout=out)
    call_command("prodserver", list=True, format="json", stdout=out)
    worker, web, listed = out.getvalue().split("\n", 2)
    assert worker.endswith("django-admin qcluster")
    assert web.endswith("--threads=4 --workers 8")
    assert [row["name"] for row in json.loads(listed)] == ["web", "worker"]


@pytest.mark.parametrize(
    ("args", "code"), [(["wbe"], 78), (["web", "worker"], 2)], ids=["name", "usage"]
)
def test_call_command_raises_what_djangos_commands_raise(args, code, configured):
    configured(web=WEB, worker=Q2)
    with pytest.raises(CommandError) as caught:
        call_command("prodserver", *args)
    assert caught.value.returncode == code


def test_help_says_whose_options_are_whose(prodserver):
    done = prodserver("--help")
    assert done.code == 0
    assert "prodserver [options] [NAME] [server options]" in done.out
    for option in ("--list", "--dry-run", "--all", "--format", "--show-secrets"):
        assert option in done.out
    text = " ".join(done.out.split())
    assert "NAME is a key of PRODUCTION_PROCESSES. The default is PROCESS_NAME" in text


def test_the_console_script_is_the_same_main():
    [script] = metadata.entry_points(group="console_scripts", name="prodserver")
    assert script.load() is __main__.main


def test_the_first_of_several_words_is_what_is_unknown(configured, prodserver):
    """A misspelled command, as a rule, and no second process."""
    configured(web=WEB)
    done = prodserver("pyhton", "manage.py", "migrate")
    assert done.code == 78
    assert "No process named 'pyhton'." in done.err
    assert "prodserver starts one process" not in done.err


def test_the_reason_is_left_where_kubernetes_looks(
    configured, prodserver, tmp_path, monkeypatch
):
    configured(web=WEB)
    file = tmp_path / "termination-log"
    monkeypatch.setattr(termination_log, "PATH", str(file))
    prodserver("wbe")
    assert not file.exists()
    file.write_text("something longer than what comes now " * 10)
    prodserver("wbe")
    hint = "Did you mean 'web'? Configured: web."
    assert file.read_text() == f"prodserver: No process named 'wbe'.\n{hint}\n"


def test_the_settings_can_be_named_on_the_command_line(capsys, monkeypatch):
    monkeypatch.delenv("DJANGO_SETTINGS_MODULE")
    args = ["--settings=proj.settings", "--list"]
    assert Done(lambda: cli.main(args), capsys).code == 0
    assert os.environ["DJANGO_SETTINGS_MODULE"] == "proj.settings"


def test_traceback_shows_where_an_error_comes_from(configured, capsys):
    configured(web=WEB)
    with pytest.raises(UnknownProcess):
        cli.main(["wbe", "--traceback"])
