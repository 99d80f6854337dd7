"""The files around a project: Dockerfile, compose.yaml, .env and what ignores it."""

from __future__ import annotations

import secrets
import string
from collections.abc import Mapping
from pathlib import Path

from django_prodserver.commands.export import yaml
from django_prodserver.commands.export.compose import extra_services
from django_prodserver.commands.export.project import Project
from django_prodserver.commands.init import changes as changes_module
from django_prodserver.commands.init.changes import Changes
from django_prodserver.commands.init.project import Inspection, Layout, sample
from django_prodserver.commands.init.proposal import Proposal
from django_prodserver.commands.init.requirements import Requirements

_TEMPLATES = Path(__file__).with_name("templates")
_WRITTEN = "Written by prodserver --init"
_COMPOSE = ("compose.yaml", "compose.yml", "docker-compose.yaml", "docker-compose.yml")


class _Template(string.Template):
    """A template whose placeholders do not look like variables of a shell."""

    delimiter = "@"
    idpattern = "(?!)"
    braceidpattern = "[a-z_]+"


def template(file: str, **values: str) -> str:
    """Return a file of the templates, with its placeholders replaced."""
    text = (_TEMPLATES / file).read_text("utf-8")
    return _Template(text).substitute(values) if values else text


def dockerfile_name(changes: Changes) -> tuple[str, bool]:
    """Return the name of our Dockerfile, and whether it is there already."""
    return _name(changes, ("Dockerfile",), "Dockerfile.prodserver", "prodserver-base")


def compose_name(changes: Changes) -> tuple[str, bool]:
    """Return the name of our compose file, and whether it is there already."""
    return _name(changes, _COMPOSE, "compose.prodserver.yaml", _WRITTEN)


def _name(
    changes: Changes, names: tuple[str, ...], other: str, mark: str
) -> tuple[str, bool]:
    """
    Return the first name if no file has one of them, else another one.

    A file that a person has written is left alone.
    """
    for name in (*names, other):
        if mark in (changes.read(changes.root / name) or ""):
            return name, True
    taken = any(changes.read(changes.root / name) is not None for name in names)
    return (other if taken else names[0]), False


def plan(
    changes: Changes,
    layout: Layout,
    inspected: Inspection,
    made: Proposal,
    where: Requirements,
    name: str,
) -> None:
    """Plan all files that are not settings or requirements."""
    docker, has_docker = dockerfile_name(changes)
    compose, has_compose = compose_name(changes)
    root = changes.root
    if not has_docker:
        text = _dockerfile(changes, layout, inspected, made, where)
        changes.set(root / docker, text)
    ignored = template("dockerignore.txt").splitlines()
    if changes.read(root / ".dockerignore") is None or not has_docker:
        changes.add_lines(root / ".dockerignore", ignored)
    if not has_compose:
        changes.set(root / compose, _compose(made, name, docker))
    _environment_file(changes, made)
    if changes_module.is_repository(root):
        lines = [".env", *_built(layout, made)]
        changes.add_lines(root / ".gitignore", lines)


def _built(layout: Layout, made: Proposal) -> list[str]:
    """Return what collectstatic writes, for .gitignore."""
    if made.is_static_served or made.static_root != "staticfiles":
        return []
    return ["staticfiles/"]


def _environment_file(changes: Changes, made: Proposal) -> None:
    path = changes.root / ".env"
    text = changes.read(path) or ""
    has = {line.partition("=")[0].strip() for line in text.splitlines()}
    has = {name.removeprefix("export ").strip() for name in has}
    generated = {name: secrets.token_urlsafe(50) for name in made.secrets}
    lines = [
        f"{name}={value}"
        for name, value in {**generated, **made.private}.items()
        if name not in has
    ]
    if lines and not text:
        lines.insert(0, f"# {_WRITTEN}, for compose. Never commit it.")
    changes.add_lines(path, lines, secret=True)


def build_environment(inspected: Inspection, made: Proposal) -> dict[str, str]:
    """Return the variables with which the settings can be loaded in the build."""
    names = dict.fromkeys([made.secrets[0], *inspected.required])
    values = {name: sample(name) for name in names}
    values = {
        name: "build" if value.startswith("sample-") else value
        for name, value in values.items()
    }
    for name, value in made.environment.items():
        if "DEBUG" in name:
            values[name] = value.strip('"')
    return values


