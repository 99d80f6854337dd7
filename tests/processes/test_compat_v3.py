"""
Where the public django-prodserver 3.0.0 fails: each of its inputs, and what we do.

Its settings run here as they are. Words that a server is given are parsed by that
server's own parser; what shows only in a running process is started for real.
Faults of the settings themselves are in unit/checks/test_processes.py.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import pytest
from django.core.management import CommandError
from django.utils.module_loading import import_string

from django_prodserver.backends import loader
from django_prodserver.backends.base import BaseProcessBackend, CommandBackend
from django_prodserver.config.processes import Process
from django_prodserver.exceptions import ConfigurationError, Fault
from tests.conftest import Starter
from tests.harness import MANAGE, MODULE, PROJECT, Web, free_port
from tests.installed import skip_without_servers
from tests.parsers import parse

BACKENDS = "django_prodserver.backends"
PATHS = {
    "gunicorn": f"{BACKENDS}.gunicorn.GunicornServer",
    "uvicorn": f"{BACKENDS}.uvicorn.UvicornServer",
    "granian": f"{BACKENDS}.granian.GranianASGIServer",
    "granian-wsgi": f"{BACKENDS}.granian.GranianWSGIServer",
    "waitress": f"{BACKENDS}.waitress.WaitressServer",
    "celery": f"{BACKENDS}.celery.CeleryWorker",
    "beat": f"{BACKENDS}.celery.CeleryBeat",
    "django-tasks": f"{BACKENDS}.django_tasks.DjangoTasksWorker",
    "django-q2": f"{BACKENDS}.django_q2.DjangoQ2Worker",
}


def config(server, args: Any, **more) -> dict[str, Any]:
    return {"BACKEND": PATHS[server], "APP": "proj.celery.app", "ARGS": args, **more}


def command(server, args: Any, *overrides: str) -> list[str]:
    backend = loader.load(Process("web", config(server, args)))
    assert isinstance(backend, CommandBackend)
    args = backend.override(backend.prep_server_args(), overrides)
    return backend.command(args)


def parsed(server, args: Any, *overrides: str) -> dict[str, Any]:
    """Return what the server's own parser makes of the native command, or fail."""
    skip_without_servers({"web": {"BACKEND": PATHS[server]}})
    return parse(command(server, args, *overrides))


FILE = str(Path(__file__))

