"""What we know of the servers' options, against the servers that are installed."""

import argparse
import json
import os
import shutil
import subprocess
import sys
from importlib.metadata import PackageNotFoundError
from pathlib import Path

import pytest
from django.core import management
from django.core.management.base import BaseCommand

import django_prodserver
from django_prodserver.backends import loader
from django_prodserver.backends.django_command import ManagementBackend
from django_prodserver.backends.introspection import (
    from_json,
    option_table,
    parsers,
    to_json,
)
from django_prodserver.backends.introspection.installed import all_tables
from django_prodserver.config.argv import Option, OptionTable, render
from tests.installed import backend

TABLES = {str(file): (file, installed) for file, installed in all_tables().items()}
# Management commands import models: they are read in a project that has their apps.
COMMANDS = [name for name, (_, installed) in TABLES.items() if installed.app]
IN_PROCESS = [name for name in TABLES if name not in COMMANDS]
GUNICORN = "gunicorn/options.json"
UVICORN = "uvicorn/options.json"
GRANIAN = "granian/options.json"
WAITRESS = "waitress/options.json"
CELERY_WORKER = "celery/worker_options.json"
CELERY_BEAT = "celery/beat_options.json"
FLOWER = "celery/flower_options.json"
DB_WORKER = "django_tasks/db_worker_options.json"


def known_options(table):
    file, _ = TABLES[table]
    return option_table(file)


def skip_without(installed):
    try:
        assert installed.version
    except PackageNotFoundError:
        pytest.skip(f"{installed.distribution} is not installed")


def said(table, **args):
    return render(args, known_options(table))


def generator(*args, **process):
    return subprocess.run(
        [sys.executable, "-m", "django_prodserver.backends.introspection", *args],
        capture_output=True,
        text=True,
        timeout=60,
        **process,
    )


def words_of(table):
    """Yield each option of a table as ARGS can say it, in every way there is."""
    values: dict[str, list[object]] = {
        "value": [1],
        "list": [1, ["1", "2"]],
        "bool": [True, False],
        "flag": [True, False],
    }
    for option in known_options(table).options:
        for value in values[option.kind]:
            if words := render({option.name: value}, known_options(table)):
                yield option, words


def test_every_table_that_a_backend_names_can_be_generated_and_no_other_is_there():
    used = {str(backend(path).option_file) for path in loader.known_backends()}
    # The same backend has it where TASKS is on RQ.
    assert used | {"django_tasks/rqworker_options.json"} == set(TABLES)
    folder = Path(django_prodserver.__file__).parent / "backends"
    found = {str(path.relative_to(folder)) for path in folder.glob("*/*options.json")}
    assert found == set(TABLES)


def given_by(words):
    """Return the texts that the words of one option hold; none for a bare flag."""
    return [text for _, equals, text in (w.partition("=") for w in words) if equals]


def texts(value):
    """Return what a parser has made of an option's value, as texts."""
    values = value if isinstance(value, list | tuple) else [value]
    return [str(each) for each in values]


@pytest.mark.parametrize("table", IN_PROCESS)
def test_the_table_is_what_the_installed_server_says(table):
    _, installed = TABLES[table]
    skip_without(installed)
    read = tuple(installed.read_options())
    changed = "the server has changed: run make options"
    assert read == known_options(table).options, changed


@pytest.mark.parametrize("table", TABLES)
def test_each_option_that_a_server_describes_is_one_that_it_takes(table):
    _, installed = TABLES[table]
    skip_without(installed)
    names = {option.name for option in installed.read_options()}
    described = [name for name, _ in installed.describe()]
    assert len(names.intersection(described)) > len(names) / 2
    assert set(installed.defaults) | set(installed.help) <= names


@pytest.fixture(scope="module")
def commands_checked():
    return generator("--check", *COMMANDS)


@pytest.mark.parametrize("table", COMMANDS)
def test_the_table_is_what_the_installed_command_says(table, commands_checked):
    _, installed = TABLES[table]
    skip_without(installed)
    told = commands_checked.stdout + commands_checked.stderr
    assert f"{table}: as in " in told, told


