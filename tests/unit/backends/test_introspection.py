"""The stored option tables, compared with the installed servers."""

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


def stored_options(table):
    file, _ = TABLES[table]
    return option_table(file)


def skip_without(installed):
    try:
        assert installed.version
    except PackageNotFoundError:
        pytest.skip(f"{installed.distribution} is not installed")


def rendered(table, **args):
    return render(args, stored_options(table))


def generator(*args, **process):
    return subprocess.run(
        [sys.executable, "-m", "django_prodserver.backends.introspection", *args],
        capture_output=True,
        text=True,
        timeout=60,
        **process,
    )


def rendered_options(table):
    """Yield each option of a table with every form in which ARGS renders it."""
    values: dict[str, list[object]] = {
        "value": [1],
        "list": [1, ["1", "2"]],
        "bool": [True, False],
        "flag": [True, False],
    }
    for option in stored_options(table).options:
        for value in values[option.kind]:
            if words := render({option.name: value}, stored_options(table)):
                yield option, words


def test_each_option_table_has_a_generator_and_a_backend():
    files = [backend(path).option_file for path in loader.known_backends()]
    used = {str(file) for file in files if file}  # any command has none
    assert used == set(TABLES)
    folder = Path(django_prodserver.__file__).parent / "backends"
    found = {str(path.relative_to(folder)) for path in folder.glob("*/*options.json")}
    assert found == set(TABLES)


def values_in(words):
    """Return the values in the words of one option; none for a bare flag."""
    return [text for _, equals, text in (w.partition("=") for w in words) if equals]


def as_strings(value):
    """Return a parsed value as a list of strings."""
    values = value if isinstance(value, list | tuple) else [value]
    return [str(each) for each in values]


@pytest.mark.parametrize("table", IN_PROCESS)
def test_table_matches_the_installed_server(table):
    _, installed = TABLES[table]
    skip_without(installed)
    read = tuple(installed.read_options())
    changed = "the server has changed: run make options"
    assert read == stored_options(table).options, changed


@pytest.mark.parametrize("table", TABLES)
def test_described_options_exist(table):
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
def test_table_matches_the_installed_command(table, commands_checked):
    _, installed = TABLES[table]
    skip_without(installed)
    output = commands_checked.stdout + commands_checked.stderr
    assert f"{table}: as in " in output, output


@pytest.mark.parametrize("table", TABLES)
def test_spellings_are_unique(table):
    spellings = [
        spelling
        for option in stored_options(table).options
        for spelling in {
            option.name,
            *option.spellings,
            *(word[2:].replace("_", "-") for word in (option.on, option.off) if word),
        }
    ]
    assert len(spellings) == len(set(spellings))


@pytest.mark.parametrize("table", TABLES)
def test_tables_omit_help_and_version(table):
    names = {option.name for option in stored_options(table).options}
    assert {"help", "version"}.isdisjoint(names)


@pytest.mark.parametrize("table", COMMANDS)
def test_tables_of_commands_omit_options_of_django(table):
    names = {option.name for option in stored_options(table).options}
    assert names.isdisjoint({"settings", "verbosity", "traceback", "skip-checks"})


@pytest.mark.parametrize("key", ["w", "workers", "-w", "--workers"])
def test_gunicorn_workers_has_four_spellings(key):
    assert render({key: 4}, stored_options(GUNICORN)) == ["--workers=4"]


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
def test_gunicorn_settings_are_spellings_of_options(key, word):
    assert rendered(GUNICORN, **{key: "x"}) == [word]


def test_gunicorn_sendfile_can_be_disabled():
    assert rendered(GUNICORN, sendfile=False) == ["--no-sendfile"]
    assert rendered(GUNICORN, sendfile=True) == []


def test_gunicorn_control_socket_and_its_flag():
    assert rendered(GUNICORN, control_socket="/x") == ["--control-socket=/x"]
    assert rendered(GUNICORN, no_control_socket=True) == ["--no-control-socket"]
    assert rendered(GUNICORN, control_socket_disable=True) == ["--no-control-socket"]


def test_gunicorn_proxy_protocol_keeps_the_application():
    assert rendered(GUNICORN, proxy_protocol=True) == ["--proxy-protocol=true"]
    assert rendered(GUNICORN, proxy_protocol="v2") == ["--proxy-protocol=v2"]


def test_gunicorn_binds_to_several_addresses():
    assert rendered(GUNICORN, bind=["a:1", "b:2"]) == ["--bind=a:1", "--bind=b:2"]


def test_uvicorn_access_log_can_be_disabled():
    assert rendered(UVICORN, access_log=False) == ["--no-access-log"]


def test_uvicorn_deflate_has_a_value():
    off = rendered(UVICORN, ws_per_message_deflate=False)
    assert off == ["--ws-per-message-deflate=false"]


def test_uvicorn_parameters_are_spellings_of_options():
    both = rendered(UVICORN, headers=["A:1", "B:2"])
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
def test_granian_accepts_older_spellings(key, value, word):
    assert rendered(GRANIAN, **{key: value}) == [word]


def test_waitress_flags_can_be_disabled():
    assert rendered(WAITRESS, expose_tracebacks=False) == ["--no-expose-tracebacks"]