def _dockerfile(
    changes: Changes,
    layout: Layout,
    inspected: Inspection,
    made: Proposal,
    where: Requirements,
) -> str:
    collect = ""
    if "django.contrib.staticfiles" in inspected.values["INSTALLED_APPS"] and (
        made.static_root
    ):
        variables = build_environment(inspected, made)
        collect = "".join(f"    {name}={text} \\\n" for name, text in variables.items())
        settings = inspected.settings
        collect += f"    DJANGO_SETTINGS_MODULE={settings} \\\n"
        command = "python manage.py" if layout.manage else "django-admin"
        if layout.manage and layout.manage.name != "manage.py":
            command = f"python {layout.manage.name}"
        collect += f"        {command} collectstatic --noinput; \\\n"
    directories = ""
    if made.directories:
        listed = " ".join(made.directories)
        directories = (
            "\n# For volumes: a new one gets the owner of this directory. Group 0 can\n"
            "# write, and any user of the image is in it.\n"
            f"USER 0:0\nRUN install -d -o 10001 -g 0 -m 0775 {listed}\n"
            "USER 10001:0\n"
        )
    build, run = "", ""
    packages = {*where.names, *made.requirements, *_driver(inspected)}
    if "mysqlclient" in packages:
        build = _apt("default-libmysqlclient-dev")
        run = f"USER 0:0\n{_apt('libmariadb3')}USER 10001:0\n\n"
    workdir = f"WORKDIR /app/{layout.subdirectory}\n\n" if layout.subdirectory else ""
    return (
        template(
            "Dockerfile.txt",
            system_build=build,
            system_run=run,
            install=_install(changes, where),
            workdir=workdir,
            collectstatic=collect,
            settings=inspected.settings,
            manage="",
            directories=directories,
        ).rstrip()
        + "\n"
    )


def _driver(inspected: Inspection) -> set[str]:
    engine = inspected.values["DATABASES"].get("default", {}).get("ENGINE", "")
    has_driver = "MySQLdb" in inspected.modules
    return {"mysqlclient"} if "mysql" in engine and has_driver else set()


def _apt(*packages: str) -> str:
    return (
        "RUN apt-get update && \\\n"
        f"    apt-get install -y --no-install-recommends {' '.join(packages)} && \\\n"
        "    rm -rf /var/lib/apt/lists/*\n"
    )


def _install(changes: Changes, where: Requirements) -> str:
    """Return the lines that install the requirements into /opt/venv."""
    if where.file != "pyproject.toml":
        directory = where.file.rpartition("/")[0]
        copied = (
            f"{directory}/ /tmp/{directory}/" if directory else f"{where.file} /tmp/"
        )
        also = sorted(
            path.name
            for path in changes.root.glob("*.txt")
            if not directory and path.name != where.file and "requirements" in path.name
        )
        if also:
            copied = f"{' '.join([where.file, *also])} /tmp/"
        return f"COPY {copied}\nRUN pip install --no-cache-dir -r /tmp/{where.file}\n"
    if where.tool == "uv" and where.lock:
        return (
            "COPY pyproject.toml uv.lock ./\n"
            "RUN uv sync --locked --no-dev --no-install-project\n"
        )
    if where.tool == "poetry":
        files = "pyproject.toml poetry.lock" if where.lock else "pyproject.toml"
        return (
            f"COPY {files} /tmp/project/\n"
            "RUN set -eux; \\\n"
            "    python -m venv /opt/poetry; \\\n"
            "    pip --python /opt/poetry/bin/python install --no-cache-dir poetry "
            "poetry-plugin-export; \\\n"
            "    cd /tmp/project; \\\n"
            "    /opt/poetry/bin/poetry export --without-hashes --output "
            "requirements.txt; \\\n"
            "    pip install --no-cache-dir -r requirements.txt\n"
        )
    if where.tool == "pdm" and where.lock:
        return (
            "COPY pyproject.toml pdm.lock /tmp/project/\n"
            "RUN set -eux; \\\n"
            "    python -m venv /opt/pdm; \\\n"
            "    pip --python /opt/pdm/bin/python install --no-cache-dir pdm; \\\n"
            "    cd /tmp/project; \\\n"
            "    /opt/pdm/bin/pdm export --prod --without-hashes --output "
            "requirements.txt; \\\n"
            "    pip install --no-cache-dir -r requirements.txt\n"
        )
    program = (
        "import tomllib; "
        "print(*tomllib.load(open('/tmp/pyproject.toml', 'rb'))"
        "['project']['dependencies'], sep='\\n')"
    )
    return (
        "COPY pyproject.toml /tmp/\n"
        f'RUN python -c "{program}" >/tmp/requirements.txt && \\\n'
        "    pip install --no-cache-dir -r /tmp/requirements.txt\n"
    )