#: Tables 2a and 2b: what was in ARGS, and what the server is to make of it.
UNDERSTOOD: dict[str, list[tuple[str, Any, dict[str, Any]]]] = {
    "true": [
        ("gunicorn", {"preload": True}, {"preload_app": True}),
        ("uvicorn", {"proxy-headers": True}, {"proxy_headers": True}),
        ("uvicorn", {"no-access-log": True}, {"access_log": False}),
        ("waitress", {"expose-tracebacks": True}, {"expose_tracebacks": "true"}),
        ("granian", {"log_access": "True"}, {"log_access_enabled": True}),
        ("celery", {"without-gossip": True}, {"without_gossip": True}),
        ("django-tasks", {"batch": True}, {"batch": True}),
        ("django-q2", {"run-once": True}, {"run_once": True}),
    ],
    "false": [
        ("gunicorn", {"preload": False}, {"preload_app": None}),
        ("uvicorn", {"proxy-headers": False}, {"proxy_headers": False}),
        ("waitress", {"expose-tracebacks": False}, {"expose_tracebacks": "false"}),
        ("granian", {"websockets": False}, {"websockets": False}),
        ("celery", {"without-gossip": False}, {"without_gossip": False}),
        ("django-tasks", {"batch": False}, {"batch": False}),
        ("django-q2", {"run-once": False}, {"run_once": False}),
    ],
    "none-for-a-flag": [
        ("gunicorn", {"preload": None}, {"preload_app": True}),
        ("uvicorn", {"no-access-log": None}, {"access_log": False}),
        ("waitress", {"expose-tracebacks": None}, {"expose_tracebacks": "true"}),
        ("granian", {"websockets": None}, {"websockets": True}),
        ("celery", {"without-gossip": None}, {"without_gossip": True}),
        ("django-tasks", {"batch": None}, {"batch": True}),
        ("django-q2", {"run-once": None}, {"run_once": True}),
    ],
    "list": [
        ("gunicorn", {"bind": ["a:1", "b:2"]}, {"bind": ["a:1", "b:2"]}),
        ("uvicorn", {"header": ["A:1", "B:2"]}, {"headers": ("A:1", "B:2")}),
        ("waitress", {"listen": ["a:1", "b:2"]}, {"listen": " a:1 b:2"}),
        ("granian", {"env-files": [FILE, FILE]}, {"env_files": (Path(FILE),) * 2}),
        ("celery", {"queues": ["a", "b"]}, {"queues": ["a", "b"]}),
        ("django-tasks", {"queue-name": ["a", "b"]}, {"queue_name": "a,b"}),
    ],
    "number": [
        ("gunicorn", {"workers": 2}, {"workers": 2}),
        ("uvicorn", {"timeout-keep-alive": 7}, {"timeout_keep_alive": 7}),
        ("waitress", {"threads": 8}, {"threads": "8"}),
        ("granian", {"workers-kill-timeout": 9}, {"workers_kill_timeout": 9}),
        ("celery", {"soft-time-limit": 1.5}, {"soft_time_limit": 1.5}),
        ("django-tasks", {"interval": 0.5}, {"interval": 0.5}),
    ],
    "underscore": [
        ("gunicorn", {"max_requests": 1000}, {"max_requests": 1000}),
        ("uvicorn", {"log_level": "info"}, {"log_level": "info"}),
        ("waitress", {"connection_limit": 9}, {"connection_limit": "9"}),
        ("granian", {"runtime_threads": 2}, {"runtime_threads": 2}),
        ("celery", {"max_tasks_per_child": 5}, {"max_tasks_per_child": 5}),
        ("django-tasks", {"queue_name": "a"}, {"queue_name": "a"}),
        ("django-q2", {"run_once": True}, {"run_once": True}),
    ],
    "short-or-abbreviated": [
        ("gunicorn", {"w": 2}, {"workers": 2}),
        ("gunicorn", {"thread": 2}, {"threads": 2}),
        ("granian", {"threads": 1}, {"blocking_threads": 1}),
        ("celery", {"c": 2}, {"concurrency": 2}),
        ("celery", {"Q": "a,b"}, {"queues": ["a", "b"]}),
    ],
    "text-of-two-options": [
        ("gunicorn", "--bind :18000 --workers=2", {"bind": [":18000"], "workers": 2}),
        ("granian", "--port 18000 --workers=2", {"port": 18000, "workers": 2}),
        ("celery", "-c 2 --queues=a", {"concurrency": 2, "queues": ["a"]}),
    ],
    "list-of-words": [("gunicorn", ["--bind", ":1"], {"bind": [":1"]})],
    # The 74 options of granian that 3.0.0 dropped, by those that matter.
    "granian-dropped": [
        ("granian", {"uds": "/tmp/x.sock"}, {"uds": Path("/tmp/x.sock")}),
        ("granian", {"access-log": True}, {"log_access_enabled": True}),
        ("granian", {"no-ws": True}, {"websockets": False}),
        ("granian-wsgi", {"backpressure": 9}, {"backpressure": 9}),
        ("granian", {"loop": "asyncio"}, {"loop": "asyncio"}),
        ("granian", {"pid-file": "/no/pid"}, {"pid_file": Path("/no/pid")}),
        ("granian", {"respawn-failed-workers": True}, {"respawn_failed_workers": True}),
    ],
    # What its own documentation says to write.
    "documented": [
        ("gunicorn", {"keepalive": "5"}, {"keepalive": 5}),
        ("gunicorn", {"accesslog": "-"}, {"accesslog": "-"}),
        ("gunicorn", {"errorlog": "-"}, {"errorlog": "-"}),
        ("gunicorn", {"loglevel": "info"}, {"loglevel": "info"}),
        ("gunicorn", {"pidfile": "/no/pid"}, {"pidfile": "/no/pid"}),
        ("gunicorn", {"reload": "True"}, {"reload": True}),
        ("gunicorn", {"capture-output": "False"}, {"capture_output": None}),
        ("gunicorn", {"daemon": "False"}, {"daemon": None}),
        ("uvicorn", {"no-access-log": "True"}, {"access_log": False}),
        ("uvicorn", {"proxy-headers": "True"}, {"proxy_headers": True}),
        ("waitress", {"expose-tracebacks": "False"}, {"expose_tracebacks": "false"}),
        ("granian-wsgi", {"threads": "4"}, {"blocking_threads": 4}),
        ("granian", {"ssl-cert": FILE}, {"ssl_certificate": Path(FILE)}),
        ("granian", {"ssl-key": FILE}, {"ssl_keyfile": Path(FILE)}),
        ("granian", {"reload": "True"}, {"reload": True}),
        ("django-tasks", {"queue": "a"}, {"queue_name": "a"}),
        ("django-q2", {"cluster-name": "a"}, {"cluster_name": "a"}),
    ],
}
ROWS = [
    pytest.param(server, args, made, id=f"{label}-{server}-{next(iter(args))}")
    for label, rows in UNDERSTOOD.items()
    for server, args, made in rows
]


