"""What we know of the servers' options, against the servers that are installed."""

import argparse
import os
import shutil
import subprocess
import sys
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path

import pytest
from django.core import management
from django.core.management.base import BaseCommand

import django_prodserver
from django_prodserver.backends.introspection import option_table, parsers
from django_prodserver.backends.introspection.__main__ import line
from django_prodserver.backends.introspection.readers import READERS
from django_prodserver.config.argv import Option, OptionTable, render

# What has to be installed for a server's own definitions to be read.
IN_PROCESS = {
    "gunicorn": "gunicorn",
    "uvicorn": "uvicorn",
    "granian": "granian",
    "waitress": "waitress",
    "celery_worker": "celery",
    "celery_beat": "celery",
    "celery_flower": "flower",
}
# Their commands import models: they are read in a project that has their apps.
COMMANDS = {
    "db_worker": "django_tasks_db",
    "qcluster": "django_q",
    "rqworker": "django_rq",
}


def table(server):
    return import_module(f"django_prodserver.backends.introspection.{server}").OPTIONS


def said(server, **args):
    return render(args, option_table(server))


def generator(*args, **process):
    return subprocess.run(
        [sys.executable, "-m", "django_prodserver.backends.introspection", *args],
        capture_output=True,
        text=True,
        timeout=60,
        **process,
    )


def words_of(server):
    """Yield each option of a table as ARGS can say it, in every way there is."""
    values: dict[str, list[object]] = {
        "value": [1],
        "list": [1, ["1", "2"]],
        "bool": [True, False],
        "flag": [True, False],
    }
    for option in table(server):
        for value in values[option.kind]:
            if words := render({option.name: value}, option_table(server)):
                yield option, words


def given_by(words):
    """Return the texts that the words of one option hold; none for a bare flag."""
    return [text for _, equals, text in (w.partition("=") for w in words) if equals]


def texts(value):
    """Return what a parser has made of an option's value, as texts."""
    values = value if isinstance(value, list | tuple) else [value]
    return [str(each) for each in values]


def test_every_table_has_a_reader_and_a_test():
    assert set(READERS) == {*IN_PROCESS, *COMMANDS}


@pytest.mark.parametrize("server", IN_PROCESS)
def test_the_table_is_what_the_installed_server_says(server):
    pytest.importorskip(IN_PROCESS[server])
    read = tuple(READERS[server]())
    assert read == table(server), "the server has changed: run make options"


@pytest.fixture(scope="module")
def commands_checked():
    return generator("--check", *COMMANDS)


@pytest.mark.parametrize("server", COMMANDS)
def test_the_table_is_what_the_installed_command_says(server, commands_checked):
    # Not importorskip: imported without its settings, django_rq raises.
    if not find_spec(COMMANDS[server]):
        pytest.skip(f"{COMMANDS[server]} is not installed")
    told = commands_checked.stdout + commands_checked.stderr
    assert f"{server}: as in " in told, told


@pytest.mark.parametrize("server", READERS)
def test_no_spelling_means_two_options(server):
    spellings = [
        spelling
        for option in table(server)
        for spelling in {
            option.name,
            *option.spellings,
            *(word[2:].replace("_", "-") for word in (option.on, option.off) if word),
        }
    ]
    assert len(spellings) == len(set(spellings))


@pytest.mark.parametrize("server", READERS)
def test_no_table_has_help_and_version_for_an_option(server):
    assert {"help", "version"}.isdisjoint(option.name for option in table(server))


@pytest.mark.parametrize("server", COMMANDS)
def test_djangos_own_options_are_not_in_a_commands_table(server):
    names = {option.name for option in table(server)}
    assert names.isdisjoint({"settings", "verbosity", "traceback", "skip-checks"})


@pytest.mark.parametrize("key", ["w", "workers", "-w", "--workers"])
def test_gunicorns_workers_has_four_spellings(key):
    assert render({key: 4}, option_table("gunicorn")) == ["--workers=4"]


@pytest.mark.parametrize(
    ("key", "word"),
    [
        ("accesslog", "--access-logfile=x"),
        ("errorlog", "--error-logfile=x"),
        ("log_file", "--error-logfile=x"),
        ("keepalive", "--keep-alive=x"),
        ("limit_request_field_size", "--limit-request-field_size=x"),
        ("loglevel", "--log-level=x"),
        ("proc_name", "--name=x"),
        ("raw_env", "--env=x"),
    ],
)
def test_gunicorns_settings_are_spellings_of_its_options(key, word):
    assert said("gunicorn", **{key: "x"}) == [word]


def test_gunicorn_can_be_told_not_to_use_sendfile():
    assert said("gunicorn", sendfile=False) == ["--no-sendfile"]
    assert said("gunicorn", sendfile=True) == []


def test_gunicorns_control_socket_is_a_path_and_going_without_one_a_flag():
    assert said("gunicorn", control_socket="/x") == ["--control-socket=/x"]
    assert said("gunicorn", no_control_socket=True) == ["--no-control-socket"]
    assert said("gunicorn", control_socket_disable=True) == ["--no-control-socket"]


