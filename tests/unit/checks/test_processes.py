"""Everything that can be wrong with the settings: as a check, and as a start."""

from __future__ import annotations

import json
import subprocess
import sys
from fnmatch import fnmatchcase
from importlib import metadata
from typing import Any, NamedTuple

import pytest
from django.core.checks import ERROR, WARNING, registry

from django_prodserver.apps import TAG
from django_prodserver.backends import loader
from django_prodserver.backends.base import BaseServerBackend, CommandBackend
from django_prodserver.checks import processes as process_checks
from django_prodserver.config.wait_for import FORM
from django_prodserver.exceptions import Fault
from django_prodserver.health import conf as health
from tests.conftest import Starter
from tests.harness import BIN, MANAGE, MODULE, PROJECT
from tests.installed import (
    backend,
    entry,
    installed,
    missing_apps,
    skip_without_servers,
)

BACKENDS = "django_prodserver.backends"
GUNICORN = f"{BACKENDS}.gunicorn.GunicornServer"
UVICORN = f"{BACKENDS}.uvicorn.UvicornServer"
CELERY = f"{BACKENDS}.celery.CeleryWorker"
BEAT = f"{BACKENDS}.celery.CeleryBeat"
TASKS = f"{BACKENDS}.django_tasks.DjangoTasksWorker"
RQWORKER = f"{BACKENDS}.rq.RQWorker"
Q2 = f"{BACKENDS}.django_q2.DjangoQ2Worker"
LONG_RUNNING = f"{BACKENDS}.management.LongRunningCommand"
RELEASE = f"{BACKENDS}.management.ManagementCommands"
RQ = {"default": {"BACKEND": "django_tasks_rq.RQBackend"}}
DUMMY = "django.core.cache.backends.dummy.DummyCache"
SECRET = "hunter2"


class NoStart(BaseServerBackend):
    """What somebody has begun to write."""


class NoCommand(CommandBackend):
    """The same, of the declarative kind."""


class NotThere(CommandBackend):
    """A backend for a server that nobody has installed."""

    script, package, extra, table = "nosuch", "nosuch", "gunicorn", "gunicorn"

    def command(self, args):
        return [self.script, *args]


class Case(NamedTuple):
    """A setting, and what is said of it."""

    processes: Any
    fault: Fault
    message: str
    hint: str
    #: Other settings that it takes.
    more: dict[str, Any] = {}


def web(**config):
    return {"web": {"BACKEND": GUNICORN, **config}}


def worker(**config):
    return {"worker": {"BACKEND": CELERY, **config}}


WEB, WORKER = "PRODUCTION_PROCESSES['web']", "PRODUCTION_PROCESSES['worker']"
EXAMPLE = f'For example: PRODUCTION_PROCESSES = {{"web": {{"BACKEND": "{GUNICORN}"}}}}'
NAMES = "Use letters, digits, '.', '_' and '-', with a letter or digit first."
DICT = 'Write {"BACKEND": "dotted.path", ...}.'
LIKE = f"Did you mean '{GUNICORN}'?"
SUBCLASS = "Write a subclass with start_server()."
KEYS = "Valid keys: BACKEND, ARGS, APP, ENV, PREFIX, PRELOAD, HEALTH"
OPTIONS = "Use a string, a number, or a list of them."
ENVIRONMENT = 'Write ENV as {"NAME": "value"}.'
PREFIX = 'Write PREFIX as ["command", "argument"].'
SECONDS = "Write GRACEFUL_TIMEOUT as a whole number of seconds, such as 25."
FUNCTION = "Use the dotted path of a function without arguments."
APP = 'Write "APP": "project.celery.app".'
FIND_APP = 'Write the path of your Celery app: "APP": "project.celery.app".'
WSGI = 'Write WSGI_APPLICATION = "proj.wsgi.application" in the settings.'
ASGI = 'Write ASGI_APPLICATION = "proj.asgi.application" in the settings.'