@pytest.mark.parametrize(("server", "args", "made"), ROWS)
def test_what_was_in_args_is_understood(server, args, made):
    """The server's own parser takes the words, and means by them what was meant."""
    found = parsed(server, args)
    assert {name: found[name] for name in made} == made


@pytest.mark.parametrize(
    ("server", "args", "message"),
    [
        ("gunicorn", {"bind": None}, "['bind'] is None, but --bind needs a value."),
        ("uvicorn", {"host": None}, "['host'] is None, but --host needs a value."),
        ("granian", {"port": None}, "['port'] is None, but --port needs a value."),
        ("granian", {"websockets": "flase"}, "['websockets'] is 'flase', but that"),
        ("gunicorn", None, "['ARGS'] is None, not a dictionary."),
        ("gunicorn", 8000, "['ARGS'] is 8000, not a dictionary."),
        ("gunicorn", {"bind": "0.0.0.0:$PORT"}, "['bind'] is '0.0.0.0:$PORT', but no"),
        ("uvicorn", {"port": "${PORT}"}, "['port'] is '${PORT}', but no shell"),
        ("gunicorn", "--bind :$PORT", "['ARGS'] is ':$PORT', but no shell"),
        ("gunicorn", ["--bind=:$PORT"], "['ARGS'] is '--bind=:$PORT', but no shell"),
    ],
)
def test_what_cannot_be_meant_is_said_before_anything_starts(server, args, message):
    """3.0.0: a traceback, a retry of 5 s, or "flase" taken for False."""
    with pytest.raises(ConfigurationError) as caught:
        command(server, args)
    assert caught.value.fault is Fault.BAD_ARGS
    assert message in caught.value.message
    assert caught.value.hint


@pytest.mark.parametrize(
    ("server", "args", "option"),
    [
        ("gunicorn", {"wrokers": 2}, "--wrokers=2"),
        ("uvicorn", {"prot": 80}, "--prot=80"),
        ("granian", {"prot": 80}, "--prot=80"),
        ("granian", {"bind": "0.0.0.0:80"}, "--bind=0.0.0.0:80"),
        ("celery", {"concurency": 2}, "--concurency=2"),
        ("django-tasks", {"processes": 2}, "--processes=2"),
        ("django-q2", {"run-onec": True}, "--run-onec"),
    ],
)
def test_what_no_server_knows_is_never_dropped(server, args, option):
    """It reaches the server, whose parser refuses it."""
    assert option in command(server, args)
    with pytest.raises((SystemExit, CommandError)):
        parsed(server, args)


LAYOUTS = {
    "backends.servers": {
        "gunicorn": ["GunicornServer"],
        "uvicorn": ["UvicornServer", "UvicornWSGIServer"],
        "granian": ["GranianASGIServer", "GranianWSGIServer"],
        "waitress": ["WaitressServer"],
        "flower": ["CeleryFlower"],
    },
    "backends.workers": {
        "celery": ["CeleryWorker", "CeleryBeat"],
        "django_tasks": ["DjangoTasksWorker"],
        "django_q2": ["DjangoQ2Worker"],
    },
}


@pytest.mark.parametrize(
    ("path", "short"),
    [
        (f"django_prodserver.{layout}.{module}.{name}", f"{BACKENDS}.{module}.{name}")
        for layout, modules in LAYOUTS.items()
        for module, names in modules.items()
        for name in names
    ],
)
def test_both_layouts_of_modules_are_the_same_classes(path, short):
    loaded = loader.load(Process("web", {"BACKEND": path, "APP": "proj.celery.app"}))
    plain = short.replace("flower", "celery")
    assert type(loaded) is import_string(plain)


