"""What is no fault, but worth a warning: keys, options, and what bites later."""

from __future__ import annotations

import sys
from typing import Any, NamedTuple

import pytest
from django.conf import settings as django_settings
from django.core.checks import Info, Warning, registry

from django_prodserver.backends import loader, web_warnings
from django_prodserver.backends.django_command import ManagementBackend
from django_prodserver.backends.introspection.installed import all_tables
from django_prodserver.checks import processes as process_checks
from django_prodserver.checks import server_options
from django_prodserver.checks.ids import WarningId
from django_prodserver.config.processes import Process
from django_prodserver.process.preload_memory import Memory
from tests.installed import skip_without_servers
from tests.servers import BACKENDS

GUNICORN = f"{BACKENDS}.gunicorn.GunicornServer"
UVICORN = f"{BACKENDS}.uvicorn.UvicornServer"
GRANIAN = f"{BACKENDS}.granian.GranianWSGIServer"
WAITRESS = f"{BACKENDS}.waitress.WaitressServer"
CELERY = f"{BACKENDS}.celery.CeleryWorker"
TASKS = f"{BACKENDS}.django_tasks.DjangoTasksWorker"
Q2 = f"{BACKENDS}.django_q2.DjangoQ2Worker"
WEB = "PRODUCTION_PROCESSES['web']"
PROXIED = ("HTTP_X_FORWARDED_PROTO", "https")
CONSOLE = {
    "version": 1,
    "disable_existing_loggers": False,
    "handlers": {"out": {"class": "logging.StreamHandler"}},
    "root": {"handlers": ["out"]},
}
POOL = {"ENGINE": "django.db.backends.postgresql", "OPTIONS": {"pool": True}}

PERSISTENT = {"ENGINE": "django.db.backends.postgresql", "CONN_MAX_AGE": 60}


def pool(**sizes: int) -> dict[str, Any]:
    return {**POOL, "OPTIONS": {"pool": sizes}}