WAITS = f"Write WAIT_FOR as {FORM}."
COMMANDS = 'Write COMMANDS as ["migrate --noinput", ["command", "argument"]].'
RELEASES: list[tuple[str, dict[str, Any], str, str]] = [
    ("none", {}, "ManagementCommands has no COMMANDS; it ne", COMMANDS),
    ("text", {"COMMANDS": "check"}, "ManagementCommands has the", COMMANDS),
    ("empty", {"COMMANDS": []}, "ManagementCommands has the COMMA", COMMANDS),
    ("number", {"COMMANDS": [5]}, "COMMANDS has 5, which is no", COMMANDS),
    ("blank", {"COMMANDS": [" "]}, "COMMANDS has ' ', which is n", COMMANDS),
    (
        "quotation",
        {"COMMANDS": ["a 'b"]},
        'COMMANDS has "a \'b", which cannot be split into words: No closing',
        COMMANDS,
    ),
    (
        "args",
        {"COMMANDS": ["check"], "ARGS": {}},
        "ManagementCommands does not support ARGS.",
        "Write options in COMMANDS, after their command.",
    ),
    (
        "lock",
        {"COMMANDS": ["check"], "LOCK": 1},
        "LOCK is 1.",
        "Write LOCK as True, False or an alias of DATABASES.",
    ),
]
COMMAND = 'Write COMMAND as "run_bot --verbosity 2", or as a list of words.'
LONG_RUNNINGS: list[tuple[str, dict[str, Any], Fault, str, str]] = [
    ("none", {}, Fault.BAD_VALUE, "LongRunningCommand has no COMMAND.", COMMAND),
    ("number", {"COMMAND": 5}, Fault.BAD_VALUE, "COMMAND is 5, which is no", COMMAND),
    ("empty", {"COMMAND": []}, Fault.BAD_VALUE, "COMMAND is [], which is no", COMMAND),
    (
        "quotation",
        {"COMMAND": "a 'b"},
        Fault.BAD_VALUE,
        'COMMAND is "a \'b", which cannot be split into words: No closing',
        COMMAND,
    ),
    (
        "unknown",
        {"COMMAND": "run_bto --verbosity 2"},
        Fault.COMMAND_NOT_FOUND,
        "COMMAND names 'run_bto', but no app has that command.",
        "Did you mean 'run_bot'?",
    ),
    (
        "program",
        {"COMMAND": ["manage.py", "run_bot"]},
        Fault.COMMAND_NOT_FOUND,
        "COMMAND names 'manage.py', but no app has that command.",
        "Start with the name of the command, without what runs it.",
    ),
]
NO_SECONDS: list[Any] = [0, -1, "25", None, True, {}]
F = Fault
CASES = {
    "table-list": Case(
        [], F.NOT_A_DICT, "PRODUCTION_PROCESSES is [], not a dictionary.", EXAMPLE
    ),
    "table-list-of-processes": Case(
        [{"ENV": {"TOKEN": SECRET}}],
        F.NOT_A_DICT,
        "PRODUCTION_PROCESSES is a list, not a dictionary.",
        EXAMPLE,
    ),
    "table-none": Case(
        None, F.NOT_A_DICT, "PRODUCTION_PROCESSES is None, not a dictionary.", EXAMPLE
    ),
    "table-text": Case(
        "web", F.NOT_A_DICT, "PRODUCTION_PROCESSES is 'web', not a dictionary.", EXAMPLE
    ),
    "table-empty": Case(
        {}, F.EMPTY, "PRODUCTION_PROCESSES is empty or not set.", EXAMPLE
    ),
    **{
        f"name-{label}": Case(
            {name: {"BACKEND": GUNICORN}},
            F.BAD_NAME,
            f"PRODUCTION_PROCESSES has the name {said}.",
            NAMES,
        )
        for label, name, said in [
            ("empty", "", "''"),
            ("space", "a b", "'a b'"),
            ("path", "../x", "'../x'"),
            ("number", 1, "1"),
            ("dash", "-x", "'-x'"),
            ("line", "a\nb", r"'a\nb'"),
            ("very-long", "x" * 10_000, f"'{'x' * 75}..."),
        ]
    },
    "entry-text": Case(
        {"web": GUNICORN}, F.SPEC_NOT_A_DICT, f"{WEB} is '{GUNICORN}', not a", DICT
    ),
    "entry-none": Case(
        {"web": None}, F.SPEC_NOT_A_DICT, f"{WEB} is None, not a dictionary.", DICT
    ),
    "entry-list": Case(
        {"web": [{"ENV": {"TOKEN": SECRET}}]},
        F.SPEC_NOT_A_DICT,
        f"{WEB} is a list, not a dictionary.",
        DICT,
    ),
    "backend-missing": Case({"web": {}}, F.NO_BACKEND, f"{WEB} has no BACKEND.", ""),
    "backend-none": Case(
        web(BACKEND=None), F.NO_BACKEND, f"{WEB} has no BACKEND.", EXAMPLE
    ),
    "backend-class": Case(
        web(BACKEND=int), F.NO_BACKEND, f"{WEB} has the BACKEND <class 'int'>.", EXAMPLE
    ),
    "backend-word": Case(
        web(BACKEND="gunicorn"),
        F.NO_BACKEND,
        f"{WEB} has the BACKEND 'gunicorn'.",
        LIKE,
    ),
    "backend-relative": Case(
        web(BACKEND="..backends.Mine"),
        F.NO_BACKEND,
        f"{WEB} has the BACKEND '..backends.Mine'.",
        EXAMPLE,
    ),
    "backend-module-typo": Case(
        web(BACKEND=f"{BACKENDS}.gunicron.GunicornServer"),
        F.BACKEND_NOT_IMPORTABLE,
        f"cannot be imported: no module '{BACKENDS}.gunicron'.",
        LIKE,
    ),
    "backend-class-typo": Case(
        web(BACKEND=f"{BACKENDS}.gunicorn.Gunicorn"),
        F.BACKEND_NOT_IMPORTABLE,
        f"cannot be imported: {BACKENDS}.gunicorn has no 'Gunicorn'.",
        LIKE,
    ),
    "backend-of-3.0-for-development": Case(
        web(BACKEND=f"{BACKENDS}.dev.django_runserver.DjangoRunserver"),
        F.BACKEND_NOT_IMPORTABLE,
        f"cannot be imported: no module '{BACKENDS}.dev'.",
        'Name a production server; "manage.py devserver" runs it with reloading.',
    ),
    "backend-nowhere": Case(
        web(BACKEND="shop.backends.Mine"),
        F.BACKEND_NOT_FOUND,
        "cannot be imported: no module 'shop'.",
        "Is it on the Python path?",
    ),
    "backend-no-subclass": Case(
        web(BACKEND="pathlib.Path"),
        F.NOT_A_BACKEND,
        f"{WEB}: BACKEND 'pathlib.Path' is not a subclass of BaseServerBackend.",
        SUBCLASS,
    ),
    "backend-function": Case(
        web(BACKEND="os.path.join"),
        F.NOT_A_BACKEND,
        f"{WEB}: BACKEND 'os.path.join' is not a subclass of BaseServerBackend.",
        SUBCLASS,
    ),
    "backend-unfinished": Case(
        web(BACKEND=f"{__name__}.NoStart"),
        F.NOT_A_BACKEND,
        "NoStart' does not define start_server().",
        "Define start_server() in it.",
    ),
    "backend-unfinished-declarative": Case(
        web(BACKEND=f"{__name__}.NoCommand"),
        F.NOT_A_BACKEND,
        "NoCommand' does not define command(), script, package.",
        "Define command(), script, package in it.",
    ),
    "backend-base": Case(
        web(BACKEND=f"{BACKENDS}.web.WebBackend"),
        F.NOT_A_BACKEND,
        "WebBackend' does not define script, package.",
        "Define script, package in it.",
    ),
    "server-not-installed": Case(
        web(BACKEND=f"{__name__}.NotThere"),
        F.NOT_INSTALLED,
        f"{WEB}: nosuch is not installed.",
        'Install it: python -m pip install "django-prodserver[gunicorn]"',
    ),
    "key-typo": Case(
        web(ARG={}),
        F.UNKNOWN_KEY,
        f"{WEB} has the unknown key 'ARG'.",
        f"Did you mean 'ARGS'? {KEYS}",
    ),
    "key-lower-case": Case(
        web(env={"TOKEN": SECRET}),
        F.UNKNOWN_KEY,
        f"{WEB} has the unknown key 'env'.",
        KEYS,
    ),
    "key-number": Case(
        {"web": {"BACKEND": GUNICORN, 1: 2}},
        F.UNKNOWN_KEY,
        f"{WEB} has the key 1.",
        "Use strings as keys.",
    ),
    "args-none": Case(
        web(ARGS=None),
        F.BAD_ARGS,
        f"{WEB}['ARGS'] is None, not a dictionary.",
        'Write options as {"name": value}.',
    ),
    "args-number": Case(
        web(ARGS=4),
        F.BAD_ARGS,
        f"{WEB}['ARGS'] is 4, not a dictionary.",
        'Write options as {"name": value}.',
    ),
    "args-open-quotation": Case(
        web(ARGS="--name 'a"),
        F.BAD_ARGS,
        "which cannot be split into words: No closing quotation.",
        "Close the quotation marks.",
    ),
    "args-list-with-none": Case(
        web(ARGS=["-w", None]),
        F.BAD_ARGS,
        f"{WEB}['ARGS'] has None, a NoneType.",
        OPTIONS,
    ),
    "args-key-number": Case(
        web(ARGS={1: 2}),
        F.BAD_ARGS,
        f"{WEB}['ARGS'] has the key 1.",
        "Use the name of an option.",
    ),
    "args-value-none": Case(
        web(ARGS={"workers": None}),
        F.BAD_ARGS,
        f"{WEB}['ARGS']['workers'] is None, but --workers needs a value.",
        'Write "workers": value, or remove it.',
    ),
    "args-value-dict": Case(
        web(ARGS={"bind": {"a": 1}}),
        F.BAD_ARGS,
        f"{WEB}['ARGS']['bind'] has {{'a': 1}}, a dict.",
        OPTIONS,
    ),
    "args-secret-dict": Case(
        worker(
            BACKEND=f"{BACKENDS}.celery.CeleryFlower",
            ARGS={"basic_auth": {"a": SECRET}},
        ),
        F.BAD_ARGS,
        f"{WORKER}['ARGS']['basic_auth'] has ***, a dict.",
        OPTIONS,
    ),
    "args-flag-typo": Case(
        web(ARGS={"preload": "flase"}),
        F.BAD_ARGS,
        f"{WEB}['ARGS']['preload'] is 'flase', but that option is a switch.",
        'Write "preload": True or False.',
    ),
    "args-backend-list": Case(
        worker(BACKEND=TASKS, ARGS={"backend": [{}]}),
        F.BAD_ARGS,
        f"{WORKER}['ARGS']['backend'] has {{}}, a dict.",
        OPTIONS,
    ),
    **{
        f"env-{label}": Case(
            web(ENV=env),
            F.BAD_VALUE,
            f"{WEB}['ENV'] is not a dictionary of variables.",
            ENVIRONMENT,
        )
        for label, env in [
            ("text", f"TOKEN={SECRET}"),
            ("list", [("TOKEN", SECRET)]),
            ("none", None),
            ("value-none", {"A": None, "TOKEN": SECRET}),
            ("value-dict", {"A": {}, "TOKEN": SECRET}),
            ("name-number", {1: SECRET}),
            ("name-empty", {"": SECRET}),
            ("name-with-equals", {"A=B": SECRET}),
            ("value-with-nul", {"A": f"{SECRET}\0"}),
            ("name-with-nul", {"A\0": SECRET}),
        ]
    },
    "prefix-text": Case(
        web(PREFIX="nice"), F.BAD_VALUE, f"{WEB}['PREFIX'] is 'nice'.", PREFIX
    ),
    "prefix-numbers": Case(
        web(PREFIX=["nice", 5]), F.BAD_VALUE, f"{WEB}['PREFIX'] is ['nice', 5].", PREFIX
    ),
    "preload-text": Case(
        web(PRELOAD="False"),
        F.BAD_VALUE,
        f"{WEB}['PRELOAD'] is 'False'.",
        'Write PRELOAD as "auto", True or False.',
    ),
    **{
        f"graceful-timeout-{value!r}": Case(
            web(GRACEFUL_TIMEOUT=value),
            F.BAD_VALUE,
            f"{WEB}['GRACEFUL_TIMEOUT'] is {value!r}.",
            SECONDS,
        )
        for value in NO_SECONDS
    },
    **{
        f"wait-for-{value!r}": Case(
            web(WAIT_FOR=value), F.BAD_VALUE, f"{WEB}['WAIT_FOR'] is {said}.", WAITS
        )
        for value, said in [
            (5, "5"),
            ("databse", "'databse'"),
            (["tcp://db"], "['tcp://db']"),
            (f"tcp://u:{SECRET}@db:1", "'tcp://u:***@db:1'"),
        ]
    },
    "wait-for-no-broker": Case(
        web(WAIT_FOR=["broker"]),
        F.BAD_VALUE,
        f"{WEB}['WAIT_FOR'] includes the broker, but GunicornServer has none.",
        'For the broker of Celery, also set "APP": "project.celery.app".',
    ),
    **{
        f"wait-for-{name}": Case(
            web(WAIT_FOR=[name]),
            F.NOTHING_TO_WAIT_FOR,
            f"{WEB}['WAIT_FOR'] includes '{name}', but {problem}.",
            hint,
            more,
        )
        for name, problem, hint, more in [
            (
                "database:defalt",
                "DATABASES has no 'defalt'",
                "Did you mean 'default'? It has: default.",
                {},
            ),
            ("migrations:q", "DATABASES has no 'q'", "It has: default.", {}),
            ("cache:q", "CACHES has no 'q'", "It has: default.", {}),
            (
                "cache",
                f"CACHES['default'] has the BACKEND '{DUMMY}', which does nothing",
                "Remove it from WAIT_FOR, or set another BACKEND.",
                {"CACHES": {"default": {"BACKEND": DUMMY}}},
            ),
        ]
    },
    **{
        f"commands-{label}": Case(
            web(BACKEND=RELEASE, **config), F.BAD_VALUE, f"{WEB}: {said}", hint
        )
        for label, config, said, hint in RELEASES
    },
    **{
        f"health-{value!r}": Case(
            web(HEALTH=value),
            F.BAD_VALUE,
            f"{WEB}['HEALTH'] is {value!r}.",
            'Write HEALTH as {"MAX_AGE": seconds}.',
        )
        for value in (
            *(5, {"AGE": 5}, {1: 5}),
            *({"MAX_AGE": 0}, {"MAX_AGE": "5"}, {"MAX_AGE": True}),
        )
    },
    **{
        f"command-{name}": Case(
            worker(BACKEND=LONG_RUNNING, **keys), fault, f"{WORKER}: {message}", hint
        )
        for name, keys, fault, message, hint in LONG_RUNNINGS
    },
    "lock-alias": Case(
        web(BACKEND=RELEASE, COMMANDS=["check"], LOCK="defualt"),
        F.LOCK_UNSUPPORTED,
        f"{WEB}: LOCK is 'defualt', but DATABASES has no such alias.",
        "Did you mean 'default'?",
    ),
    "singleton-alias": Case(
        worker(BACKEND=BEAT, APP="proj.celery", SINGLETON="replica"),
        F.LOCK_UNSUPPORTED,
        "SINGLETON is 'replica', but DATABASES has no such alias.",
        "It has: default.",
    ),
    "singleton-not-installed": Case(
        worker(BACKEND=BEAT, APP="proj.celery", SINGLETON=True),
        F.LOCK_UNSUPPORTED,
        "SINGLETON is set, but django_prodserver is not in INSTALLED_APPS.",
        'Add "django_prodserver" to INSTALLED_APPS.',
        {"INSTALLED_APPS": []},
    ),
    "commands-unknown": Case(
        web(BACKEND=RELEASE, COMMANDS=["migrat"]),
        F.RELEASE_UNSUPPORTED,
        f"{WEB}: COMMANDS names 'migrat', but no app has that command.",
        "Did you mean 'migrate'?",
    ),
    "app-missing": Case(
        worker(), F.BAD_APP, f"{WORKER}: CeleryWorker has no APP; it needs", APP
    ),
    "app-empty": Case(
        worker(APP=""), F.BAD_APP, f"{WORKER}: CeleryWorker has the APP ''", APP
    ),
    "app-malformed": Case(
        worker(APP="proj celery"), F.BAD_APP, "has the APP 'proj celery'", APP
    ),
    "app-number": Case(worker(APP=5), F.BAD_APP, "has the APP 5", APP),
    "app-nowhere": Case(
        worker(APP="shop.celery"),
        F.APP_NOT_FOUND,
        f"{WORKER}: APP 'shop.celery' cannot be imported: No module named 'shop'.",
        FIND_APP,
    ),
    "app-module-typo": Case(
        worker(APP="proj.celry"),
        F.APP_NOT_FOUND,
        "'proj.celry' cannot be imported: No module named 'proj.celry'.",
        FIND_APP,
    ),
    "app-attribute-typo": Case(
        worker(APP="proj.celery:application"),
        F.APP_NOT_FOUND,
        "APP 'proj.celery:application' cannot be imported",
        FIND_APP,
    ),
    "app-module-without-one": Case(
        worker(APP="proj.settings"),
        F.APP_NOT_FOUND,
        "module 'proj.settings' has no attribute 'celery'.",
        FIND_APP,
    ),
    "app-something-else": Case(
        worker(APP="proj.settings.DEBUG"),
        F.APP_NOT_FOUND,
        f"{WORKER}: APP 'proj.settings.DEBUG' is a bool, not a Celery app.",
        FIND_APP,
    ),
    **{
        f"{kind.lower()}-{value!r}": Case(
            web(BACKEND=backend),
            F.NO_APPLICATION,
            f"{WEB}: {kind}_APPLICATION is {said}",
            hint,
            {f"{kind}_APPLICATION": value},
        )
        for kind, backend, hint in (("WSGI", GUNICORN, WSGI), ("ASGI", UVICORN, ASGI))
        for value, said in [
            (None, "not set."),
            ("", "'', which is not a dotted path."),
            ("proj", "'proj', which is not a dotted path."),
            ("proj.wsgi:app", "'proj.wsgi:app', which is not a dotted path."),
            ("proj..app", "'proj..app', which is not a dotted path."),
            (5, "5, which is not a dotted path."),
        ]
    },
    "tasks-not-in-installed-apps": Case(
        worker(BACKEND=TASKS),
        F.APP_NOT_INSTALLED,
        "django_tasks_db, which provides the command db_worker, "
        "is not in INSTALLED_APPS.",
        'Add "django_tasks_db" to INSTALLED_APPS, then run: python manage.py migrate',
        {"INSTALLED_APPS": []},
    ),
    "q2-not-in-installed-apps": Case(
        worker(BACKEND=Q2),
        F.APP_NOT_INSTALLED,
        "django_q, which provides the command qcluster, is not in INSTALLED_APPS.",
        'Add "django_q" to INSTALLED_APPS, then run: python manage.py migrate',
        {"INSTALLED_APPS": []},
    ),
    "rq-not-in-installed-apps": Case(
        worker(BACKEND=TASKS),
        F.APP_NOT_INSTALLED,
        "django_rq, which provides the command rqworker, is not in INSTALLED_APPS.",
        'Add "django_rq" to INSTALLED_APPS, then run: python manage.py migrate',
        {"INSTALLED_APPS": [], "TASKS": RQ},
    ),
    "rqworker-not-in-installed-apps": Case(
        worker(BACKEND=RQWORKER),
        F.APP_NOT_INSTALLED,
        "django_rq, which provides the command rqworker, is not in INSTALLED_APPS.",
        'Add "django_rq" to INSTALLED_APPS, then run: python manage.py migrate',
        {"INSTALLED_APPS": []},
    ),
    "huey-not-in-installed-apps": Case(
        worker(BACKEND=f"{BACKENDS}.huey.HueyConsumer"),
        F.APP_NOT_INSTALLED,
        "huey.contrib.djhuey, which provides the command run_huey, "
        "is not in INSTALLED_APPS",
        'Add "huey.contrib.djhuey" to INSTALLED_APPS, then run',
        {"INSTALLED_APPS": ["huey"]},
    ),
    "rqworker-unknown-queue": Case(
        worker(BACKEND=RQWORKER, QUEUES=["default", "mial"]),
        F.BAD_VALUE,
        "QUEUES has 'mial', which is not in RQ_QUEUES.",
        "Did you mean 'mail'?",
        {"RQ_QUEUES": {"default": {}, "mail": {}}},
    ),
    "rqworker-no-such-queue": Case(
        worker(BACKEND=RQWORKER, QUEUES=["reports"]),
        F.BAD_VALUE,
        "QUEUES has 'reports', which is not in RQ_QUEUES.",
        "RQ_QUEUES has default, mail.",
        {"RQ_QUEUES": {"default": {}, "mail": {}}},
    ),
    **{
        f"health-{name}": Case(
            web(),
            F.BAD_HEALTH,
            f"PRODSERVER_HEALTH{message}",
            hint,
            {"PRODSERVER_HEALTH": value, "MIDDLEWARE": [health.MIDDLEWARE]},
        )
        for name, value, message, hint in (
            ("list", [], " is [], not a dictionary.", '{"CHECKS": ["database"]}'),
            ("key", {"CHECK": []}, " has the unknown key 'CHECK'.", "mean 'CHECKS'?"),
            ("text", {"CHECKS": "database"}, "['CHECKS'] is 'database'.", "Write ["),
            (
                "typo",
                {"CHECKS": ["databse"]},
                "['CHECKS'] has 'databse'.",
                "Did you mean 'database'? Use database, migrations, cache, or",
            ),
            (
                "alias",
                {"CHECKS": ["database", "cache:defualt"]},
                "['CHECKS'] has 'cache:defualt', but CACHES has no 'defualt'.",
                "Did you mean 'default'? It has: default.",
            ),
            (
                "module",
                {"CHECKS": ["shop.health.check"]},
                "['CHECKS'] has 'shop.health.check', which cannot be imported:"
                " no module 'shop'.",
                FUNCTION,
            ),
            (
                "function",
                {"CHECKS": ["proj.settings.check"]},
                "['CHECKS'] has 'proj.settings.check', which is not a function in"
                " proj.settings.",
                FUNCTION,
            ),
            ("zero", {"TIMEOUT": 0}, "['TIMEOUT'] is 0.", "number of seconds up to 60"),
            ("true", {"MAX_AGE": True}, "['MAX_AGE'] is True.", "number of seconds"),
            ("path", {"LIVE_PATH": "live"}, "['LIVE_PATH'] is 'live'.", '"/-/live"'),
            (
                "one-path",
                {"LIVE_PATH": "/-/ready"},
                " has '/-/ready' for both LIVE_PATH and READY_PATH.",
                "different path for each",
            ),
        )
    },
}


