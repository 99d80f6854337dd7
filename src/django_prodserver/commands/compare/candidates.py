"""The backends to compare, with settings that are as equal as they can be."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from django_prodserver.backends import loader
from django_prodserver.backends.base import Backend
from django_prodserver.backends.web import WebBackend
from django_prodserver.config import bind, keys, processes
from django_prodserver.config.argv import render
from django_prodserver.config.keys import Unsupported
from django_prodserver.config.processes import Changes, Process
from django_prodserver.exceptions import ProdserverError, UsageError
from django_prodserver.launch.plan import Plan, make_plan
from django_prodserver.text import did_you_mean

#: Keys that no compared server has: the address is ours, and so there is no TLS.
_REPLACED = ("BIND", "CERTFILE", "KEYFILE")


class LeftOut(NamedTuple):
    """A backend that is not compared: its class, why, and what to do about it."""

    name: str
    why: str
    hint: str = ""


@dataclass(frozen=True)
class Candidate:
    """
    A backend to compare.

    Attributes:
        name: The name of its class; "(now)" behind it for the configured one.
        path: ``BACKEND``.
        is_current: Whether it is what the settings have now.
        changes: What differs from the settings.
        workers: ``WORKERS``; 1 where the server has only one process.
        threads: ``THREADS``; None where the server has none.
        interface: "wsgi" or "asgi".
        graceful_timeout: Seconds that its stop may take.
    """

    name: str
    path: str
    is_current: bool
    changes: Changes = field(repr=False)
    workers: int = 1
    threads: int | None = None
    interface: str = ""
    graceful_timeout: float = 25

    def address_words(self, process: Process, port: int) -> list[str]:
        """Return the options that make it listen on a port of 127.0.0.1."""
        backend = loader.load(self.changes.apply(process))
        options = backend.bind_options(list(bind.each(f"127.0.0.1:{port}")))  # type: ignore[attr-defined]
        return render(options, backend.option_table)

    def plan(self, process: Process, port: int) -> Plan:
        """
        Return the plan of its start on that port.

        Raises:
            ProdserverError: It cannot be started.
        """
        words = self.address_words(process, port)
        plan = make_plan(self.changes.apply(process), words)
        plan.check()
        if plan.backend.addresses(plan.args) != (f"tcp://127.0.0.1:{port}",):
            message = f"{self.name} does not listen on the address it was given."
            raise UsageError(message, "Is it started by systemd, with a socket?")
        return plan


def find(
    process: Process, only: Sequence[str] = ()
) -> tuple[list[Candidate], list[LeftOut]]:
    """
    Return the backends to compare, the configured one first, and those left out.

    Args:
        process: The process, as the settings have it.
        only: The names on the command line; all if empty.

    Raises:
        UsageError: ``only`` has a name that no web backend has.
    """
    paths = [path for path in loader.known_backends() if _is_web(path)]
    if only:
        paths = _selected(paths, only)
    current = process.config["BACKEND"]
    if not only and current not in paths:
        paths.append(current)
    plan = make_plan(process)
    found: list[Candidate] = []
    left_out: list[LeftOut] = []
    commands: list[list[str]] = []
    # As it is configured, with its ARGS; then each alone with the portable settings.
    given = [_candidate(process, plan, current, as_configured=True)]
    if only and current not in paths:
        given = []
    for path in sorted(paths, key=lambda path: path != current):
        if path != current or process.config.get("ARGS") or not given:
            given.append(_candidate(process, plan, path))
    for candidate in given:
        try:
            # The port only has to be the same for all.
            command = sorted(candidate.plan(process, 1).command)
        except ProdserverError as error:
            message = error.message.removeprefix(process.where).lstrip(": ")
            left_out.append(LeftOut(candidate.name, message, error.hint))
            continue
        if command not in commands:
            commands.append(command)
            found.append(candidate)
    return found, list(dict.fromkeys(left_out))


def _candidate(
    process: Process, plan: Plan, path: str, as_configured: bool = False
) -> Candidate:
    """Return a backend, with what of the process's settings it understands."""
    name = path.rpartition(".")[2]
    if as_configured:
        changes = Changes({}, _REPLACED)
        backend = plan.backend
        args = list(plan.args)
        name = f"{name} (now)"
    else:
        backend_class: Any = loader.load_class(Process(process.name, {"BACKEND": path}))
        known = (*processes.KEYS, *backend_class.own_keys, *_supported(backend_class))
        without = {key for key in process.config if key not in known}
        given = {
            key: value
            for key, value in _concurrency(plan.backend, plan.args).items()
            if key in _supported(backend_class)
        }
        if path == process.config["BACKEND"] and process.config.get("ARGS"):
            name = f"{name}, without ARGS"
        changes = Changes(
            {"BACKEND": path, **given}, tuple(sorted({*_REPLACED, "ARGS", *without}))
        )
        backend = loader.load(changes.apply(process))
        args = backend.prep_server_args()
    numbers = _concurrency(backend, args)
    return Candidate(
        name=name,
        path=path,
        is_current=as_configured,
        changes=changes,
        workers=numbers["WORKERS"] if "WORKERS" in _supported(backend) else 1,
        threads=numbers["THREADS"] if "THREADS" in _supported(backend) else None,
        interface=getattr(backend, "interface_for", lambda args: "")(args),
        graceful_timeout=float(backend.resolve("GRACEFUL_TIMEOUT").value or 25),
    )


def _concurrency(backend: Backend, args: Sequence[str]) -> dict[str, int]:
    """Return WORKERS and THREADS, as the options of a command have them."""
    command = backend.as_command()
    workers = ""
    if command and isinstance(translation := command.keys.get("WORKERS"), str):
        workers = command.option(translation, args)
    threads = command.request_concurrency(args) if command else None
    return {
        "WORKERS": int(workers) if workers.isdecimal() else _resolved("WORKERS") or 1,
        "THREADS": threads or backend.resolve("THREADS").value or _resolved("THREADS"),
    }


def _resolved(key: str) -> Any:
    return keys.resolve(key, {}).value


def _supported(backend: type[Backend] | Backend) -> list[str]:
    return [
        key
        for key, translation in backend.keys.items()
        if not isinstance(translation, Unsupported)
    ]


def _is_web(path: str) -> bool:
    backend_class = loader.load_class(Process("", {"BACKEND": path}))
    return issubclass(backend_class, WebBackend)


def _selected(paths: Sequence[str], names: Sequence[str]) -> list[str]:
    """Return the backends whose package or class has one of these names."""
    selected: list[str] = []
    for name in names:
        found = [
            path
            for path in paths
            if name.lower() in [path.lower(), *path.lower().split(".")[-2:]]
        ]
        if not found:
            packages = list(dict.fromkeys(path.split(".")[-2] for path in paths))
            message = f"--servers has {name!r}, which is not a web backend."
            hint = f"{did_you_mean(name, packages)} There are: {', '.join(packages)}."
            raise UsageError(message, hint.strip())
        selected += found
    return list(dict.fromkeys(selected))