@pytest.fixture(autouse=True)
def _bare_environment(monkeypatch, tmp_path):
    monkeypatch.setenv("PRODSERVER_RUNTIME_DIR", str(tmp_path))
    for name in ("PORT", "PRODSERVER_HOST", "WEB_CONCURRENCY", "FORWARDED_ALLOW_IPS"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(web_warnings, "in_container", lambda: False)


class Case(NamedTuple):
    """The entry "web", and what is said of it."""

    entry: dict[str, Any]
    caution: WarningId
    message: str
    hint: str = ""
    #: Other settings that it takes.
    more: dict[str, Any] = {}


def options(backend: str, hint: str, name: str, **args: Any) -> Case:
    message = f"{WEB}['ARGS']: {name} is not an option of "
    entry = {"BACKEND": backend, "APP": "proj.celery.app", "ARGS": args}
    return Case(entry, WarningId.UNKNOWN_OPTION, message, hint)


def value(backend: str, hint: str, name: str, given: Any) -> Case:
    message = f"{WEB}['ARGS'][{name!r}] is {str(given)!r}, which "
    entry = {"BACKEND": backend, "APP": "proj.celery.app", "ARGS": {name: given}}
    return Case(entry, WarningId.WRONG_VALUE, message, hint)


CASES = {
    "useless": Case(
        {"BACKEND": WAITRESS, "WORKERS": 3},
        WarningId.USELESS_KEY,
        f"{WEB}: WORKERS has no effect here: waitress is one process; use THREADS.",
    ),
    "gunicorn": options(
        GUNICORN, "Did you mean 'access-logfile'?", "'accesslogg'", accesslogg="-"
    ),
    "uvicorn": options(
        UVICORN, "Did you mean 'log-level'?", "'log-levle'", **{"log-levle": "info"}
    ),
    "granian": options(
        GRANIAN, "Did you mean 'blocking-threads'?", "'blocking-thread'"
    )._replace(entry={"BACKEND": GRANIAN, "ARGS": ["--blocking-thread", "3"]}),
    "waitress": options(
        WAITRESS, "Did you mean 'threads'?", "'threds'", threds=["1", "2"]
    ),
    "celery": options(
        CELERY, "Did you mean 'concurrency'?", "'concurency'", concurency=3
    ),
    "db_worker": options(TASKS, "Did you mean 'interval'?", "'intervall'", intervall=3),
    "q2": options(Q2, "Did you mean 'name'?", "'nam'", nam="a"),
    "like-nothing": options(UVICORN, "See its --help.", "'zzz'", zzz=1),
    "gunicorn-number": value(GUNICORN, "Write a whole number.", "w", "four"),
    "gunicorn-negative": value(
        GUNICORN, "Write a whole number, 0 or more.", "max-requests", -1
    ),
    "gunicorn-class": value(
        GUNICORN, "Write one of 'sync', ", "worker-class", "gthreads"
    ),
    "uvicorn-number": value(UVICORN, "Write a whole number.", "port", "x"),
    "uvicorn-list": value(UVICORN, "Write a number.", "reload-delay", "soon"),
    "granian-range": value(GRANIAN, "Write a whole number.", "workers", "x"),
    "waitress-number": value(WAITRESS, "Write a whole number.", "threads", "many"),
    "celery-choice": value(CELERY, "Write one of 'prefork', ", "pool", "threadz"),
    "celery-number": value(CELERY, "Write a number.", "time-limit", "x"),
    "db_worker-alias": value(TASKS, "The server reports: ", "backend", "nope"),
}
DEPLOY = {
    "debug": Case({}, WarningId.DEBUG, "DEBUG is True", more={"DEBUG": True}),
    "hosts": Case({}, WarningId.ALLOWED_HOSTS, "", more={"ALLOWED_HOSTS": []}),
    "reload": Case(
        {"ARGS": {"reload": True}}, WarningId.DEVELOPMENT_OPTION, f"{WEB} has"
    ),
    "spew": Case(
        {"ARGS": {"spew": True}}, WarningId.DEVELOPMENT_OPTION, f"{WEB} has --spew"
    ),
    "check-config": Case(
        {"ARGS": {"check_config": True}},
        WarningId.DEVELOPMENT_OPTION,
        f"{WEB} has --check-config",
    ),
    "reload-uvicorn": Case(
        {"BACKEND": UVICORN, "ARGS": {"reload": True}},
        WarningId.DEVELOPMENT_OPTION,
        f"{WEB} has --reload",
    ),
    "tracebacks": Case(
        {"BACKEND": WAITRESS, "ARGS": {"expose_tracebacks": True}},
        WarningId.DEVELOPMENT_OPTION,
        f"{WEB} has --expose-tracebacks",
    ),
    "debugger": Case(
        {"PREFIX": ["python", "-m", "debugpy"]},
        WarningId.DEVELOPMENT_OPTION,
        f"{WEB} has",
    ),
    "one": Case(
        {"TIMEOUT": 120, "ARGS": {"worker-class": "sync"}},
        WarningId.ONE_AT_A_TIME,
        f"{WEB} handles one request at a time",
    ),
    "one-thread": Case(
        {"BACKEND": GRANIAN, "THREADS": 1}, WarningId.ONE_AT_A_TIME, f"{WEB} handles"
    ),
    "pool": Case(
        {"THREADS": 8},
        WarningId.POOL_TOO_SMALL,
        f"{WEB} has 8 threads per process, but the pool of DATABASES['default'] has 4",
        'Set "OPTIONS": {"pool": {"max_size": 8}} for it.',
        {"DATABASES": {"default": POOL}},
    ),
    "pool-of-fewer": Case(
        {"THREADS": 8},
        WarningId.POOL_TOO_SMALL,
        f"{WEB} has 8 threads per process, but the pool of DATABASES['default'] has 7",
        more={"DATABASES": {"default": pool(max_size=7)}},
    ),
    "pool-celery": Case(
        {"BACKEND": CELERY, "CONCURRENCY": 9, "ARGS": {"pool": "threads"}},
        WarningId.POOL_TOO_SMALL,
        f"{WEB} has 9 threads",
        more={"DATABASES": {"default": POOL}},
    ),
    "connections": Case(
        {"WORKERS": 3},
        WarningId.CONNECTIONS,
        f"{WEB} keeps up to 12 connections to DATABASES['default'] open in each "
        "container: 3 x 4 threads (a default of django-prodserver), and CONN_MAX_AGE "
        "is 60.",
        'Set "THREADS": 4 if all replicas together',
        {"DATABASES": {"default": PERSISTENT}},
    ),
    "connections-forever": Case(
        {"BACKEND": WAITRESS},
        WarningId.CONNECTIONS,
        f"{WEB} keeps up to 4 connections",
        more={"DATABASES": {"default": {**PERSISTENT, "CONN_MAX_AGE": None}}},
    ),
    "anyone": Case(
        {"ARGS": {"forwarded-allow-ips": "*"}},
        WarningId.TRUSTS_ANYONE,
        f"{WEB} trusts",
    ),
    "anyone-by-key": Case(
        {"BACKEND": GRANIAN, "TRUSTED_PROXIES": ["*"]},
        WarningId.TRUSTS_ANYONE,
        f"{WEB} trusts",
    ),
    "anyone-waitress": Case(
        {"BACKEND": WAITRESS, "ARGS": {"trusted-proxy": "*"}},
        WarningId.TRUSTS_ANYONE,
        "",
    ),
    "deleted": Case(
        {"BACKEND": WAITRESS},
        WarningId.HEADER_DELETED,
        f"{WEB}: waitress deletes the header of SECURE_PROXY_SSL_HEADER",
        more={"SECURE_PROXY_SSL_HEADER": PROXIED},
    ),
    "loggers": Case(
        {},
        WarningId.LOGGERS_DISABLED,
        "LOGGING disables existing loggers, so tracebacks",
        more={"LOGGING": {"version": 1}},
    ),
    "native-loggers": Case(
        {"LOG_FORMAT": "native"},
        WarningId.LOGGERS_DISABLED,
        f"{WEB}: LOGGING disables existing loggers",
        more={"LOGGING": {"version": 1, "loggers": {"django": {}}}},
    ),
    "project-format": Case(
        {},
        WarningId.LOG_FORMAT,
        "The log of web has the project's format: it has the console handler 'out'",
        more={"LOGGING": CONSOLE},
    ),
    "our-format": Case(
        {"LOG_FORMAT": "json"},
        WarningId.LOG_FORMAT,
        "The log format of web is json, set by LOG_FORMAT: every line",
        more={"LOGGING": CONSOLE},
    ),
    "sqlite": Case({}, WarningId.SQLITE, "DATABASES['default'] is SQLite"),
    "q2-timeout": Case(
        {"BACKEND": Q2},
        WarningId.Q2_RETRY,
        f"{WEB}: Q_CLUSTER has timeout 90 and retry 60.",
        more={"Q_CLUSTER": {"timeout": 90, "retry": 60}},
    ),
    "q2-timeout-as-long": Case(
        {"BACKEND": Q2},
        WarningId.Q2_RETRY,
        f"{WEB}: Q_CLUSTER has timeout 60 and retry 60.",
        more={"Q_CLUSTER": {"timeout": 60, "retry": 60}},
    ),
    "q2-default-retry": Case(
        {"BACKEND": Q2},
        WarningId.Q2_RETRY,
        f"{WEB}: Q_CLUSTER has timeout 60 and retry 60.",
        more={"Q_CLUSTER": {"timeout": 60}},
    ),
    "q2-no-timeout": Case(
        {"BACKEND": Q2}, WarningId.Q2_RETRY, "", more={"Q_CLUSTER": {"retry": 60}}
    ),
    "q2-queue": Case(
        {"BACKEND": Q2},
        WarningId.Q2_QUEUE_LIMIT,
        f"{WEB}: Q_CLUSTER has queue_limit 50 for 2 workers.",
        more={"Q_CLUSTER": {"workers": 2, "queue_limit": 50, "timeout": 9}},
    ),
}


def test_what_only_a_deployment_check_reports_is_known_as_such():
    """The others are those of options, keys and the health middleware."""
    plain = {WarningId.USELESS_KEY, WarningId.UNKNOWN_OPTION, WarningId.WRONG_VALUE}
    health = {WarningId.NO_MIDDLEWARE, WarningId.MIDDLEWARE_NOT_FIRST}
    only = {found for found in WarningId if found.deploy_only}
    assert only == set(WarningId) - plain - health
    assert {case.caution for case in DEPLOY.values()} < only


#: What is as it should be, and another thing than what is warned of.
FINE: dict[str, dict[str, Any]] = {
    "threads": {"TIMEOUT": 120},
    "workers": {"TIMEOUT": 120, "WORKERS": 2, "ARGS": {"worker-class": "sync"}},
    "trusts-one": {"ARGS": {"forwarded-allow-ips": "10.0.0.1"}},
    "public": {"BIND": "0.0.0.0:8000"},
    "waitress-trusts": {"BACKEND": WAITRESS, "ARGS": {"trusted-proxy": "10.0.0.1"}},
    "waitress-keeps": {
        "BACKEND": WAITRESS,
        "ARGS": {"clear-untrusted-proxy-headers": False},
    },
    "asgi": {"BACKEND": UVICORN, "WORKERS": 1},
    "known": {"ARGS": {"w": 2, "accesslog": "-", "umask": "0o22", "reload": False}},
}


@pytest.fixture
def configured(settings, monkeypatch):
    def configure(entry, **more):
        entry = {"BACKEND": GUNICORN, "APP": "proj.celery.app", **entry}
        settings.PRODUCTION_PROCESSES = {"web": entry}
        skip_without_servers(settings.PRODUCTION_PROCESSES)
        for name, value in more.items():
            if name == "DATABASES":  # Django warns of those that replace it
                monkeypatch.setitem(settings.DATABASES, "default", value["default"])
            elif name == "LOGGING":  # "settings" would apply it
                monkeypatch.setattr(django_settings, name, value)
            else:
                setattr(settings, name, value)

    return configure


def said(found, case):
    assert [message.id for message in found] == [case.caution], found
    assert found[0].msg.startswith(case.message), found[0].msg
    assert (found[0].hint or "").startswith(case.hint), found[0].hint


@pytest.mark.parametrize("case", CASES.values(), ids=list(CASES))
def test_a_key_or_an_option_that_is_not_right(case, configured):
    configured(case.entry)
    said(process_checks.check_processes(), case)


@pytest.mark.parametrize("case", DEPLOY.values(), ids=list(DEPLOY))
def test_what_bites_in_production(case, configured):
    configured(case.entry, **case.more)
    found = process_checks.check_deployment()
    if case.caution is not WarningId.SQLITE:  # which the tests run on
        found = [message for message in found if message.id != WarningId.SQLITE]
    said(found, case)
    assert case.caution in (WarningId.LOGGERS_DISABLED,) or found[0].hint


@pytest.mark.parametrize("entry", FINE.values(), ids=list(FINE))
def test_what_is_fine_is_not_warned_of(entry, configured):
    configured(entry, SECURE_PROXY_SSL_HEADER=PROXIED)
    assert process_checks.check_processes() == []
    assert [message.id for message in process_checks.check_deployment()] == [
        WarningId.SQLITE
    ]


#: As much as is needed, and not one more.
JUST_ENOUGH = {
    "pool": ({"THREADS": 4}, {"DATABASES": {"default": POOL}}),
    "pool-max": ({"THREADS": 8}, {"DATABASES": {"default": pool(max_size=8)}}),
    "pool-min": ({"THREADS": 6}, {"DATABASES": {"default": pool(min_size=6)}}),
    "connections-chosen": (
        {"THREADS": 4, "WORKERS": 3},
        {"DATABASES": {"default": PERSISTENT}},
    ),
    "connections-chosen-natively": (
        {"ARGS": {"threads": 4}},
        {"DATABASES": {"default": PERSISTENT}},
    ),
    "connections-asgi": (
        {"BACKEND": UVICORN},
        {"DATABASES": {"default": PERSISTENT}},
    ),
    "connections-closed": (
        {},
        {"DATABASES": {"default": {**PERSISTENT, "CONN_MAX_AGE": 0}}},
    ),
    "connections-pool": (
        {},
        {"DATABASES": {"default": {**POOL, "CONN_MAX_AGE": 60}}},
    ),
    "timeout": ({"TIMEOUT": 60, "ARGS": {"worker-class": "sync"}}, {}),
    "q2": (
        {"BACKEND": Q2},
        {
            "Q_CLUSTER": {
                "timeout": 59,
                "retry": 60,
                "workers": 2,
                "queue_limit": 2,
            }
        },
    ),
}


@pytest.mark.parametrize(("entry", "more"), JUST_ENOUGH.values(), ids=list(JUST_ENOUGH))
def test_what_is_just_enough_is_not_warned_of(entry, more, configured):
    configured(entry, **more)
    found = {message.id for message in process_checks.check_deployment()}
    assert found <= {WarningId.SQLITE}


def test_the_entry_of_tasks_is_no_option_of_rqs_worker(configured):
    backend = "django_prodserver.backends.django_tasks.DjangoTasksWorker"
    configured(
        {"BACKEND": backend, "ARGS": {"backend": "reports"}},
        TASKS={"reports": {"BACKEND": "django_tasks_rq.RQBackend"}},
    )
    assert process_checks.check_processes() == []


@pytest.mark.parametrize(
    ("backend", "reads_it"), [(GUNICORN, True), (UVICORN, True), (GRANIAN, False)]
)
def test_a_servers_own_variable_trusts_anyone(
    backend, reads_it, configured, monkeypatch
):
    monkeypatch.setenv("FORWARDED_ALLOW_IPS", "10.0.0.1,*")
    configured({"BACKEND": backend, "BIND": "0.0.0.0:8000"})
    found = [message.id for message in process_checks.check_deployment()]
    assert (WarningId.TRUSTS_ANYONE in found) is reads_it


class OwnWorker(ManagementBackend):
    """A backend of a project, which has something to say of its deployment."""

    package = "proj.jobs"
    management_command = "step"
    debug_options = ("verbose",)

    def deployment_warnings(self):
        yield from super().deployment_warnings()
        yield Warning(" has one queue.", hint="Add another.", id="jobs.W001")
        yield Info(": nothing else.", id="jobs.I001")


def test_a_backend_of_the_project_adds_its_own_warnings(settings):
    backend = f"{__name__}.OwnWorker"
    entry = {"BACKEND": backend, "ARGS": {"verbose": True}}
    settings.PRODUCTION_PROCESSES = {"web": entry, "other": entry}
    found = process_checks.check_deployment()
    other = "PRODUCTION_PROCESSES['other']"
    assert [
        (type(message), message.msg, message.hint, message.id)
        for message in found
        if message.id != WarningId.SQLITE
    ] == [
        row
        for where in (WEB, other)
        for row in (
            (
                Warning,
                f"{where} has --verbose, which is for development.",
                "Remove it.",
                WarningId.DEVELOPMENT_OPTION,
            ),
            (Warning, f"{where} has one queue.", "Add another.", "jobs.W001"),
            (Info, f"{where}: nothing else.", None, "jobs.I001"),
        )
    ]


def test_a_loopback_address_in_a_container(configured, monkeypatch):
    monkeypatch.setattr(web_warnings, "in_container", lambda: True)
    configured({})
    found = [m for m in process_checks.check_deployment() if m.id != WarningId.SQLITE]
    hint = 'Write "BIND": "0.0.0.0:8000"'
    message = f"{WEB} listens on tcp://127.0.0.1:8000, which nothing outside"
    said(found, Case({}, WarningId.ADDRESS, message, hint))
    monkeypatch.setenv("PRODSERVER_HOST", "0.0.0.0")
    assert [m.id for m in process_checks.check_deployment()] == [WarningId.SQLITE]


def test_a_preload_that_was_given_up_is_reported_with_its_reason(configured):
    configured({})
    reason = "the application has started the thread 'poller'"
    Memory("web", ["gunicorn"]).remember(preloaded=False, reason=reason)
    found = {said.id: said for said in process_checks.check_deployment()}
    said = found[WarningId.NOT_PRELOADED]
    message = f"{WEB} was not preloaded at the last start, because {reason}."
    assert said.msg == message
    assert '"PRELOAD": False' in (said.hint or "")


@pytest.mark.parametrize(
    ("entry", "preloaded"),
    [({}, True), ({"PRELOAD": False}, False), ({"PRELOAD": True}, False)],
)
def test_a_preload_that_is_as_wanted_is_not_reported(entry, preloaded, configured):
    configured(entry)
    Memory("web", ["gunicorn"]).remember(preloaded, "reason")
    found = {said.id for said in process_checks.check_deployment()}
    assert WarningId.NOT_PRELOADED not in found


def test_every_caution_has_a_case():
    cases = [*CASES.values(), *DEPLOY.values()]
    # Those of the middleware are in unit/checks/test_processes.py.
    elsewhere = {
        WarningId.ADDRESS,
        WarningId.NOT_PRELOADED,
        WarningId.NO_MIDDLEWARE,
        WarningId.MIDDLEWARE_NOT_FIRST,
    }
    assert {case.caution for case in cases} == set(WarningId) - elsewhere


def test_the_ids_are_unique():
    assert len(set(WarningId)) == len(WarningId.__members__)


def test_the_checks_are_registered():
    everything: list[Any] = registry.registry.get_checks(include_deployment_checks=True)
    always: list[Any] = registry.registry.get_checks()
    name = process_checks.check_deployment.__name__
    assert name in {check.__name__ for check in everything}
    assert name not in {check.__name__ for check in always}


@pytest.mark.parametrize("table", all_tables(), ids=str)
def test_a_release_that_keeps_its_options_otherwise_causes_no_warning(
    table, monkeypatch
):
    def fail():
        raise AttributeError("no such thing any more")

    backend = next(
        backend for backend in _backends_of_all() if backend.option_file == table
    )
    monkeypatch.setattr(backend.installed_options(), "read_options", fail)
    server_options.read.cache_clear()
    assert list(server_options.warnings(backend)) == []


def _backends_of_all():
    args = {"nosuchoption": 1}
    for path in loader.known_backends():
        config = {"BACKEND": path, "APP": "proj.celery.app", "ARGS": args}
        yield loader.load(Process("web", config))


def test_a_server_that_is_not_installed_is_a_fault_and_no_caution(
    configured, monkeypatch
):
    server_options.read.cache_clear()
    configured({"ARGS": {"nosuch": 1}})
    for name in [name for name in sys.modules if name.partition(".")[0] == "gunicorn"]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "gunicorn", None)
    assert [message.id for message in process_checks.check_processes()] == [
        "prodserver.E008"
    ]