def found():
    return [*process_checks.check_processes(), *process_checks.check_health()]


@pytest.fixture
def configured(settings):
    def configure(processes, **more):
        settings.PRODUCTION_PROCESSES = processes
        for name, value in more.items():
            setattr(settings, name, value)
        skip_without_servers(processes)

    return configure


@pytest.mark.parametrize("case", CASES.values(), ids=list(CASES))
def test_a_fault_is_a_check_with_a_message_and_a_hint(case, configured):
    """Exactly the one, on one line, without what ENV or a password holds."""
    configured(case.processes, **case.more)
    [said] = found()
    assert said.id == case.fault
    assert case.message in said.msg
    assert case.hint in said.hint
    assert said.is_serious() is not case.fault.depends_on_environment
    for line in (said.msg, said.hint):
        assert line
        assert line.isprintable(), "one line"
        assert len(line) < 400
        assert SECRET not in line


def test_the_table_has_every_fault():
    """All but those that need more than settings, which have tests of their own."""
    others = {F.NO_SETTINGS, F.BAD_VARIABLE, F.LOADING_FAILS, F.NOT_ON_WINDOWS}
    assert {case.fault for case in CASES.values()} == set(Fault) - others


@pytest.mark.parametrize("database", [{}, {"ENGINE": "django.db.backends.dummy"}])
@pytest.mark.parametrize("kind", ["database", "migrations"])
def test_a_database_that_is_not_configured_is_not_waited_for(
    database, kind, configured, settings, monkeypatch
):
    """As DATABASES are in a project that has none."""
    monkeypatch.setitem(settings.DATABASES, "none", database)
    configured(web(WAIT_FOR=["database", f"{kind}:none"]))
    [said] = found()
    assert said.id == F.NOTHING_TO_WAIT_FOR
    engine = database.get("ENGINE", "")
    assert (
        f"includes '{kind}:none', but DATABASES['none'] has the ENGINE {engine!r}, "
        in (said.msg)
    )


