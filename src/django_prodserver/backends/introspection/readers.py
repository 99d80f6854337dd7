"""What the installed servers say of their own options: one reader a server."""

from __future__ import annotations

from collections.abc import Callable

from django_prodserver.backends.introspection.parsers import (
    Kind,
    also_named,
    from_click,
    from_command,
    option_of,
)
from django_prodserver.config.argv import Option

#: The packages of the servers that are not called like them.
PACKAGES = {
    "celery_worker": "celery",
    "celery_beat": "celery",
    "celery_flower": "flower",
    "db_worker": "django-tasks-db",
    "qcluster": "django-q2",
    "rqworker": "django-rq",
}

# django-prodserver 2.x and 3.x called granian from Python, so their users have
# the names of its constructor's arguments in ARGS and not those of its options.
_GRANIAN_ARGUMENTS = {
    "access-log": ("log-access",),
    "blocking-threads": ("threads",),
    "host": ("address",),
    "ssl-certificate": ("ssl-cert",),
    "ssl-keyfile": ("ssl-key",),
    "ws": ("websockets",),
}


def gunicorn() -> list[Option]:
    from gunicorn.config import KNOWN_SETTINGS

    options = []
    for setting in KNOWN_SETTINGS:
        if not setting.cli:  # the hooks and others that only a file can set
            continue
        if setting.action == "store_const":
            options.append(option_of("flag", (), setting.cli[0], [setting.name]))
            continue
        kind: Kind = "value"
        if setting.action == "store_true":
            kind = "flag"
        elif setting.action == "append":
            kind = "list"
        elif setting.nargs == "?":
            # --proxy-protocol takes "true" and "false" beside "v1"; on its own
            # it would swallow the application that follows.
            kind = "bool"
        options.append(option_of(kind, setting.cli, names=[setting.name]))
    return sorted(options)


def uvicorn() -> list[Option]:
    from uvicorn.main import main

    return from_click(main)


def granian() -> list[Option]:
    from granian.cli import cli

    return [
        also_named(option, _GRANIAN_ARGUMENTS.get(option.name, ()))
        for option in from_click(cli)
    ]


def waitress() -> list[Option]:
    from waitress.adjustments import Adjustments, asbool

    # The second is ours: prodserver-waitress takes it.
    options = [option_of("flag", ["--call"])]
    options.append(option_of("value", ["--graceful-timeout"]))
    for name, cast in Adjustments._params:
        flag = f"--{name.replace('_', '-')}"
        if cast is asbool:
            options.append(option_of("flag", [flag], f"--no-{flag[2:]}"))
        elif name != "sockets":  # takes objects, from Python only
            options.append(option_of("list" if name == "listen" else "value", [flag]))
    return sorted(options)


def celery_worker() -> list[Option]:
    from celery.bin.worker import worker

    return from_click(worker)


def celery_beat() -> list[Option]:
    from celery.bin.beat import beat

    return from_click(beat)


def celery_flower() -> list[Option]:
    from flower.options import default_options

    # A repeated option replaces the one before: its several values are one,
    # with commas. A function can only be set in flower's file.
    return sorted(
        option_of("bool" if known.type is bool else "value", [f"--{name}"])
        for name, known in default_options._options.items()
        if name != "help" and known.type in (bool, float, int, str)
    )


def db_worker() -> list[Option]:
    return from_command("django_tasks_db", "db_worker")


def qcluster() -> list[Option]:
    return from_command("django_q", "qcluster")


def rqworker() -> list[Option]:
    return from_command("django_rq", "rqworker")


READERS: dict[str, Callable[[], list[Option]]] = {
    "gunicorn": gunicorn,
    "uvicorn": uvicorn,
    "granian": granian,
    "waitress": waitress,
    "celery_worker": celery_worker,
    "celery_beat": celery_beat,
    "celery_flower": celery_flower,
    "db_worker": db_worker,
    "qcluster": qcluster,
    "rqworker": rqworker,
}