def _compose(made: Proposal, name: str, docker: str) -> str:
    lines = [
        f"# {_WRITTEN}: the processes of the settings, and what they need.",
        "#",
        "#   docker compose up --build",
        "#",
        "# BASE_IMAGE and BUILDER_IMAGE choose the base images. .env has the secrets.",
        "",
        "x-hardened: &hardened",
        "  restart: unless-stopped",
        "  read_only: true",
        "  tmpfs: [/tmp]",
        "  cap_drop: [ALL]",
        '  security_opt: ["no-new-privileges:true"]',
        "",
        "x-app: &app",
        "  <<: *hardened",
        f"  image: ${{APP_IMAGE:-{name}}}",
        "  build:",
        "    context: .",
        f"    dockerfile: {docker}",
        "    args:",
        "      BASE: ${BASE_IMAGE:-prodserver-base}",
        "      BUILDER: ${BUILDER_IMAGE:-prodserver-base:builder}",
        "  env_file: [.env]",
        "  environment: &environment",
        *_mapping(made.environment, "    "),
    ]
    if made.volumes:
        mounts = ", ".join(
            f'"{volume}:{path}"' for volume, path in made.volumes.items()
        )
        lines.append(f"  volumes: [{mounts}]")
    # As "prodserver --export compose" writes them.
    exported = Project(name, "", (), made.database, made.broker)
    services = extra_services(exported)
    started = list(services)
    lines += [
        "  # More than GRACEFUL_TIMEOUT, which is 25, and DRAIN_DELAY.",
        "  stop_grace_period: 35s",
        "  depends_on:",
        *(f"    {service}: {{condition: service_healthy}}" for service in started),
        "    release: {condition: service_completed_successfully}",
        "",
        "services:",
    ]
    for process in made.processes:
        lines += _service(process, started, made.processes[process]["BACKEND"])
    for service, content in services.items():
        text = yaml.dump({service: content})
        lines += [*(f"  {line}" for line in text.splitlines()), ""]
    volumes = [*made.volumes, *dict.fromkeys(started)]
    if volumes:
        lines += ["volumes:", *(f"  {volume}:" for volume in volumes)]
    return "\n".join(lines).rstrip() + "\n"


def _service(process: str, started: list[str], backend: str) -> list[str]:
    lines = []
    if backend.endswith("CeleryBeat"):
        lines.append("  # One only: two would send every task twice.")
    lines += [
        f"  {process}:",
        "    <<: *app",
        "    environment:",
        "      <<: *environment",
        f"      PROCESS_NAME: {process}",
    ]
    if process == "web":
        lines += [
            "      # Time for a proxy that goes by readiness to look elsewhere.",
            '      DRAIN_DELAY: "3"',
            '    ports: ["127.0.0.1:${PORTS:-8000}:8000"]',
        ]
    if backend.endswith("ManagementCommands"):
        lines[0:0] = ["  # Once, before the others start."]
        lines += ['    restart: "no"', "    healthcheck: {disable: true}"]
        if started:
            waits = [
                f"      {name}: {{condition: service_healthy}}" for name in started
            ]
            lines += ["    depends_on:", *waits]
        else:
            lines += ["    depends_on: []"]
    return [*lines, ""]


def _mapping(values: Mapping[str, str], indent: str) -> list[str]:
    if not values:
        return [f'{indent}PYTHONUNBUFFERED: "1"']
    return [f"{indent}{name}: {value}" for name, value in values.items()]
