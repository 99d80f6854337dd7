"""The defaults of django-prodserver that are not the server's own."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import django_prodserver
from django_prodserver.backends.base import CommandBackend
from django_prodserver.backends.web import WebBackend
from django_prodserver.config.keys import AUTO, DEFAULT, KEYS
from django_prodserver.launch import origins
from django_prodserver.launch.origins import Row
from docs._ext import facts, server_options
from docs._ext.tables import Table, code

#: What the native command does about a key that becomes no option; of all servers
#: and workers, or of one by its title.
WITHOUT_OPTION = {
    "ACCESS_LOG": "none",
    "ACCESS_LOG of Uvicorn": "its own format",
    "LOG_FORMAT": "its own format",
    "LOG_LEVEL": "`info`",
    "CONCURRENCY": "the CPUs of the host",
    "GRACEFUL_TIMEOUT": "no limit",
    "THREADS of Uvicorn": "`10`, of a2wsgi",
    "THREADS of Hypercorn": "the CPUs and 4, at most 32",
}
#: What an option does that has no default: the servers' parsers do not say it.
WITHOUT_DEFAULT = {
    "--blocking-threads": "half of `--backpressure`, up to 512",
    "--log-config": "its own format",
    "--log-level": "`info`",
    "--timeout-graceful-shutdown": "no limit",
    "--graceful-timeout": "requests are cut",
    "--worker-tmp-dir": "the directory for temporary files",
    "--workers-kill-timeout": "no limit",
}


class Default(NamedTuple):
    """
    A default.

    Args:
        name: The option, or the key where it becomes no option.
        here: Its value with django-prodserver.
        native: What the native command does without it.
        why: The reason.
    """

    name: str
    here: str
    native: str
    why: str


def differences() -> Table:
    """Return every default that is not the server's own, for each server and worker."""
    by_title: dict[str, list[CommandBackend]] = {}
    for found in facts.known().values():
        if isinstance(found, CommandBackend):
            by_title.setdefault(found.title, []).append(found)
    rows = []
    for title, backends in by_title.items():
        users: dict[Default, list[CommandBackend]] = {}
        for backend in backends:
            for default in of_backend(backend):
                users.setdefault(default, []).append(backend)
        for default, using in users.items():
            name = title
            if len(using) < len(backends):
                name = f"{title} ({', '.join(map(_interface, using))})"
            rows.append((name, code(default.name), *default[1:]))
    head = (
        *("Server or worker", "Option or key"),
        *("With django-prodserver", "Native command", "Why"),
    )
    return Table(head, rows)


def of_backend(backend: CommandBackend) -> Iterator[Default]:
    """Yield the defaults of a backend that are not the server's own."""
    rows = origins.find_rows([], backend.args, backend.layers, backend)
    if "LOG_FORMAT" in backend.keys:  # --explain has the project's instead, if any
        value, why, origin = backend.resolve("LOG_FORMAT")
        rows.append(Row("LOG_FORMAT", value, origin, why))
    for row in rows:
        if row.origin != DEFAULT:
            continue
        native = _native(backend, row)
        if native.lower() != (here := _here(backend, row)):
            yield Default(row.option, here, native, _why(row))


def _here(backend: CommandBackend, row: Row) -> str:
    known = KEYS.get(row.option)
    if known and known.default == AUTO:
        return code(AUTO)
    if not row.value:
        name = row.option.lstrip("-")
        return "on" if backend.option_table.find(name)[0].name == name else "off"
    # Where it is installed is this machine's affair.
    package = str(Path(django_prodserver.__path__[0]))
    return code(row.value.replace(package, "..."))


def _native(backend: CommandBackend, row: Row) -> str:
    if row.option in KEYS:
        one = f"{row.option} of {backend.title}"
        return WITHOUT_OPTION.get(one) or WITHOUT_OPTION[row.option]
    option, _ = backend.option_table.find(row.option.lstrip("-"))
    table = str(backend.option_file)
    found = server_options.native_default(table, option.name)
    return found or WITHOUT_DEFAULT[row.option]


def _why(row: Row) -> str:
    # What "auto" becomes is this machine's affair.
    known = KEYS.get(row.option)
    return known.why if known else row.why


def _interface(backend: CommandBackend) -> str:
    if isinstance(backend, WebBackend):
        return backend.interface.upper()
    return type(backend).__name__