def test_the_ids_are_unique():
    assert len(set(Fault)) == len(Fault.__members__)
    assert all(fault.startswith("prodserver.E") for fault in Fault)


def test_a_missing_setting_is_an_empty_one(settings):
    del settings.PRODUCTION_PROCESSES
    assert [said.id for said in found()] == [F.EMPTY]


def test_what_is_right_has_no_faults(configured):
    everything = {path.rpartition(".")[2]: entry(path) for path in installed()}
    configured(everything | web(ENV={"A": 1}, PREFIX=["nice"], PRELOAD=False))
    assert found() == []


@pytest.mark.parametrize("app", ["proj", "proj.celery", "proj.celery:app"])
def test_an_app_in_any_form_that_celery_takes_is_right(app, configured):
    configured(worker(APP=app))
    assert found() == []


def test_all_faults_are_found_at_once(configured):
    configured(
        {
            **web(ARG=1, PREFIX=5, GRACEFUL_TIMEOUT={}),
            "": {},
            "b": {"BACKEND": CELERY, "ARG": 1},
        },
        WSGI_APPLICATION=None,
    )
    assert [said.id for said in found()] == [
        *(F.BAD_VALUE, F.BAD_VALUE, F.UNKNOWN_KEY, F.NO_APPLICATION),
        F.BAD_NAME,
        *(F.UNKNOWN_KEY, F.BAD_APP),
    ]


