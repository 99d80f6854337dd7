"""What starts, and bites later: ``manage.py check --deploy``."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from django.conf import settings

from django_prodserver.backends.base import CommandBackend
from django_prodserver.backends.django_q2.backend import DjangoQ2Worker
from django_prodserver.backends.waitress.backend import WaitressServer
from django_prodserver.backends.web import WebBackend
from django_prodserver.checks.ids import Finding, WarningId
from django_prodserver.config.argv import value_of, values_of

_LOOPBACK = ("tcp://127.", "tcp://localhost:", "tcp://[::1]:")
_ANYONE = {"*", "0.0.0.0/0", "::/0"}
_DEVELOPMENT = ("reload", "spew", "check-config", "expose-tracebacks")
#: Seconds; Kubernetes and load balancers give up on a request far sooner.
_LONG = 60
# psycopg_pool's own, where the pool is only turned on.
_POOL = 4


def of_project() -> Iterator[Finding]:
    """Yield what concerns every process."""
    if settings.DEBUG:
        message = "DEBUG is on: errors show the settings, and memory grows."
        yield Finding(WarningId.DEBUG, message, "Set DEBUG = False.")
    elif not settings.ALLOWED_HOSTS:
        message = "ALLOWED_HOSTS is empty: every request is answered with 400."
        hint = 'Write the names of the site: ALLOWED_HOSTS = ["example.com"].'
        yield Finding(WarningId.ALLOWED_HOSTS, message, hint)
    logging = settings.LOGGING if settings.LOGGING_CONFIG else {}
    disables = logging and logging.get("disable_existing_loggers", True)
    if disables and not logging.get("incremental"):
        message = "LOGGING disables existing loggers: the servers log no more."
        hint = 'Write "disable_existing_loggers": False in LOGGING.'
        yield Finding(WarningId.LOGGERS_DISABLED, message, hint)
    for alias, database in settings.DATABASES.items():
        if str(database.get("ENGINE")).endswith(".sqlite3"):
            message = (
                f"DATABASES[{alias!r}] is SQLite, a file that replicas cannot share."
            )
            hint = "Run one replica, or use a database server."
            yield Finding(WarningId.SQLITE, message, hint)


def of_process(backend: CommandBackend) -> Iterator[Finding]:
    """Yield what concerns one process."""
    yield from _development(backend)
    yield from _pools(backend)
    if isinstance(backend, WebBackend):
        yield from _address(backend)
        yield from _one_at_a_time(backend)
        yield from _proxies(backend)
    if isinstance(backend, DjangoQ2Worker):
        yield from _q2(getattr(settings, "Q_CLUSTER", {}), backend)


def in_container(root: Path = Path("/")) -> bool:
    files = (root / ".dockerenv", root / "run/.containerenv")
    return "KUBERNETES_SERVICE_HOST" in os.environ or any(f.exists() for f in files)


def _address(backend: WebBackend) -> Iterator[Finding]:
    found = backend.addresses(backend.args)
    lonely = found and all(address.startswith(_LOOPBACK) for address in found)
    if lonely and in_container():
        message = f" listens on {found[0]}, which nothing outside can reach."
        hint = 'Write "BIND": "0.0.0.0:8000", or set PRODSERVER_HOST to 0.0.0.0.'
        yield Finding(WarningId.ADDRESS, message, hint)


def _development(backend: CommandBackend) -> Iterator[Finding]:
    for name in _DEVELOPMENT:
        if value_of(name, backend.args, backend.option_table) is not None:
            message = f" has --{name}, which is for development."
            yield Finding(WarningId.DEVELOPMENT_OPTION, message, "Leave it out.")
    words = " ".join(backend.config.get("PREFIX", ()))
    for debugger in ("debugpy", "pdb", "pydevd"):
        if debugger in words:
            message = f" has the PREFIX {words!r}, a debugger."
            yield Finding(WarningId.DEVELOPMENT_OPTION, message, "Leave it out.")
            return


def _one_at_a_time(backend: WebBackend) -> Iterator[Finding]:
    workers = backend.option("workers", backend.args) or "1"
    if backend.request_concurrency(backend.args) != 1 or workers != "1":
        return
    timeout = backend.option("timeout", backend.args)
    if not backend.option_table.knows("timeout") or (
        timeout.isdecimal() and not 0 < int(timeout) <= _LONG
    ):
        message = " answers one request at a time, and one may take long."
        yield Finding(
            WarningId.ONE_AT_A_TIME, message, 'Write "THREADS": 4 or "WORKERS": 2.'
        )


def _pools(backend: CommandBackend) -> Iterator[Finding]:
    threads = backend.request_concurrency(backend.args)
    databases: Mapping[str, Any] = settings.DATABASES
    for alias, database in databases.items():
        pool = database.get("OPTIONS", {}).get("pool")
        if not pool or threads is None:
            continue
        given: Mapping[str, Any] = pool if isinstance(pool, Mapping) else {}
        size = given.get("max_size") or given.get("min_size", _POOL)
        if threads > size:
            message = (
                f" has {threads} threads a process, and DATABASES[{alias!r}] a pool "
                f"of {size} connections: the rest wait."
            )
            hint = f'Write OPTIONS = {{"pool": {{"max_size": {threads}}}}}.'
            yield Finding(WarningId.POOL_TOO_SMALL, message, hint)


def _proxies(backend: WebBackend) -> Iterator[Finding]:
    args, option_table = backend.args, backend.option_table
    trusted = set(backend.config.get("TRUSTED_PROXIES", ()))
    for name in ("forwarded-allow-ips", "trusted-proxy"):
        if option_table.knows(name):
            trusted.update(backend.option(name, args).replace(",", " ").split())
    if option_table.knows("forwarded-allow-ips"):
        trusted.update(os.environ.get("FORWARDED_ALLOW_IPS", "").split(","))
    if anyone := sorted(trusted & _ANYONE):
        message = f" believes X-Forwarded-* headers of anyone ({anyone[0]})."
        hint = (
            "Name the proxies, such as 10.0.0.0/8; keep it if none else can reach it."
        )
        yield Finding(WarningId.TRUSTS_ANYONE, message, hint)
    if isinstance(backend, WaitressServer) and settings.SECURE_PROXY_SSL_HEADER:
        kept = values_of("clear-untrusted-proxy-headers", args, option_table) == [None]
        if not trusted and not kept:
            message = (
                ": waitress deletes the header of SECURE_PROXY_SSL_HEADER, so no "
                "request is secure, and SECURE_SSL_REDIRECT never ends."
            )
            hint = 'Write "TRUSTED_PROXIES": ["10.0.0.0/8"], with those of your proxy.'
            yield Finding(WarningId.HEADER_DELETED, message, hint)


def _q2(cluster: Mapping[str, Any], backend: DjangoQ2Worker) -> Iterator[Finding]:
    timeout, retry = cluster.get("timeout"), cluster.get("retry", 60)
    if not timeout or timeout >= retry:
        message = f": Q_CLUSTER has the timeout {timeout} and retry {retry}."
        hint = "A task that runs as retry passes is run twice: write timeout < retry."
        yield Finding(WarningId.Q2_RETRY, message, hint)
    workers = backend.workers()
    limit = cluster.get("queue_limit", workers)
    if limit > workers:
        message = f": Q_CLUSTER has the queue_limit {limit}, for {workers} workers."
        hint = "A stop first does all that is queued: leave queue_limit out."
        yield Finding(WarningId.Q2_QUEUE_LIMIT, message, hint)