@pytest.mark.parametrize("table", TABLES)
def test_no_spelling_means_two_options(table):
    spellings = [
        spelling
        for option in known_options(table).options
        for spelling in {
            option.name,
            *option.spellings,
            *(word[2:].replace("_", "-") for word in (option.on, option.off) if word),
        }
    ]
    assert len(spellings) == len(set(spellings))


@pytest.mark.parametrize("table", TABLES)
def test_no_table_has_help_and_version_for_an_option(table):
    names = {option.name for option in known_options(table).options}
    assert {"help", "version"}.isdisjoint(names)


@pytest.mark.parametrize("table", COMMANDS)
def test_djangos_own_options_are_not_in_a_commands_table(table):
    names = {option.name for option in known_options(table).options}
    assert names.isdisjoint({"settings", "verbosity", "traceback", "skip-checks"})


@pytest.mark.parametrize("key", ["w", "workers", "-w", "--workers"])
def test_gunicorns_workers_has_four_spellings(key):
    assert render({key: 4}, known_options(GUNICORN)) == ["--workers=4"]


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
    assert said(GUNICORN, **{key: "x"}) == [word]


def test_gunicorn_can_be_told_not_to_use_sendfile():
    assert said(GUNICORN, sendfile=False) == ["--no-sendfile"]
    assert said(GUNICORN, sendfile=True) == []


def test_gunicorns_control_socket_is_a_path_and_going_without_one_a_flag():
    assert said(GUNICORN, control_socket="/x") == ["--control-socket=/x"]
    assert said(GUNICORN, no_control_socket=True) == ["--no-control-socket"]
    assert said(GUNICORN, control_socket_disable=True) == ["--no-control-socket"]


def test_gunicorns_proxy_protocol_never_swallows_the_application():
    assert said(GUNICORN, proxy_protocol=True) == ["--proxy-protocol=true"]
    assert said(GUNICORN, proxy_protocol="v2") == ["--proxy-protocol=v2"]


def test_gunicorn_binds_to_several_addresses():
    assert said(GUNICORN, bind=["a:1", "b:2"]) == ["--bind=a:1", "--bind=b:2"]


def test_uvicorns_access_log_can_be_off():
    assert said(UVICORN, access_log=False) == ["--no-access-log"]


def test_uvicorns_deflate_takes_a_word():
    off = said(UVICORN, ws_per_message_deflate=False)
    assert off == ["--ws-per-message-deflate=false"]


def test_uvicorns_parameters_are_spellings_of_its_options():
    both = said(UVICORN, headers=["A:1", "B:2"])
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
    assert said(GRANIAN, **{key: value}) == [word]


def test_waitress_switches_have_a_negative():
    assert said(WAITRESS, expose_tracebacks=False) == ["--no-expose-tracebacks"]


def test_waitress_listens_on_several_addresses():
    assert said(WAITRESS, listen=["a:1", "b:2"]) == ["--listen=a:1", "--listen=b:2"]


def test_celerys_queues_are_one_value():
    celery = OptionTable(known_options(CELERY_WORKER).options, join=",")
    assert render({"queues": ["a", "b"]}, celery) == ["--queues=a,b"]
    assert render({"Q": ["a", "b"]}, celery) == ["--queues=a,b"]


def test_celerys_short_options_have_a_case():
    assert said(CELERY_WORKER, c=2) == ["--concurrency=2"]
    assert said(CELERY_WORKER, s="x") == ["--schedule-filename=x"]
    assert said(CELERY_WORKER, S="x") == ["--statedb=x"]


def test_flowers_switches_take_a_word():
    assert said(FLOWER, auto_refresh=False) == ["--auto-refresh=false"]


def test_db_worker_can_be_told_not_to_wait_at_its_start():
    assert said(DB_WORKER, startup_delay=False) == ["--no-startup-delay"]
    assert said(DB_WORKER, startup_delay=True) == []


def test_db_worker_can_be_told_not_to_reload():
    assert said(DB_WORKER, reload=False) == ["--no-reload"]


def test_gunicorns_parser_takes_the_whole_table():
    config = pytest.importorskip("gunicorn.config")
    parser = config.Config().parser()
    parser.allow_abbrev = False  # or "--worker" would do for "--workers"
    for option, words in words_of(GUNICORN):
        parsed = vars(parser.parse_args(words))
        found = {name: v for name, v in parsed.items() if v not in (None, [])}
        assert len(found) == 1, option
        (value,) = found.values()
        if given := given_by(words):
            assert texts(value) == given, option
        else:
            assert isinstance(value, bool), option


