"""``--export kamal``: config/deploy.yml of Kamal 2, and its hook for the release."""

from __future__ import annotations

from typing import Any

from django_prodserver.commands.export import yaml
from django_prodserver.commands.export.files import HEADER
from django_prodserver.commands.export.project import (
    ExportedProcess,
    Project,
    unique_slugs,
)
from django_prodserver.commands.export.yaml import Comment

#: An address for documentation, which no machine has.
_NO_HOST = "192.0.2.1"


def files(project: Project) -> dict[str, str]:
    """Return the configuration, and a hook if there is a release."""
    content = _configuration(project)
    head = f"{HEADER} kamal\n\n{_parameters(project)}"
    found = {"config/deploy.yml": f"{yaml.comment(head)}\n{yaml.dump(content)}"}
    if project.releases:
        found[".kamal/hooks/pre-deploy"] = _hook(project)
    return found


def _parameters(project: Project) -> str:
    hosts = ", ".join(_variable(project, each) for each in project.services)
    return f"""Set these in the environment of kamal:

  IMAGE, REGISTRY, REGISTRY_USERNAME  the image, without a tag, and where it is
  HOST                                the name of the site, for the proxy
  {hosts}
                                      the server of each process

The secrets below are in .kamal/secrets, with REGISTRY_PASSWORD. Add SECRET_KEY and
whatever else your settings read to "env"."""


def _configuration(project: Project) -> dict[Any, Any]:
    found: dict[Any, Any] = {
        "service": project.name,
        "image": _value("IMAGE", project.name),
        "registry": {
            "server": _value("REGISTRY", "registry.example.com"),
            "username": _value("REGISTRY_USERNAME", project.name),
            "password": ["REGISTRY_PASSWORD"],
        },
        "builder": {"arch": "amd64"},
        "servers": _servers(project),
    }
    if web := _first_web(project):
        path = web.paths[1] if web.paths else "/"
        found["proxy"] = {
            "ssl": True,
            "host": _value("HOST", f"{project.name}.example.com"),
            "app_port": web.port,
            "healthcheck": {"path": path, "interval": 3, "timeout": 5},
        }
    services = project.services
    found[Comment("Until a new container must be ready.")] = None
    found["deploy_timeout"] = max((each.start for each in services), default=30)
    found[Comment("GRACEFUL_TIMEOUT and 10 to spare; of the slowest process.")] = None
    found["drain_timeout"] = max((each.stop for each in services), default=30)
    found["env"] = _environment(project)
    return found


def _servers(project: Project) -> dict[str, Any]:
    slugs = unique_slugs(project)
    web = _first_web(project)
    found = {}
    for process in project.services:
        entry: dict[Any, Any] = {}
        if process.single_comment:
            entry[Comment(process.single_comment)] = None
        entry |= {
            "hosts": [_value(_variable(project, process), _NO_HOST)],
            "cmd": f"prodserver {process.name}",
            "proxy": process == web,
            "env": {
                "clear": {
                    "PROCESS_NAME": process.name,
                    **{name: _escaped(text) for name, text in process.environment},
                }
            },
            "options": {
                "read-only": True,
                "tmpfs": "/tmp",  # noqa: S108
                "cap-drop": "ALL",
                "security-opt": "no-new-privileges",
                "stop-timeout": process.stop,
                **_health_check(process),
            },
        }
        found[slugs[process.name]] = entry
    return found


def _health_check(process: ExportedProcess) -> dict[str, str]:
    if not process.has_probe:
        return {}
    return {
        "health-cmd": f"prodserver-probe {process.name}",
        "health-interval": "10s",
        "health-timeout": "5s",
        "health-start-period": f"{process.start}s",
    }


def _environment(project: Project) -> dict[Any, Any]:
    secrets = {name for each in project.processes for name in each.secrets}
    clear = {"DJANGO_SETTINGS_MODULE": project.settings}
    if project.database:
        secrets.add("DATABASE_PASSWORD")
        clear |= {
            name: _value(name, default)
            for name, default in (
                ("DATABASE_HOST", _NO_HOST),
                ("DATABASE_NAME", project.name),
                ("DATABASE_USER", project.name),
            )
        }
    if project.broker:
        secrets.add("BROKER_URL")
    found: dict[Any, Any] = {"clear": clear}
    if secrets:
        found["secret"] = sorted(secrets)
    return found


def _first_web(project: Project) -> ExportedProcess | None:
    """Return the process that the proxy sends requests to; never a monitor."""
    sites = (each for each in project.services if each.port and each.may_scale)
    return next(sites, None)


def _variable(project: Project, process: ExportedProcess) -> str:
    slug = unique_slugs(project)[process.name]
    return f"{slug.replace('-', '_').upper()}_HOST"


def _value(name: str, default: str) -> str:
    return f"<%= ENV.fetch('{name}', '{default}') %>"


def _escaped(text: str) -> str:
    return text.replace("<%", "<%%")


def _hook(project: Project) -> str:
    run = 'kamal app exec --primary --version "$KAMAL_VERSION"'
    commands = [f"{run} 'prodserver {each.name}'\n" for each in project.releases]
    return (
        f"#!/bin/sh\n# {HEADER} kamal\n"
        "# Once for each version, before its processes start.\n"
        f"set -eu\n\n{''.join(commands)}"
    )