def test_the_check_is_registered(settings):
    settings.PRODUCTION_PROCESSES = {"web": {"BACKEND": "no.such.Backend"}}
    found: list[Any] = registry.registry.get_checks()
    registered = {check.__name__ for check in found}
    assert process_checks.check_processes.__name__ in registered
    assert process_checks.check_health.__name__ in registered
    [message] = registry.run_checks(tags=[TAG])
    assert "no.such.Backend" in message.msg


@pytest.mark.parametrize(
    ("middleware", "said"),
    [
        (
            [],
            (
                "prodserver.W020",
                "PRODSERVER_HEALTH is set, but MIDDLEWARE has no HealthMiddleware.",
            ),
        ),
        (
            ["django.middleware.common.CommonMiddleware", health.MIDDLEWARE],
            (
                "prodserver.W021",
                "HealthMiddleware comes after"
                " 'django.middleware.common.CommonMiddleware'.",
            ),
        ),
        ([health.MIDDLEWARE, "django.middleware.common.CommonMiddleware"], None),
    ],
    ids=["missing", "second", "first"],
)
def test_where_the_health_middleware_belongs(middleware, said, configured):
    configured(web(), MIDDLEWARE=middleware, PRODSERVER_HEALTH={"CHECKS": ["cache"]})
    warnings = found()
    assert [(one.id, one.msg) for one in warnings] == ([said] if said else [])
    assert not any(one.is_serious() for one in warnings)


def test_a_backend_of_somebody_elses_may_have_keys_of_its_own(configured):
    configured({"web": {"BACKEND": f"{__name__}.Theirs", "MY_KEY": 1}})
    assert found() == []


class Theirs(BaseServerBackend):
    def start_server(self, *args):
        """Their own affair."""


