"""The processes of the settings as plain data, from which every format is written."""

from __future__ import annotations

import contextlib
import os
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from django.conf import settings

from django_prodserver.backends import loader
from django_prodserver.backends.base import BaseWorkerBackend
from django_prodserver.config import bind, processes
from django_prodserver.config.wait_for import DEFAULT_TIMEOUT
from django_prodserver.exceptions import UnknownProcess, UsageError
from django_prodserver.launch.plan import Plan, make_plan
from django_prodserver.text import did_you_mean, redact, safe_repr

#: Seconds that a proxy or a Service has to stop sending requests, unless the
#: process's ENV has DRAIN_DELAY.
DRAIN = 5
#: Seconds between the end of GRACEFUL_TIMEOUT and SIGKILL.
_SPARE = 10
#: Seconds that a start may take, unless START_TIMEOUT is set.
_START = 120
# Names of settings modules that say nothing about the project.
_NO_NAME = ("app", "conf", "config", "core", "project", "settings", "src", "web")
# What this machine's environment says of an address or a number; the files are for
# another one.
_MACHINE = ("PORT", "PRODSERVER_HOST", "WEB_CONCURRENCY", "PROCESS_NAME")
_ENGINES = {"postgresql": "postgresql", "postgis": "postgresql", "mysql": "mysql"}


@dataclass(frozen=True)
class ExportedProcess:
    """
    A process, as far as a platform must know it.

    Attributes:
        name: Its name in ``PRODUCTION_PROCESSES``.
        kind: "web", "worker" or "release".
        port: The port that it listens on; None if it listens on none.
        address: The host and port, or the path of the unix socket, for systemd.
        is_local: Whether only its own machine can reach the address.
        inherits_socket: Whether it serves on a socket that systemd has opened.
        has_probe: Whether ``prodserver-probe`` knows how it is.
        paths: The paths of liveness and readiness; None if it answers neither.
        is_tls: Whether it speaks HTTPS.
        drain: Seconds that it serves on, not ready, before it is stopped.
        grace: ``GRACEFUL_TIMEOUT``.
        start: Seconds until it must be live.
        parallel: How many processes or tasks it runs; None for "auto".
        why_single: Why several replicas would be wrong; "" if they are not.
        takes_singleton: Whether ``SINGLETON`` would allow several.
        is_singleton: Whether several may run, of which one is active.
        environment: The variables of ``ENV``, without those that are secrets, and
            without DRAIN_DELAY.
        secrets: The names of those that are.
    """

    name: str
    kind: str
    port: int | None
    address: str
    is_local: bool
    inherits_socket: bool
    has_probe: bool
    paths: tuple[str, str] | None
    is_tls: bool
    drain: int
    grace: int
    start: int
    parallel: int | None
    why_single: str
    takes_singleton: bool
    is_singleton: bool
    environment: tuple[tuple[str, str], ...]
    secrets: tuple[str, ...]

    @property
    def stop(self) -> int:
        """Seconds from the order to stop to SIGKILL."""
        return self.drain + self.grace + _SPARE

    @property
    def may_scale(self) -> bool:
        return self.kind != "release" and not (self.why_single or self.is_singleton)

    @property
    def single_comment(self) -> str:
        """Why there is one replica only; "" if there may be several."""
        if not self.why_single or self.is_singleton:
            return ""
        allows = " SINGLETON allows several." if self.takes_singleton else ""
        return f"One only: {self.why_single}.{allows}"


@dataclass(frozen=True)
class Project:
    """
    A project, as far as a platform must know it.

    Attributes:
        name: A short name for it, of letters, digits and hyphens.
        settings: The settings module.
        processes: Its processes, in the order of the settings.
        database: "postgresql", "mysql", or "" for none that is a server.
        broker: "redis", "rabbitmq", or "" for none.
    """

    name: str
    settings: str
    processes: tuple[ExportedProcess, ...]
    database: str
    broker: str

    @property
    def releases(self) -> tuple[ExportedProcess, ...]:
        return tuple(each for each in self.processes if each.kind == "release")

    @property
    def services(self) -> tuple[ExportedProcess, ...]:
        """The processes that go on."""
        return tuple(each for each in self.processes if each.kind != "release")