def test_gunicorns_proxy_protocol_never_swallows_the_application():
    assert said("gunicorn", proxy_protocol=True) == ["--proxy-protocol=true"]
    assert said("gunicorn", proxy_protocol="v2") == ["--proxy-protocol=v2"]


def test_gunicorn_binds_to_several_addresses():
    assert said("gunicorn", bind=["a:1", "b:2"]) == ["--bind=a:1", "--bind=b:2"]


def test_uvicorns_access_log_can_be_off():
    assert said("uvicorn", access_log=False) == ["--no-access-log"]


def test_uvicorns_deflate_takes_a_word():
    off = said("uvicorn", ws_per_message_deflate=False)
    assert off == ["--ws-per-message-deflate=false"]


def test_uvicorns_parameters_are_spellings_of_its_options():
    both = said("uvicorn", headers=["A:1", "B:2"])
    assert both == ["--header=A:1", "--header=B:2"]


@pytest.mark.parametrize(
    ("key", "value", "word"),
    [
        ("address", "x", "--host=x"),
        ("threads", 2, "--blocking-threads=2"),
        ("log_access", False, "--no-access-log"),
        ("ssl_cert", "x", "--ssl-certificate=x"),
        ("ssl_key", "x", "--ssl-keyfile=x"),
        ("websockets", False, "--no-ws"),
        ("interface", "wsgi", "--interface=wsgi"),
    ],
)
def test_granian_understands_what_older_settings_have(key, value, word):
    assert said("granian", **{key: value}) == [word]


def test_waitress_switches_have_a_negative():
    assert said("waitress", expose_tracebacks=False) == ["--no-expose-tracebacks"]


def test_waitress_listens_on_several_addresses():
    assert said("waitress", listen=["a:1", "b:2"]) == ["--listen=a:1", "--listen=b:2"]


def test_celerys_queues_are_one_value():
    celery = OptionTable(table("celery_worker"), join=",")
    assert render({"queues": ["a", "b"]}, celery) == ["--queues=a,b"]
    assert render({"Q": ["a", "b"]}, celery) == ["--queues=a,b"]


def test_celerys_short_options_have_a_case():
    assert said("celery_worker", c=2) == ["--concurrency=2"]
    assert said("celery_worker", s="x") == ["--schedule-filename=x"]
    assert said("celery_worker", S="x") == ["--statedb=x"]


def test_flowers_switches_take_a_word():
    assert said("celery_flower", auto_refresh=False) == ["--auto-refresh=false"]


def test_db_worker_can_be_told_not_to_wait_at_its_start():
    assert said("db_worker", startup_delay=False) == ["--no-startup-delay"]
    assert said("db_worker", startup_delay=True) == []


def test_db_worker_can_be_told_not_to_reload():
    assert said("db_worker", reload=False) == ["--no-reload"]


def test_gunicorns_parser_takes_the_whole_table():
    config = pytest.importorskip("gunicorn.config")
    parser = config.Config().parser()
    parser.allow_abbrev = False  # or "--worker" would do for "--workers"
    for option, words in words_of("gunicorn"):
        parsed = vars(parser.parse_args(words))
        found = {name: v for name, v in parsed.items() if v not in (None, [])}
        assert len(found) == 1, option
        (value,) = found.values()
        if given := given_by(words):
            assert texts(value) == given, option
        else:
            assert isinstance(value, bool), option


@pytest.mark.parametrize(
    ("server", "module", "name"),
    [
        pytest.param("uvicorn", "uvicorn.main", "main", id="uvicorn"),
        pytest.param("granian", "granian.cli", "cli", id="granian"),
        pytest.param("celery_worker", "celery.bin.worker", "worker", id="worker"),
        pytest.param("celery_beat", "celery.bin.beat", "beat", id="beat"),
    ],
)
def test_clicks_parser_takes_the_whole_table(server, module, name):
    click = pytest.importorskip("click")
    pytest.importorskip(module)
    # Not "import uvicorn.main": that is the command, which hides the module.
    command = getattr(sys.modules[module], name)
    parser = command.make_parser(click.Context(command))
    arguments = {p.name for p in command.params if isinstance(p, click.Argument)}
    for option, words in words_of(server):
        found, left, _ = parser.parse_args(words)
        assert left == [], option
        for name in arguments:
            found.pop(name, None)
        assert len(found) == 1, option
        (value,) = found.values()
        if given := given_by(words):
            assert texts(value) == given, option


def test_waitress_parser_takes_the_whole_table():
    adjustments = pytest.importorskip("waitress.adjustments")
    for option, words in words_of("waitress"):
        if option.name == "graceful-timeout":
            continue  # ours, which prodserver-waitress takes out before
        given, left = adjustments.Adjustments.parse_args(words)
        # By its full name: getopt takes any beginning of one.
        assert given[option.name.replace("-", "_")], option
        assert left == []