@pytest.mark.parametrize("path", loader.known_backends())
def test_a_server_that_is_missing_is_named_with_what_installs_it(
    path, settings, monkeypatch
):
    settings.PRODUCTION_PROCESSES = {"web": entry(path)}
    server = backend(path)
    packages = server.required_modules()
    for package in packages:
        monkeypatch.setitem(sys.modules, package, None)  # as if it were not there
    apps = missing_apps(server)
    assert [said.id for said in found()] == [
        *([F.NOT_INSTALLED] * len(packages)),
        *([F.APP_NOT_INSTALLED] * len(apps)),
    ]
    for said, package in zip(found(), packages, strict=False):
        assert said.msg == f"{WEB}: {package} is not installed."
        assert f'pip install "{server.requirement}"' in said.hint


@pytest.mark.parametrize("path", loader.known_backends())
def test_what_installs_a_server_is_an_extra_that_exists(path):
    name, _, extra = backend(path).requirement.removesuffix("]").partition("[")
    if name == "django-prodserver" and backend(path).package:
        assert extra in (metadata.metadata(name).get_all("Provides-Extra") or [])


def test_the_adapter_of_a_server_is_missed_too(configured, monkeypatch):
    """uvicorn is there, and what it serves WSGI with is not."""
    configured(web(BACKEND=f"{BACKENDS}.uvicorn.UvicornWSGIServer"))
    monkeypatch.setitem(sys.modules, "a2wsgi", None)
    [said] = found()
    assert said.msg == f"{WEB}: a2wsgi is not installed."
    assert 'pip install "django-prodserver[uvicorn]"' in said.hint


def test_a_worker_on_rq_is_told_of_the_package_that_brings_it(configured, monkeypatch):
    configured(worker(BACKEND=TASKS), TASKS=RQ)
    monkeypatch.setitem(sys.modules, "django_rq", None)
    assert 'pip install "django-tasks-rq"' in found()[0].hint


BROKEN = {
    "import": ("import nosuch", "No module named 'nosuch'"),
    "name": ("from os import nosuch", "cannot import name 'nosuch'"),
    "attribute": ("import os; os.nosuch", "module 'os' has no attribute"),
    "setting": (
        "from django.conf import settings; settings.NOSUCH",
        "object has no attribute 'NOSUCH'",
    ),
}
broken = pytest.mark.parametrize(("code", "error"), BROKEN.values(), ids=list(BROKEN))


@broken
@pytest.mark.parametrize("key", ["BACKEND", "APP"])
def test_an_error_inside_the_users_module_is_a_warning(
    key, code, error, configured, tmp_path, monkeypatch
):
    """Other commands run; the traceback is for the start of this process."""
    (tmp_path / "shop_broken.py").write_text(code)
    monkeypatch.syspath_prepend(tmp_path)
    configured(worker(**{key: "shop_broken.thing"}))
    [said] = found()
    assert said.id == F.LOADING_FAILS
    assert not said.is_serious()
    assert said.msg.startswith(f"{WORKER}: loading it raises ")
    assert error in said.msg
    assert "python manage.py prodserver NAME" in said.hint


@broken
def test_an_error_inside_a_health_check_is_a_warning(
    code, error, configured, tmp_path, monkeypatch
):
    (tmp_path / "shop_broken.py").write_text(code)
    monkeypatch.syspath_prepend(tmp_path)
    configured(
        web(),
        MIDDLEWARE=[health.MIDDLEWARE],
        PRODSERVER_HEALTH={"CHECKS": ["shop_broken.check"]},
    )
    [said] = found()
    assert said.id == F.LOADING_FAILS
    assert not said.is_serious()
    assert said.msg.startswith("PRODSERVER_HEALTH['CHECKS'] has 'shop_broken.check'")
    assert error in said.msg
    assert 'shell -c "import shop_broken"' in said.hint


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("PORT", "http"),
        ("PRODSERVER_HOST", "0.0.0.0:8000"),
        ("PRODSERVER_HOST", "two words"),
        ("PRODSERVER_HOST", "[::x]"),
        ("WEB_CONCURRENCY", "1001"),
        ("WEB_CONCURRENCY", "9" * 5000),
    ],
)
def test_a_wrong_variable_of_this_machine_is_a_warning(
    name, value, configured, monkeypatch
):
    monkeypatch.setenv(name, value)
    configured(web())
    [said] = found()
    assert said.id == F.BAD_VARIABLE
    assert not said.is_serious()


def test_what_several_processes_lack_is_one_message(configured, monkeypatch):
    configured(
        {
            **{name: {"BACKEND": GUNICORN} for name in ("web", "api", "admin")},
            "live": {"BACKEND": UVICORN, "ARG": 1},
            "push": {"BACKEND": UVICORN, "ARG": 1},
        }
    )
    monkeypatch.setitem(sys.modules, "gunicorn", None)  # as if it were not there
    missing, *others = found()
    assert missing.msg == f"{WEB}, ['api'], ['admin']: gunicorn is not installed."
    # Each of these is a place in the settings to correct.
    assert [said.id for said in others] == [F.UNKNOWN_KEY, F.UNKNOWN_KEY]


@pytest.mark.parametrize("app", ["shop_broken.app", "proj.settings.DEBUG"])
def test_one_wrong_app_of_several_processes_is_one_message(
    app, configured, tmp_path, monkeypatch
):
    (tmp_path / "shop_broken.py").write_text("import nosuch")
    monkeypatch.syspath_prepend(tmp_path)
    beat = {"BACKEND": f"{BACKENDS}.celery.CeleryBeat", "APP": app}
    configured(worker(APP=app) | {"beat": beat})
    [said] = found()
    assert said.msg.startswith(f"{WORKER}, ['beat']: ")


def levels(**options):
    """Return the level of each of our messages, by its ID."""
    said = registry.run_checks(tags=[TAG], **options)
    ids = [str(message.id) for message in said]
    assert len(ids) == len(set(ids)), "each thing once"
    return {message.id: message.level for message in said}


def test_deploy_makes_an_error_of_a_health_check_that_fails(
    configured, tmp_path, monkeypatch
):
    (tmp_path / "shop_broken.py").write_text("import nosuch")
    monkeypatch.syspath_prepend(tmp_path)
    checks = {"CHECKS": ["shop_broken.check"]}
    configured(web(), MIDDLEWARE=[health.MIDDLEWARE], PRODSERVER_HEALTH=checks)
    assert levels() == {F.LOADING_FAILS: WARNING}
    assert levels(include_deployment_checks=True)[F.LOADING_FAILS] == ERROR