def read(names: Sequence[str] = (), *, in_container: bool) -> Project:
    """
    Read the settings.

    Args:
        names: The processes; all of them if there are none.
        in_container: Whether a default address can be reached from outside.

    Raises:
        ProdserverError: The settings cannot be started, or have no such process.
    """
    known = list(processes.table())
    for name in names:
        if name not in known:
            guess = did_you_mean(name, map(str, known))
            configured = f"Configured: {', '.join(map(str, known))}."
            hint = f"{guess} {configured}".strip()
            raise UnknownProcess(f"No process named {safe_repr(name)}.", hint)
    with _environment(in_container):
        plans = [_plan(name) for name in known if not names or name in names]
        found = tuple(map(_process, plans))
    brokers = [plan.backend.broker_kind() for plan in plans]
    return Project(
        name=_name(),
        settings=os.environ.get("DJANGO_SETTINGS_MODULE", ""),
        processes=found,
        database=_database(),
        broker=next(filter(None, brokers), ""),
    )


@contextlib.contextmanager
def _environment(in_container: bool) -> Iterator[None]:
    """Plan as on another machine: without what this one's environment says."""
    before = {name: os.environ.pop(name, None) for name in _MACHINE}
    if in_container:
        os.environ["PRODSERVER_HOST"] = "0.0.0.0"  # noqa: S104
    try:
        yield
    finally:
        os.environ.pop("PRODSERVER_HOST", None)
        os.environ.update({k: v for k, v in before.items() if v is not None})


def _plan(name: object) -> Plan:
    plan = make_plan(processes.entry(name))
    # A server that is not installed here is installed where the files are used.
    for fault in plan.faults:
        if not fault.fault.depends_on_environment:
            raise fault
    return plan


def _process(plan: Plan) -> ExportedProcess:
    backend = plan.backend
    kind = _kind(plan)
    given = plan.process.environment
    variables = sorted(given.items())
    secrets = [name for name, text in variables if redact(text, name) != text]
    addresses = backend.addresses(plan.args) if kind == "web" else ()
    tcp = next((each for each in addresses if each.startswith("tcp://")), "")
    host, port = bind.split_host_port(tcp.removeprefix("tcp://"))
    address = (tcp or next(iter(addresses), "")).partition("://")[2]
    start = plan.process.start_timeout or _START
    if plan.process.waits:
        start += _number(given.get("PRODSERVER_WAIT_TIMEOUT"), DEFAULT_TIMEOUT)
    takes_singleton = backend.keys.get("SINGLETON") == ""
    return ExportedProcess(
        name=plan.process.name,
        kind=kind,
        port=int(port) if port else None,
        address=address,
        is_local=host == "localhost" or host.startswith("127.") or host == "::1",
        inherits_socket=backend.inherits_socket(),
        has_probe=bool(backend.kind),
        paths=backend.health_paths(),
        is_tls=backend.speaks_tls(plan.args),
        drain=_number(given.get("DRAIN_DELAY"), DRAIN if kind == "web" else 0),
        grace=int(backend.resolve("GRACEFUL_TIMEOUT").value),
        start=int(start),
        parallel=backend.parallelism(plan.args),
        why_single=backend.why_single(plan.args),
        takes_singleton=takes_singleton,
        is_singleton=takes_singleton and bool(plan.process.config.get("SINGLETON")),
        environment=tuple(
            each for each in variables if each[0] not in (*secrets, "DRAIN_DELAY")
        ),
        secrets=tuple(secrets),
    )


def _kind(plan: Plan) -> str:
    if plan.backend.kind:
        return plan.backend.kind
    # A backend of django-prodserver 2 or 3.
    is_worker = issubclass(loader.load_class(plan.process), BaseWorkerBackend)
    return "worker" if is_worker else "web"


def _number(text: str | None, default: float) -> int:
    return (
        int(text) if text and text.isdecimal() and int(text) < 86400 else int(default)
    )


def _name() -> str:
    module = os.environ.get("DJANGO_SETTINGS_MODULE", "").partition(".")[0]
    name = slug(module)
    return "app" if name in _NO_NAME or not name else name


def unique_slugs(project: Project) -> dict[str, str]:
    """
    Return a name for each process that a platform with strict rules takes.

    Raises:
        UsageError: Two processes would have the same.
    """
    found: dict[str, str] = {}
    for process in project.processes:
        name = slug(process.name)
        if name in found:
            message = f"{found[name]!r} and {process.name!r} would both be {name!r}."
            raise UsageError(message, "Rename one of the two processes.")
        found[name] = process.name
    return {name: short for short, name in found.items()}


def slug(text: str) -> str:
    """Return a name of small letters, digits and hyphens, as in the name of a host."""
    return re.sub(r"[^a-z0-9]+", "-", text.lower()).strip("-")[:50].rstrip("-")


def _database() -> str:
    default = getattr(settings, "DATABASES", {}).get("default", {})
    return _ENGINES.get(str(default.get("ENGINE", "")).rpartition(".")[2], "")
