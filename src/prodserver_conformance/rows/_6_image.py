"""The image: how it starts what it should not, and what is in it."""

from __future__ import annotations

import uuid

from prodserver_conformance.engine import NEVER
from prodserver_conformance.plugin import Row, named
from prodserver_conformance.site import Site

_BASE = "Leave the ENTRYPOINT of prodserver-base"
_MIB = 2**20


@named("unknown-process", f"{_BASE}, and set nothing that catches prodserver's errors.")
def row_unknown_process(row: Row, site: Site) -> None:
    """A name that is none ends with 78, and one message that lists those that are."""
    name = f"nobody-{uuid.uuid4().hex[:6]}"
    row.do(f"docker run IMAGE {name}")
    code, output = site.engine.finish(name, seconds=site.options.timeout)
    seen = f"exit code {code}: {' / '.join(output.split(chr(10))[-4:]).strip(' /')}"
    row.require("Traceback" not in output, f"a traceback, and {seen}")
    row.require(code == 78, f"{seen}; 78 is configuration")
    row.require(output.count(name) == 1, f"not one message that names it: {seen}")
    missing = [one for one in site.options.configured if one not in output]
    row.require(not missing, f"{', '.join(missing)} not listed: {seen}")
    row.see(seen)


@named(
    "exit-codes",
    f"{_BASE} (tini -s -e 143 maps no other code), and let a script end with exec.",
)
def row_exit_codes(row: Row, site: Site) -> None:
    """A command's code is the container's; 2 is usage, and 78 configuration."""
    name = site.options.configured[0]
    tries: tuple[tuple[str, int, list[str], dict[str, str]], ...] = (
        ("a command that exits with 7", 7, ["python", "-c", "raise SystemExit(7)"], {}),
        ("two processes at once", 2, ["prodserver", name, name], {}),
        (
            "settings that are not there",
            78,
            ["prodserver", name],
            {"DJANGO_SETTINGS_MODULE": "no_such_settings"},
        ),
    )
    row.do(", ".join(what for what, *_ in tries))
    started = [
        site.engine.start(*command, env=env, healthcheck=NEVER)
        for _, _, command, env in tries
    ]
    for container, (what, expected, _, _) in zip(started, tries, strict=True):
        code = container.exits(site.options.timeout)
        seen = f"{what}: exit code {code}, not {expected}"
        row.require(code == expected, f"{seen}; {container.log.strip()}")
    row.see(", ".join(str(expected) for _, expected, *_ in tries))


@named(
    "byte-code",
    "RUN python -m compileall -q . behind COPY, and pip or uv with byte code "
    "(UV_COMPILE_BYTECODE=1): nobody can write it later, so every start compiles.",
)
def row_byte_code(row: Row, site: Site) -> None:
    """Every module has its byte code: of the library, the packages, the project."""
    row.do("looked at each module on Python's path and in WORKDIR")
    container = site.visitor.container
    told = container.told("byte_code", site=True)
    number, faults = told["modules"], told["faults"]
    row.require(number, "no modules at all")
    some = ", ".join(faults[:3]) + (", ..." if len(faults) > 3 else "")
    row.require(not faults, f"{len(faults)} of {number} modules without: {some}")
    row.see(f"{number} modules, all with theirs")


@named("size", "docker history IMAGE says which step it is; build in a stage before.")
def row_size(row: Row, site: Site) -> None:
    """What it weighs; too much only where --max-size says so."""
    size, most = site.image.size / _MIB, site.options.max_size
    row.do(f"read it; the limit is {f'{most:g} MiB' if most else 'none'}")
    row.require(not most or size <= most, f"{size:.0f} MiB")
    row.see(f"{size:.0f} MiB")
