"""``--export compose``: a compose.yaml, for docker-compose 1.29 and newer."""

from __future__ import annotations

from itertools import count
from typing import Any

from django_prodserver.commands.export import yaml
from django_prodserver.commands.export.files import HEADER
from django_prodserver.commands.export.project import (
    ExportedProcess,
    Project,
    slug,
)
from django_prodserver.commands.export.yaml import Comment
from django_prodserver.exceptions import UsageError

DATABASE, BROKER = "database", "broker"
_PORTS = {"postgresql": "5432", "mysql": "3306"}
#: What a container is not allowed, of ours and of the services that can do without.
_HARDENED = {
    "restart": "unless-stopped",
    "read_only": True,
    "tmpfs": ["/tmp"],  # noqa: S108
    "cap_drop": ["ALL"],
    "security_opt": ["no-new-privileges:true"],
}


def files(project: Project) -> dict[str, str]:
    """
    Return the one file.

    Raises:
        UsageError: A process has the name of a service.
    """
    extra = extra_services(project)
    for process in project.processes:
        if process.name in extra:
            message = f"A process is named {process.name!r}, as a service of the file."
            raise UsageError(message, "Give the process another name.")
    services = {each.name: _service(project, each, extra) for each in project.processes}
    content: dict[str, Any] = {"services": {**services, **extra}}
    if extra:
        content["volumes"] = {name: {} for name in extra}
    head = f"{HEADER} compose\n\n{_parameters(project)}"
    return {"compose.yaml": f"{yaml.comment(head)}\n{yaml.dump(content)}"}


def _parameters(project: Project) -> str:
    rows = [
        ("IMAGE, TAG", "the image; it is built from CONTEXT (.) if it is missing"),
        *(
            (name, f"where {process} is on this machine: a port, or a range of them")
            for process, (name, _) in _ports(project).items()
        ),
    ]
    if project.database:
        rows.append(("DATABASE_PASSWORD", "the password of the database; required"))
    if project.broker == "rabbitmq":
        rows.append(("BROKER_PASSWORD", "the password of the broker; required"))
    secrets = sorted({name for each in project.processes for name in each.secrets})
    rows += [(name, "a secret in ENV of the settings") for name in secrets]
    width = max(len(name) for name, _ in rows)
    lines = [f"  {name:{width}}  {meaning}" for name, meaning in rows]
    return f"""Set these in .env, beside this file, or in the environment:

{chr(10).join(lines)}

.env must exist, and the processes get all of it. It is the place for SECRET_KEY and
for whatever else your settings read, such as DATABASE_URL, if they do not read the
variables below. Keep it out of the repository."""


def _ports(project: Project) -> dict[str, tuple[str, int]]:
    """Return the variable and the default of the port on the host, by process."""
    found: dict[str, tuple[str, int]] = {}
    for process in project.processes:
        if process.port:
            prefix = f"{slug(process.name).replace('-', '_').upper()}_" if found else ""
            taken = {port for _, port in found.values()}
            free = next(n for n in count(process.port) if n not in taken)
            found[process.name] = (f"{prefix}PORTS", free)
    return found


def _service(
    project: Project, process: ExportedProcess, extra: dict[str, Any]
) -> dict[Any, Any]:
    is_release = process.kind == "release"
    found: dict[Any, Any] = {
        "image": f"${{IMAGE:-{project.name}}}:${{TAG:-latest}}",
        "build": "${CONTEXT:-.}",
        "command": ["prodserver", process.name],
        "env_file": [".env"],
        "environment": _environment(project, process),
    }
    if process.port:
        variable, default = _ports(project)[process.name]
        found["ports"] = [f"127.0.0.1:${{{variable}:-{default}}}:{process.port}"]
    found |= _HARDENED
    # The image has tini; another init would be in front of it.
    found["init"] = False
    if is_release:
        found["restart"] = "no"
    if process.single_comment:
        found[Comment(process.single_comment)] = None
    found[Comment(_why_stop(process))] = None
    found["stop_grace_period"] = f"{process.stop}s"
    found["healthcheck"] = _health_check(process)
    if needed := _depends_on(project, process, extra):
        found["depends_on"] = needed
    return found


def _why_stop(process: ExportedProcess) -> str:
    drain = f"DRAIN_DELAY ({process.drain}), " if process.drain else ""
    return f"{drain}GRACEFUL_TIMEOUT ({process.grace}) and 10 to spare."