def test_flower_drops_nothing_of_the_table():
    """It leaves out the options that it does not know, and starts."""
    flower = pytest.importorskip("flower.command")
    for option, words in words_of("celery_flower"):
        assert all(map(flower.is_flower_option, words)), option


@pytest.mark.parametrize(
    ("flags", "options"),
    [
        pytest.param(
            [("--reload", {"action": "store_true"})],
            [Option("reload", "flag", "--reload")],
            id="flag",
        ),
        pytest.param(
            [("--reload", {"action": argparse.BooleanOptionalAction})],
            [Option("reload", "flag", "--reload", "--no-reload")],
            id="one-action-for-both",
        ),
        pytest.param(
            [
                ("--wait", {"action": "store_true", "dest": "delay"}),
                ("--no-wait", {"action": "store_false", "dest": "delay"}),
            ],
            [Option("wait", "flag", "--wait", "--no-wait", ("delay",))],
            id="one-action-each",
        ),
        pytest.param(
            [("--no-wait", {"action": "store_false", "dest": "wait"})],
            [Option("wait", "flag", "", "--no-wait")],
            id="the-negative-alone",
        ),
        pytest.param(
            [("--quiet", {"action": "store_false", "dest": "verbose"})],
            [Option("quiet", "flag", "--quiet")],
            id="what-it-sets-is-its-opposite",
        ),
        pytest.param(
            [("--queue", {"action": "append", "dest": "queues"})],
            [Option("queue", "list", "--queue", spellings=("queues",))],
            id="list",
        ),
        pytest.param([("queue", {"nargs": "*"})], [], id="positional"),
    ],
)
def test_the_options_of_a_management_command(flags, options, monkeypatch):
    class Command(BaseCommand):
        def add_arguments(self, parser):
            for flag, how in flags:
                parser.add_argument(flag, **how)

    monkeypatch.setattr(management, "load_command_class", lambda *_: Command())
    assert parsers.from_command("shop", "work") == options


def test_the_tables_do_not_depend_on_the_machine(tmp_path):
    """Some defaults do: the port, the CPUs, the home, the folder, the host's name."""
    elsewhere = os.environ | {
        "CELERY_WORKER_QUEUES": "elsewhere",
        "GRANIAN_PORT": "1234",
        "GUNICORN_CMD_ARGS": "--workers=7",
        "HOME": str(tmp_path),
        "HOSTNAME": "elsewhere",
        "PORT": "1234",
        "PYTHON_CPU_COUNT": "7",
        "UVICORN_PORT": "1234",
        "WEB_CONCURRENCY": "7",
        "XDG_RUNTIME_DIR": str(tmp_path),
    }
    elsewhere.pop("DJANGO_SETTINGS_MODULE", None)
    check = generator("--check", cwd=tmp_path, env=elsewhere)
    assert check.returncode == 0, check.stdout + check.stderr


def test_a_table_that_differs_is_named_and_written_anew(tmp_path):
    pytest.importorskip("waitress")
    shutil.copytree(
        Path(django_prodserver.__file__).parent, tmp_path / "django_prodserver"
    )
    copy = tmp_path / "django_prodserver/backends/introspection/waitress.py"
    right = copy.read_text()
    copy.write_text(right.replace('"--threads"', '"--thread"'))
    elsewhere = os.environ | {"PYTHONPATH": str(tmp_path)}

    check = generator("--check", "waitress", env=elsewhere)
    assert check.returncode == 1
    assert "waitress: differs from waitress " in check.stdout
    assert '+    Option("threads", "value", "--threads"),' in check.stdout
    assert copy.read_text() != right

    assert generator("waitress", env=elsewhere).returncode == 0
    assert copy.read_text() == right


def test_a_server_that_we_do_not_know_is_an_error():
    wrong = generator("--check", "unicorn")
    assert wrong.returncode == 2
    assert "no server named unicorn" in wrong.stderr


@pytest.mark.parametrize(
    ("option", "code"),
    [
        pytest.param(
            Option("bind", "list", "--bind", spellings=("b",)),
            '    Option("bind", "list", "--bind", spellings=("b",)),',
            id="on-one-line",
        ),
        pytest.param(
            Option(
                "error-logfile",
                "value",
                "--error-logfile",
                "",
                ("errorlog", "log-file"),
            ),
            "    Option(\n"
            '        "error-logfile", "value", "--error-logfile", '
            'spellings=("errorlog", "log-file")\n'
            "    ),",
            id="on-a-line-of-its-own",
        ),
        pytest.param(
            Option("a" * 30, "flag", "--" + "a" * 30, "--no-" + "a" * 30),
            "    Option(\n"
            f'        "{"a" * 30}",\n'
            '        "flag",\n'
            f'        "--{"a" * 30}",\n'
            f'        off="--no-{"a" * 30}",\n'
            "    ),",
            id="on-several",
        ),
    ],
)
def test_a_table_is_written_as_ruff_formats_it(option, code):
    assert line(option) == code