def test_waitress_listens_on_several_addresses():
    assert rendered(WAITRESS, listen=["a:1", "b:2"]) == ["--listen=a:1", "--listen=b:2"]


def test_celery_queues_are_joined():
    celery = OptionTable(stored_options(CELERY_WORKER).options, join=",")
    assert render({"queues": ["a", "b"]}, celery) == ["--queues=a,b"]
    assert render({"Q": ["a", "b"]}, celery) == ["--queues=a,b"]


def test_celery_short_options_are_case_sensitive():
    assert rendered(CELERY_WORKER, c=2) == ["--concurrency=2"]
    assert rendered(CELERY_WORKER, s="x") == ["--schedule-filename=x"]
    assert rendered(CELERY_WORKER, S="x") == ["--statedb=x"]


def test_flower_flags_have_a_value():
    assert rendered(FLOWER, auto_refresh=False) == ["--auto-refresh=false"]


def test_db_worker_startup_delay_can_be_disabled():
    assert rendered(DB_WORKER, startup_delay=False) == ["--no-startup-delay"]
    assert rendered(DB_WORKER, startup_delay=True) == []


def test_db_worker_reload_can_be_disabled():
    assert rendered(DB_WORKER, reload=False) == ["--no-reload"]


def test_gunicorn_parses_the_whole_table():
    config = pytest.importorskip("gunicorn.config")
    parser = config.Config().parser()
    parser.allow_abbrev = False  # or "--worker" would do for "--workers"
    for option, words in rendered_options(GUNICORN):
        parsed = vars(parser.parse_args(words))
        found = {name: v for name, v in parsed.items() if v not in (None, [])}
        assert len(found) == 1, option
        (value,) = found.values()
        if given := values_in(words):
            assert as_strings(value) == given, option
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
def test_click_parses_the_whole_table(table, module, name):
    click = pytest.importorskip("click")
    pytest.importorskip(module)
    # Not "import uvicorn.main": the package's attribute "main" is the command.
    command = getattr(sys.modules[module], name)
    parser = command.make_parser(click.Context(command))
    arguments = {p.name for p in command.params if isinstance(p, click.Argument)}
    for option, words in rendered_options(table):
        found, left, _ = parser.parse_args(words)
        assert left == [], option
        for name in arguments:
            found.pop(name, None)
        assert len(found) == 1, option
        (value,) = found.values()
        if given := values_in(words):
            assert as_strings(value) == given, option


def test_waitress_parses_the_whole_table():
    adjustments = pytest.importorskip("waitress.adjustments")
    for option, words in rendered_options(WAITRESS):
        if option.name == "graceful-timeout":
            continue  # ours, removed by prodserver-waitress before
        given, left = adjustments.Adjustments.parse_args(words)
        # The full name: getopt also accepts any unambiguous beginning of one.
        assert given[option.name.replace("-", "_")], option
        assert left == []


def test_flower_knows_the_whole_table():
    """Flower ignores unknown options without an error."""
    flower = pytest.importorskip("flower.command")
    for option, words in rendered_options(FLOWER):
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
def test_options_of_a_management_command(flags, options, monkeypatch):
    class Command(BaseCommand):
        def add_arguments(self, parser):
            for flag, how in flags:
                parser.add_argument(flag, **how)

    monkeypatch.setattr(management, "load_command_class", lambda *_: Command())
    assert parsers.from_command("shop", "work") == options


def test_tables_do_not_depend_on_the_machine(tmp_path):
    """Defaults may depend on the port, CPUs, home directory or host name."""
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


def test_a_changed_table_is_reported_and_rewritten(tmp_path):
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


def test_an_unknown_table_is_an_error():
    wrong = generator("--check", "unicorn/options.json")
    assert wrong.returncode == 2
    assert "no table named unicorn/options.json" in wrong.stderr


OPTIONS = [
    Option("bind", "list", "--bind", spellings=("b",)),
    Option("error-logfile", "value", "--error-logfile", "", ("errorlog", "log-file")),
    Option("a" * 30, "flag", "--" + "a" * 30, "--no-" + "a" * 30),
    Option("wait", "flag", "", "--no-wait"),
]


def test_table_round_trip():
    assert from_json(to_json("unicorn", "1.0", OPTIONS)) == OPTIONS


def test_table_names_the_release_and_has_one_option_per_line():
    """This keeps the diff of a server's new release short."""
    text = to_json("unicorn", "1.0", OPTIONS)
    found = json.loads(text)
    assert (found["package"], found["version"]) == ("unicorn", "1.0")
    line = '    {"name": "bind", "kind": "list", "on": "--bind", "spellings": ["b"]},'
    assert line in text.splitlines()
    assert len(text.splitlines()) == len(OPTIONS) + 6
    assert text.endswith("]\n}\n")


def test_backend_without_a_table():
    class Outbox(ManagementBackend):
        package = "orders"
        management_command = "send_outbox"

    outbox = Outbox(ARGS={"interval": 1})
    assert outbox.installed_options() is None
    assert outbox.args == ["--interval=1"]


def test_reading_a_table_does_not_import_the_server(tmp_path):
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
