"""``--export systemd``: a unit for each process, sockets, and a target for them all."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from django_prodserver.commands.export.files import HEADER
from django_prodserver.commands.export.project import ExportedProcess, Project
from django_prodserver.config.bind import DEFAULT_HOST, DEFAULT_PORT
from django_prodserver.exceptions import ExitCode

#: Migrations may take long, and must not be cut.
_RELEASE = 900
#: What a process has no use for, and an intruder would.
_HARDENING = (
    "NoNewPrivileges=yes",
    "ProtectSystem=strict",
    "ProtectHome=read-only",
    "PrivateTmp=yes",
    "PrivateDevices=yes",
    "ProtectClock=yes",
    "ProtectControlGroups=yes",
    "ProtectHostname=yes",
    "ProtectKernelLogs=yes",
    "ProtectKernelModules=yes",
    "ProtectKernelTunables=yes",
    "LockPersonality=yes",
    "RestrictAddressFamilies=AF_UNIX AF_INET AF_INET6",
    "RestrictNamespaces=yes",
    "RestrictRealtime=yes",
    "RestrictSUIDSGID=yes",
    "SystemCallArchitectures=native",
    "UMask=0027",
)
#: Configuration and usage are not better a second later.
_FINAL = f"{int(ExitCode.USAGE)} {int(ExitCode.CONFIGURATION)}"
_KEEP_RESTARTING = (
    "# By default, systemd gives up after five starts within 10 s.",
    "StartLimitIntervalSec=0",
)
Sections = Mapping[str, Sequence[str]]


def files(project: Project) -> dict[str, str]:
    """Return the units, by their names."""
    found = {f"{project.name}.target": _target(project)}
    for process in project.processes:
        unit = _unit(project, process)
        found[f"{unit}.service"] = _service(project, process)
        if process.inherits_socket:
            found[f"{unit}.socket"] = _socket(project, process)
    return found


def _unit(project: Project, process: ExportedProcess) -> str:
    return f"{project.name}-{process.name}"


def _write(project: Project, sections: Sections) -> str:
    home = f"/srv/{project.name}"
    head = [
        f"# {HEADER} systemd",
        "#",
        f"# It expects the user {project.name}, the project and its .venv in {home},",
        f"# and /etc/{project.name}.env with a NAME=value a line, secrets too.",
        "# To change that, write a drop-in, which --check ignores: systemctl edit UNIT",
    ]
    parts = [
        "\n".join([f"[{name}]", *lines]) for name, lines in sections.items() if lines
    ]
    return "\n\n".join(["\n".join(head), *parts]) + "\n"


def _target(project: Project) -> str:
    services = [f"{_unit(project, each)}.service" for each in project.services]
    unit = [f"Description={project.name}", "Wants=network-online.target"]
    unit += [f"Wants={name}" for name in services]
    return _write(project, {"Unit": unit, "Install": ["WantedBy=multi-user.target"]})


def _service(project: Project, process: ExportedProcess) -> str:
    name, unit = project.name, _unit(project, process)
    programs = f"/srv/{name}/.venv/bin"
    is_release = process.kind == "release"
    releases = [f"{_unit(project, each)}.service" for each in project.releases]
    after = ["network-online.target", *([] if is_release else releases)]
    needed = [] if is_release else list(releases)
    if process.inherits_socket:
        after.append(f"{unit}.socket")
        needed.append(f"{unit}.socket")
    service = [
        "Type=oneshot" if is_release else "Type=exec",
        f"User={name}",
        f"WorkingDirectory=/srv/{name}",
        f"EnvironmentFile=/etc/{name}.env",
        f"Environment=DJANGO_SETTINGS_MODULE={project.settings}",
        f"Environment=PRODSERVER_RUNTIME_DIR=/run/{unit}",
        *(f"Environment={_quoted(f'{k}={v}')}" for k, v in process.environment),
        *(
            f"# {each} is a secret: write it into /etc/{name}.env."
            for each in process.secrets
        ),
        f"RuntimeDirectory={unit}",
        f"StateDirectory={name}",
        f"ExecStart={programs}/prodserver {process.name}",
    ]
    if is_release:
        service += [
            "RemainAfterExit=yes",
            "# PRODSERVER_WAIT_TIMEOUT, and the migrations.",
            f"TimeoutStartSec={_RELEASE}",
        ]
    else:
        service += _stop(process, programs)
    service += [
        f"# It can write to /tmp and to StateDirectory, which is /var/lib/{name}.",
        "# For others, add ReadWritePaths= in a drop-in.",
        *_HARDENING,
        *_capabilities(process),
    ]
    sections = {
        "Unit": [
            f"Description={name}: {process.name}",
            f"PartOf={name}.target",
            *(f"Requires={each}" for each in needed),
            f"After={' '.join(after)}",
            *([] if is_release else _KEEP_RESTARTING),
        ],
        "Service": service,
        "Install": [] if is_release else [f"WantedBy={name}.target"],
    }
    return _write(project, sections)


def _stop(process: ExportedProcess, programs: str) -> list[str]:
    lines = []
    if process.drain and process.has_probe:
        drain = f"prodserver-probe --drain {process.drain} {process.name}"
        lines += [
            "# It serves on, not ready, until a proxy has noticed; then comes SIGTERM.",
            f"ExecStop=-{programs}/{drain}",
        ]
    return [
        *lines,
        "# SIGTERM to the process alone: it stops its own workers when they are done.",
        "KillMode=mixed",
        f"# Above GRACEFUL_TIMEOUT, which is {process.grace}.",
        f"TimeoutStopSec={process.stop}",
        "# Also after 0: MAX_TASKS ends some workers, and new ones take their place.",
        "Restart=always",
        "RestartSec=1",
        f"RestartPreventExitStatus={_FINAL}",
    ]


def _capabilities(process: ExportedProcess) -> list[str]:
    # systemd itself opens the port of a socket unit.
    if process.port and process.port < 1024 and not process.inherits_socket:
        name = "CAP_NET_BIND_SERVICE"
        return [f"AmbientCapabilities={name}", f"CapabilityBoundingSet={name}"]
    return ["CapabilityBoundingSet="]


def _socket(project: Project, process: ExportedProcess) -> str:
    address = process.address or f"{DEFAULT_HOST}:{DEFAULT_PORT}"
    unit = [
        f"Description={project.name}: the socket of {process.name}",
        "# A stop closes it, or the next request would start the process again.",
        "# A restart does not. Needs systemd 249.",
        f"StopPropagatedFrom={project.name}.target",
    ]
    socket = [
        "# Connections wait here while the process is replaced.",
        f"ListenStream={address}",
    ]
    install = ["WantedBy=sockets.target"]
    return _write(project, {"Unit": unit, "Socket": socket, "Install": install})


def _quoted(text: str) -> str:
    """Return an assignment as systemd reads it: without expanding "%"."""
    text = text.replace("\\", "\\\\").replace('"', '\\"').replace("%", "%%")
    return f'"{text}"'