def test_deploy_makes_errors_of_what_a_plain_check_warns_of(configured):
    """Also after each other in one process, as a release may run them."""
    configured({"web": {"BACKEND": UVICORN}, "b": {}}, ASGI_APPLICATION=None)
    plain = {F.NO_APPLICATION: WARNING, F.NO_BACKEND: ERROR}
    assert levels() == plain
    deploy = levels(include_deployment_checks=True)
    assert deploy[F.NO_APPLICATION] == deploy[F.NO_BACKEND] == ERROR
    assert all(
        level < ERROR for id, level in deploy.items() if id.startswith("prodserver.W")
    )
    assert levels() == plain


#: The project's files, and the module that is suggested for ASGI.
LAYOUTS = {
    "beside-urls": ("store.urls", ["store/urls.py", "store/asgi.py"], "store.asgi"),
    "above-urls": (
        "store.core.urls",
        ["store/core/urls.py", "store/asgi.py"],
        "store.asgi",
    ),
    "flat": ("urls", ["urls.py", "asgi.py"], "asgi"),
    "beside-settings": ("store.urls", ["store/urls.py", "setup/asgi.py"], "setup.asgi"),
    "none": ("store.urls", ["store/urls.py", "store/wsgi.py"], ""),
    "no-package": ("gone.urls", [], ""),
    "broken-package": ("store.urls", ["store/__init__.py"], ""),
}


@pytest.fixture
def _no_store_stays():
    """Forget the packages that a test has written, and that are there no more."""
    yield
    for name in list(sys.modules):
        if name.partition(".")[0] in ("store", "setup"):
            del sys.modules[name]


@pytest.mark.usefixtures("_no_store_stays")
@pytest.mark.parametrize(("urls", "files", "module"), LAYOUTS.values(), ids=LAYOUTS)
def test_the_application_that_exists_is_suggested(
    urls, files, module, configured, tmp_path, monkeypatch
):
    """No file is imported but a package's own, as the broken one shows."""
    for file in files:
        path = tmp_path / file
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("raise RuntimeError")
    monkeypatch.syspath_prepend(tmp_path)
    configured(
        web(BACKEND=UVICORN),
        ASGI_APPLICATION=None,
        ROOT_URLCONF=urls,
        SETTINGS_MODULE="setup.settings",
    )
    [said] = found()
    if module:
        assert (
            said.hint
            == f'Write ASGI_APPLICATION = "{module}.application" in the settings.'
        )
    else:
        wsgi = f'"BACKEND": "{BACKENDS}.uvicorn.UvicornWSGIServer"'
        assert said.hint == (
            "The project has no asgi.py: create one, or serve WSGI_APPLICATION "
            f"instead, with {wsgi}."
        )


def test_a_project_without_wsgi_is_not_sent_to_it(configured):
    configured(
        web(BACKEND=UVICORN),
        ASGI_APPLICATION=None,
        WSGI_APPLICATION=None,
        ROOT_URLCONF="gone.urls",
        SETTINGS_MODULE="gone.settings",
    )
    [said] = found()
    assert said.hint == "The project has no asgi.py: create one."


@pytest.mark.parametrize("path", loader.known_backends())
def test_the_alternative_serves_wsgi_with_the_same_server(path):
    server = backend(path)
    if alternative := getattr(server, "wsgi_alternative", ""):
        assert vars(type(backend(alternative)))["interface"] == "wsgi"
        assert backend(alternative).script == server.script


def test_a_module_that_only_imports_celery_is_no_app(configured, tmp_path, monkeypatch):
    """Its name "celery" is the package, which celery itself says in its own words."""
    (tmp_path / "shop_imports.py").write_text("import celery")
    monkeypatch.syspath_prepend(tmp_path)
    configured(worker(APP="shop_imports"))
    [said] = found()
    assert said.id == F.APP_NOT_FOUND
    assert "attribute 'celery' is the celery module not the instance" in said.msg


def test_options_in_gunicorns_variable_are_gunicorns_to_refuse(configured, monkeypatch):
    monkeypatch.setenv("GUNICORN_CMD_ARGS", "--name 'open")
    configured(web())
    assert found() == []


#: One of each kind: of the table, of a key, of a path, of what it has to import.
STARTED = (
    *("table-none", "name-space", "backend-module-typo", "key-typo"),
    *("args-value-none", "env-value-none", "wsgi-None", "app-nowhere"),
    "health-typo",
)
started = pytest.mark.parametrize("case", [CASES[key] for key in STARTED], ids=STARTED)
both = pytest.mark.parametrize("via", [MANAGE, MODULE], ids=["manage", "-m"])


@pytest.mark.process
@both
@started
def test_a_fault_at_a_start_is_one_message(case, via, start: Starter):
    """Nothing is started, the code is EX_CONFIG, and no traceback hides the words."""
    names = list(case.processes or ["web"])
    settings = {"PRODUCTION_PROCESSES": case.processes, **case.more}
    done = start.command(*names, via=via, settings=settings)
    assert done.returncode == 78
    assert done.stdout == ""
    message, *hints = done.stderr.splitlines()
    assert case.message in message
    assert len(hints) <= 1
    assert case.hint in "".join(hints)
    assert "Traceback" not in done.stderr
    assert SECRET not in done.stderr


@pytest.mark.process
@both
def test_a_fault_that_the_application_raises_as_it_is_loaded(via, start: Starter):
    """The server has begun to start by then, and nothing listens yet."""
    case = CASES["health-module"]
    done = start.command("web", via=via, settings=case.more)
    assert done.returncode == 78
    assert "Starting gunicorn" in done.stdout
    assert "Listening" not in done.stdout
    message, *hints = done.stderr.splitlines()
    assert case.message in message
    assert case.hint in "".join(hints)
    assert "Traceback" not in done.stderr


@pytest.mark.process
@both
def test_an_unknown_process_is_answered_with_those_there_are(via, start: Starter):
    both = web() | worker(APP="proj.celery.app")
    done = start.command("wbe", via=via, processes=both)
    assert done.returncode == 78
    assert "No process named 'wbe'.\n" in done.stderr
    assert "Did you mean 'web'? Configured: web, worker.\n" in done.stderr
    assert len(done.stderr.splitlines()) == 2


@pytest.mark.process
@both
@pytest.mark.parametrize(
    ("args", "said"),
    [
        (["--list", "--dry-run"], "--dry-run: not allowed with argument --list"),
        (["--list", "web"], "--list takes no names"),
        (["--list", "--format=xml"], "--format: invalid choice: 'xml'"),
        (["--all", "web", "--workers=2"], "--all takes only process names"),
    ],
    ids=["two-modes", "list-of-one", "format", "all-with-options"],
)
def test_wrong_usage_is_2(args, said, via, start: Starter):
    done = start.command(*args, via=via)
    assert done.returncode == 2
    assert said in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.process