def _environment(project: Project, process: ExportedProcess) -> dict[Any, str]:
    found: dict[Any, str] = {
        # Not of the shell's environment, which may name settings for development.
        "DJANGO_SETTINGS_MODULE": project.settings,
        "PROCESS_NAME": process.name,
    }
    if process.drain:
        found["DRAIN_DELAY"] = str(process.drain)
    if project.database:
        found |= {
            "DATABASE_HOST": DATABASE,
            "DATABASE_PORT": _PORTS[project.database],
            "DATABASE_NAME": _name(project, "DATABASE_NAME"),
            "DATABASE_USER": _name(project, "DATABASE_USER"),
            "DATABASE_PASSWORD": "${DATABASE_PASSWORD:?}",
        }
    if project.broker == "redis":
        found["BROKER_URL"] = f"redis://{BROKER}:6379/0"
    elif project.broker:
        login = f"{project.name}:${{BROKER_PASSWORD:?}}"
        found["BROKER_URL"] = f"amqp://{login}@{BROKER}:5672//"
    for name, text in process.environment:
        found[name] = text.replace("$", "$$")
    for name in process.secrets:
        found[Comment(f"{name} is a secret: write it into .env.")] = ""
    return found


def _name(project: Project, variable: str) -> str:
    return f"${{{variable}:-{project.name}}}"


def _health_check(process: ExportedProcess) -> dict[str, Any]:
    if process.kind == "release" or not process.has_probe:
        return {"disable": True}
    return {
        "test": ["CMD", "prodserver-probe", process.name],
        "interval": "10s",
        "timeout": "5s",
        "start_period": f"{process.start}s",
        "retries": 3,
    }


def _depends_on(
    project: Project, process: ExportedProcess, extra: dict[str, Any]
) -> dict[str, Any]:
    needed = {name: {"condition": "service_healthy"} for name in extra}
    if process.kind != "release":
        for release in project.releases:
            needed[release.name] = {"condition": "service_completed_successfully"}
    return needed


def extra_services(project: Project) -> dict[str, Any]:
    """Return the database and the broker of a project."""
    found = {}
    if project.database:
        found[DATABASE] = _DATABASES[project.database](project)
    if project.broker:
        found[BROKER] = _BROKERS[project.broker](project)
    return found


def _postgresql(project: Project) -> dict[Any, Any]:
    user = _name(project, "DATABASE_USER")
    return {
        "image": "${DATABASE_IMAGE:-postgres:17}",
        "user": "postgres",
        "environment": {
            "POSTGRES_DB": _name(project, "DATABASE_NAME"),
            "POSTGRES_USER": user,
            "POSTGRES_PASSWORD": "${DATABASE_PASSWORD:?}",
        },
        **_HARDENED,
        "tmpfs": ["/tmp", "/run/postgresql"],  # noqa: S108
        "volumes": [f"{DATABASE}:/var/lib/postgresql/data"],
        Comment("By TCP: while it is set up, it listens on its socket alone."): None,
        **_asked("pg_isready", "--quiet", "--host=127.0.0.1", f"--username={user}"),
        "stop_grace_period": "1m",
    }


def _mysql(project: Project) -> dict[Any, Any]:
    return {
        "image": "${DATABASE_IMAGE:-mysql:8.4}",
        "environment": {
            "MYSQL_DATABASE": _name(project, "DATABASE_NAME"),
            "MYSQL_USER": _name(project, "DATABASE_USER"),
            "MYSQL_PASSWORD": "${DATABASE_PASSWORD:?}",
            "MYSQL_RANDOM_ROOT_PASSWORD": "1",
        },
        "restart": "unless-stopped",
        "volumes": [f"{DATABASE}:/var/lib/mysql"],
        **_asked("mysqladmin", "ping", "--host=127.0.0.1", "--silent"),
        "stop_grace_period": "1m",
    }


def _redis(project: Project) -> dict[Any, Any]:
    return {
        "image": "${BROKER_IMAGE:-redis:8}",
        "user": "redis",
        Comment("On disk: tasks that wait survive a restart."): None,
        "command": ["--appendonly", "yes"],
        **_HARDENED,
        "volumes": [f"{BROKER}:/data"],
        **_asked("redis-cli", "ping"),
    }


def _rabbitmq(project: Project) -> dict[Any, Any]:
    return {
        "image": "${BROKER_IMAGE:-rabbitmq:4}",
        Comment("Its data belongs to the name of the host."): None,
        "hostname": BROKER,
        "environment": {
            "RABBITMQ_DEFAULT_USER": project.name,
            "RABBITMQ_DEFAULT_PASS": "${BROKER_PASSWORD:?}",
        },
        "restart": "unless-stopped",
        "volumes": [f"{BROKER}:/var/lib/rabbitmq"],
        **_asked("rabbitmq-diagnostics", "--quiet", "ping"),
        "stop_grace_period": "1m",
    }


_DATABASES = {"postgresql": _postgresql, "mysql": _mysql}
_BROKERS = {"redis": _redis, "rabbitmq": _rabbitmq}


def _asked(*command: str) -> dict[str, Any]:
    """Return a health check that is asked often while the others wait for it."""
    test = ["CMD", *command]
    timing = {"interval": "2s", "timeout": "3s", "retries": 30}
    return {"healthcheck": {"test": test, **timing}}