def test_two_gunicorns_do_not_share_a_control_socket():
    """3.0.0: the first to end deletes the file of both."""
    assert parsed("gunicorn", {})["control_socket_disable"] is True


def test_gunicorn_serves_asgi_where_its_worker_speaks_it():
    """3.0.0: a WSGI handler, and each request a TypeError."""
    assert command("gunicorn", {"worker-class": "asgi"})[1] == "proj.asgi:application"


class Theirs(BaseProcessBackend):
    """What 3.0.0 has for a base, and a server that nobody else knows."""

    def start_server(self, *args):
        """Started for real below."""


@pytest.mark.parametrize(
    ("args", "words"),
    [
        ({"bind": "0.0.0.0:80", "preload": None}, ["--bind=0.0.0.0:80", "--preload"]),
        ({"under_score": 5, "dash-ed": 0.5}, ["--under_score=5", "--dash-ed=0.5"]),
        ({"empty": "", "spaces": "a b"}, ["--empty=", "--spaces=a b"]),
        ("--one", ["--one"]),
        ({}, []),
    ],
    ids=["value-and-flag", "spelling", "odd-values", "text", "nothing"],
)
def test_a_backend_of_others_has_the_words_it_had(args, words):
    config = {"BACKEND": f"{__name__}.Theirs", "ARGS": args}
    made = loader.load(Process("web", config))
    assert made.args == words
    assert made.prep_server_args() == words


# Run-time: a real process for each.


def started(start: Starter, server, args: Any, *words: str, **more: Any):
    return start.command(
        *("p", *words), via=MODULE, processes={"p": config(server, args)}, **more
    )


@pytest.mark.process
@pytest.mark.parametrize(
    ("server", "args", "code", "said"),
    [
        ("gunicorn", {"wrokers": 2}, 2, "unrecognized arguments: --wrokers=2"),
        ("gunicorn", {"workers": "two"}, 2, "invalid int value: 'two'"),
        ("uvicorn", {"prot": 80}, 2, "No such option '--prot'"),
        ("waitress", {"thraeds": 2}, 1, "option --thraeds not recognized"),
        ("granian", {"prot": 80}, 2, "No such option '--prot'"),
        ("celery", {"concurency": 2}, 2, "Did you mean '--concurrency'?"),
        ("celery", {"concurrency": "two"}, 2, "Invalid value for '-c' / '--concu"),
        ("django-tasks", {"processes": 2}, 2, "unrecognized arguments: --processes"),
        ("django-q2", {"run-onec": True}, 2, "unrecognized arguments: --run-onec"),
    ],
)
def test_a_bad_option_ends_with_the_servers_own_words(
    server, args, code, said, start: Starter
):
    """3.0.0: 0 from waitress, nothing from granian, a traceback from celery."""
    done = started(start, server, args)
    assert done.returncode == code
    assert said in done.stderr
    assert "Traceback" not in done.stderr
    assert "manage.py" not in done.stderr, "the program is the server"


@pytest.mark.process
def test_celery_without_its_broker_does_not_exit_0(start: Starter):
    done = started(
        start,
        "celery",
        {"concurrency": 1},
        settings={
            "CELERY_BROKER_URL": "redis://127.0.0.1:1/0",
            "CELERY_BROKER_CONNECTION_RETRY_ON_STARTUP": False,
        },
    )
    assert done.returncode == 1
    assert "Retrying to establish a connection" in done.stdout + done.stderr


DJANGOS = ["--settings=proj.settings", "--traceback", "--no-color", "--skip-checks"]


@pytest.mark.process
@pytest.mark.parametrize("via", [MANAGE, MODULE], ids=["manage", "-m"])
def test_djangos_own_options_do_not_end_gunicorn(via, start: Starter, port):
    """3.0.0: unrecognized arguments, and "-v 2" prints a version and exits 0."""
    args = {"bind": f"127.0.0.1:{port}"}
    words = [*DJANGOS, "--verbosity", "3", "-v", "2"]
    server = start.web(config("gunicorn", args), *words, port=port, via=via)
    argv = " ".join(server.about()["argv"])
    assert not any(word.partition("=")[0] in argv for word in (*DJANGOS, " -v", "--v"))
    assert server.stop() == 0