@pytest.mark.parametrize(
    ("module", "said"),
    [
        ("", "DJANGO_SETTINGS_MODULE is not set"),
        ("shop.settings", "The settings 'shop.settings' were not found: no module"),
        ("proj.nosuch", "were not found: no module 'proj.nosuch'."),
        ("proj.refusing", "'proj.refusing' cannot be used: Set SHOP_KEY."),
    ],
    ids=["unset", "no-package", "no-module", "refusing"],
)
def test_no_settings_are_a_fault_too(module, said, start: Starter):
    done = start.command("web", via=MODULE, DJANGO_SETTINGS_MODULE=module)
    assert done.returncode == 78
    assert done.stderr.startswith("prodserver: ")
    assert said in done.stderr
    assert len(done.stderr.splitlines()) == 2


@pytest.mark.process
@pytest.mark.parametrize(
    ("code", "told", "hint"),
    [
        (
            "import os\nKEY = os.environ['SHOP_KEY']",
            "KeyError: 'SHOP_KEY' (*, line 2)",
            "Set the environment variable: SHOP_KEY=... prodserver ...",
        ),
        (
            "DATA = {}\nKEY = DATA['key']",
            "KeyError: 'key' (*, line 2)",
            "To see the traceback, add --traceback.",
        ),
        (
            "import nosuch",
            "ModuleNotFoundError: No module named 'nosuch' (*, line 1)",
            "To see the traceback, add --traceback.",
        ),
        (
            "import json\n\njson.loads('{')",  # raised in the standard library
            "JSONDecodeError: * (*, line 3)",
            "To see the traceback, add --traceback.",
        ),
        (
            "A = (",
            "SyntaxError: '(' was never closed (*, line 1)",
            "To see the traceback, add --traceback.",
        ),
        (
            "raise PermissionError('postgres://shop:secret@db/shop')",
            "PermissionError: postgres://shop:***@db/shop (*, line 1)",
            "To see the traceback, add --traceback.",
        ),
    ],
    ids=["variable", "key", "import", "library", "syntax", "password"],
)
def test_settings_that_fail_are_one_message(code, told, hint, start: Starter):
    (start.data / "shop_settings.py").write_text(code)
    env = {"PYTHONPATH": str(start.data), "DJANGO_SETTINGS_MODULE": "shop_settings"}
    done = start.command("web", via=MODULE, **env)
    assert done.returncode == 78
    message, shown_hint = done.stderr.splitlines()
    pattern = f"prodserver: The settings 'shop_settings' cannot be loaded: {told}"
    assert fnmatchcase(message, pattern)
    assert "shop_settings.py, line" in message
    assert shown_hint == hint
    again = start.command("web", "--traceback", via=MODULE, **env)
    assert "Traceback" in again.stderr


@pytest.mark.process
@both
def test_an_error_inside_the_users_backend_keeps_its_traceback(
    via, start: Starter, tmp_path
):
    (tmp_path / "shop_broken.py").write_text("import nosuch")
    done = start.command(
        "web",
        via=via,
        processes=web(BACKEND="shop_broken.Backend"),
        PYTHONPATH=str(tmp_path),
    )
    assert done.returncode == 1
    assert str(tmp_path / "shop_broken.py") in done.stderr
    assert done.stderr.endswith("ModuleNotFoundError: No module named 'nosuch'\n")


@pytest.mark.process
def test_manage_py_check_shows_all_of_them(start: Starter):
    done = start.command(
        via=[*MANAGE[:2], "check"],
        processes={
            **web(ARG=1, PREFIX="nice", ENV={"TOKEN": [SECRET]}),
            "a b": {},
            "worker": {"BACKEND": CELERY, "APP": "shop.celery"},
            "beat": {"BACKEND": f"{BACKENDS}.celery.CeleryBeet"},
        },
        unset=["WSGI_APPLICATION"],
    )
    assert done.returncode == 1
    for fault in (F.UNKNOWN_KEY, F.BAD_VALUE, F.NO_APPLICATION, F.BAD_NAME):
        assert f"({fault})" in done.stderr
    assert f"({F.APP_NOT_FOUND})" in done.stderr
    assert "System check identified 7 issues (0 silenced)." in done.stderr
    assert f"Did you mean '{BACKENDS}.celery.CeleryBeat'?" in done.stderr
    assert SECRET not in done.stderr


@pytest.mark.process
@pytest.mark.slow
def test_where_no_server_is_installed_each_backend_says_so(start: Starter, tmp_path):
    """A real environment, of Django and this package: it lists, checks and refuses."""
    uv = BIN / "uv"
    if not uv.exists():
        pytest.skip("no uv beside this Python to make an environment with")
    python = tmp_path / "bare" / "bin" / "python"
    django = f"django=={metadata.version('django')}"
    repository = str(PROJECT.parent.parent)
    for command in (
        [uv, "venv", "--quiet", "--python", sys.executable, tmp_path / "bare"],
        [uv, "pip", "install", "--quiet", "--python", python, django, repository],
    ):
        subprocess.run(command, check=True)
    paths = [path for path in loader.known_backends() if backend(path).package]
    processes = {
        f"p{number}": {"BACKEND": path, "APP": "shop.celery.app"}
        for number, path in enumerate(paths)
    }

    listed = start.command(
        *("--list", "--format=json"),
        via=[str(python), "-m", "django_prodserver"],
        processes=processes,
    )
    assert listed.returncode == 0, listed.stderr
    rows = json.loads(listed.stdout)
    assert [row["backend"] for row in rows] == paths
    assert all(row["argv"] and "is not installed" in row["error"] for row in rows)

    checked = start.command(
        via=[str(python), "manage.py", "check"], processes=processes
    )
    assert checked.returncode == 0
    assert "Traceback" not in checked.stderr
    for name, row in zip(processes, rows, strict=True):
        problem = row["error"].partition(":")[2]
        told = [line for line in checked.stderr.splitlines() if line.endswith(problem)]
        assert any(f"['{name}']" in line for line in told), problem

    for index, path in enumerate(paths):
        done = start.command(
            f"p{index}",
            via=[str(python), "-m", "django_prodserver"],
            processes=processes,
        )
        assert done.returncode == 78, path
        assert f"prodserver: {rows[index]['error']}\nInstall it: " in done.stderr
        assert "python -m pip install" in done.stderr