@pytest.mark.parametrize(
    ("table", "module", "name"),
    [
        pytest.param(UVICORN, "uvicorn.main", "main", id="uvicorn"),
        pytest.param(GRANIAN, "granian.cli", "cli", id="granian"),
        pytest.param(CELERY_WORKER, "celery.bin.worker", "worker", id="worker"),
        pytest.param(CELERY_BEAT, "celery.bin.beat", "beat", id="beat"),
    ],
)
def test_clicks_parser_takes_the_whole_table(table, module, name):
    click = pytest.importorskip("click")
    pytest.importorskip(module)
    # Not "import uvicorn.main": that is the command, which hides the module.
    command = getattr(sys.modules[module], name)
    parser = command.make_parser(click.Context(command))
    arguments = {p.name for p in command.params if isinstance(p, click.Argument)}
    for option, words in words_of(table):
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
    for option, words in words_of(WAITRESS):
        if option.name == "graceful-timeout":
            continue  # ours, which prodserver-waitress takes out before
        given, left = adjustments.Adjustments.parse_args(words)
        # By its full name: getopt takes any beginning of one.
        assert given[option.name.replace("-", "_")], option
        assert left == []


def test_flower_drops_nothing_of_the_table():
    """It leaves out the options that it does not know, and starts."""
    flower = pytest.importorskip("flower.command")
    for option, words in words_of(FLOWER):
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
    copy = tmp_path / "django_prodserver/backends" / WAITRESS
    right = copy.read_text()
    copy.write_text(right.replace('"--threads"', '"--thread"'))
    elsewhere = os.environ | {"PYTHONPATH": str(tmp_path)}

    check = generator("--check", WAITRESS, env=elsewhere)
    assert check.returncode == 1
    assert f"{WAITRESS}: differs from waitress " in check.stdout
    assert (
        '+    {"name": "threads", "kind": "value", "on": "--threads"},' in check.stdout
    )
    assert copy.read_text() != right

    assert generator(WAITRESS, env=elsewhere).returncode == 0
    assert copy.read_text() == right


def test_a_table_that_we_do_not_have_is_an_error():
    wrong = generator("--check", "unicorn/options.json")
    assert wrong.returncode == 2
    assert "no table named unicorn/options.json" in wrong.stderr


OPTIONS = [
    Option("bind", "list", "--bind", spellings=("b",)),
    Option("error-logfile", "value", "--error-logfile", "", ("errorlog", "log-file")),
    Option("a" * 30, "flag", "--" + "a" * 30, "--no-" + "a" * 30),
    Option("wait", "flag", "", "--no-wait"),
]


def test_a_table_is_read_as_it_was_written():
    assert from_json(to_json("unicorn", "1.0", OPTIONS)) == OPTIONS


def test_a_table_names_its_release_and_has_an_option_a_line():
    """So that a new release of a server is a short difference."""
    text = to_json("unicorn", "1.0", OPTIONS)
    found = json.loads(text)
    assert (found["package"], found["version"]) == ("unicorn", "1.0")
    line = '    {"name": "bind", "kind": "list", "on": "--bind", "spellings": ["b"]},'
    assert line in text.splitlines()
    assert len(text.splitlines()) == len(OPTIONS) + 6
    assert text.endswith("]\n}\n")


def test_a_backend_without_a_table_asks_no_server():
    class Outbox(ManagementBackend):
        package = "orders"
        management_command = "send_outbox"

    outbox = Outbox(ARGS={"interval": 1})
    assert outbox.installed_options() is None
    assert outbox.args == ["--interval=1"]


def test_a_table_is_read_without_the_server(tmp_path):
    code = """
import sys
from django_prodserver.backends.gunicorn import GunicornServer
from django.conf import settings
settings.configure()
print(GunicornServer(ARGS={"w": 4}).args[-1], "gunicorn" in sys.modules)
print([name for name in sys.modules if name.endswith(".introspect")])
"""
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=60
    )
    assert done.stdout == "--workers=4 False\n[]\n", done.stderr