@pytest.mark.process
@pytest.mark.parametrize("env", [{}, {"SHOP": "1"}], ids=["at-once", "started-again"])
def test_the_command_server_starts_it(start: Starter, port, env):
    via = (sys.executable, "manage.py", "server")
    bind = {"bind": f"127.0.0.1:{port}"}
    server = start.web(config("gunicorn", bind, ENV=env), port=port, via=via)
    assert server.about()["argv"][0].endswith("gunicorn")
    assert server.stop() == 0


@pytest.mark.process
def test_the_command_worker_starts_it(start: Starter):
    start.migrate()
    via = (sys.executable, "manage.py", "worker")
    worker = start.worker(config("django-tasks", {}), via=via)
    worker.says("Starting worker")
    assert worker.stop() == 0


@pytest.mark.process
def test_it_starts_from_another_folder(start: Starter, port, tmp_path):
    env = start.environment({"web": config("gunicorn", {"bind": f"127.0.0.1:{port}"})})
    argv = [sys.executable, str(PROJECT / "manage.py"), "prodserver", "web"]
    server: Web = start.process(argv, env, kind=Web, cwd=tmp_path)
    server.port = port
    server.wait_until_ready()
    assert server.stop() == 0


@pytest.mark.process
def test_an_application_that_fails_ends_gunicorn_with_its_own_code(start: Starter):
    settings = {"WSGI_APPLICATION": "proj.nosuch.application"}
    address = f"127.0.0.1:{free_port()}"
    args = {"workers": 1, "bind": address}
    done = started(start, "gunicorn", args, settings=settings)
    assert done.returncode == 3
    assert "No module named 'proj.nosuch'" in done.stderr


# A backend written against 3.0.0, as its documentation shows one.
THEIRS = """
import json, os
from django_prodserver.backends.base import {base}

class Theirs({base}):
    def start_server(self, *args):
        from django.apps import apps
        print(json.dumps([apps.ready, os.getpid() > 0, *args]))

    def prep_server_args(self):
        return ["serve", *self.args, "--last"]
"""


@pytest.mark.process
@pytest.mark.parametrize("via", [MANAGE, MODULE], ids=["manage", "-m"])
@pytest.mark.parametrize(
    "base", ["BaseServerBackend", "BaseWorkerBackend", "BaseProcessBackend"]
)
def test_a_backend_written_for_3_0_0_runs(base, via, start: Starter, tmp_path):
    """It is called with the words it always was, in a Django that is set up."""
    (tmp_path / "theirs.py").write_text(THEIRS.format(base=base))
    done = start.command(
        *("web", "--more=1"),
        via=via,
        processes={
            "web": {
                "BACKEND": "theirs.Theirs",
                "ARGS": {"bind": "a b", "preload": None, "under_score": 5, "x": ""},
            }
        },
        PYTHONPATH=str(tmp_path),
    )
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout) == [
        *(True, True, "serve", "--bind=a b", "--preload", "--under_score=5", "--x="),
        *("--last", "--more=1"),
    ]


OURS = """
from django_prodserver.backends.servers.gunicorn import GunicornServer

class Fixed(GunicornServer):
    def prep_server_args(self):
        return [*super().prep_server_args(), "--name=fixed"]

class Own(GunicornServer):
    def start_server(self, *args):
        print("own", *args)
"""


@pytest.mark.process
def test_a_subclass_of_ours_may_add_options(start: Starter, tmp_path, port):
    (tmp_path / "ours.py").write_text(OURS)
    args = {"bind": f"127.0.0.1:{port}"}
    server = start.web(
        {"BACKEND": "ours.Fixed", "ARGS": args}, port=port, PYTHONPATH=str(tmp_path)
    )
    assert server.about()["argv"][-1] == "--name=fixed"
    assert server.stop() == 0


@pytest.mark.process
def test_a_subclass_of_ours_may_start_in_its_own_way(start: Starter, tmp_path):
    (tmp_path / "ours.py").write_text(OURS)
    done = start.command(
        *("web", "--workers=8"),
        processes={"web": {"BACKEND": "ours.Own", "ARGS": {"workers": 2}}},
        PYTHONPATH=str(tmp_path),
    )
    assert done.returncode == 0, done.stderr
    first, *rest = done.stdout.split()
    assert first == "own"
    assert rest[-1] == "--workers=8"
    assert "--workers=2" not in rest
