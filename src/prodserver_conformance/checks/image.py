"""The image: its errors and exit codes, its byte code and its size."""

from __future__ import annotations

import uuid

from prodserver_conformance.engine import NO_HEALTHCHECK
from prodserver_conformance.environment import Environment
from prodserver_conformance.plugin import Record, check

_BASE = "Leave the ENTRYPOINT of prodserver-base"
_MIB = 2**20


@check("unknown-process", f"{_BASE}, and set nothing that catches prodserver's errors.")
def check_unknown_process(record: Record, environment: Environment) -> None:
    """An unknown name exits with 78, and one message lists the valid names."""
    name = f"nobody-{uuid.uuid4().hex[:6]}"
    record.add_action(f"docker run IMAGE {name}")
    code, output = environment.engine.run_to_completion(
        name, seconds=environment.options.timeout
    )
    seen = f"exit code {code}: {' / '.join(output.split(chr(10))[-4:]).strip(' /')}"
    record.require("Traceback" not in output, f"a traceback, and {seen}")
    record.require(code == 78, f"{seen}; expected 78 (configuration)")
    record.require(output.count(name) == 1, f"not one message that names it: {seen}")
    missing = [one for one in environment.options.configured if one not in output]
    record.require(not missing, f"{', '.join(missing)} not listed: {seen}")
    record.add_observation(seen)


@check(
    "exit-codes",
    f"{_BASE} (tini -s -e 143 maps no other code), and let a script end with exec.",
)
def check_exit_codes(record: Record, environment: Environment) -> None:
    """The exit code is that of the command; 2 is usage, 78 configuration."""
    name = environment.options.configured[0]
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
    record.add_action(", ".join(what for what, *_ in tries))
    started = [
        environment.engine.start(*command, env=env, healthcheck=NO_HEALTHCHECK)
        for _, _, command, env in tries
    ]
    for container, (what, expected, _, _) in zip(started, tries, strict=True):
        code = container.wait_for_exit(environment.options.timeout)
        seen = f"{what}: exit code {code}, not {expected}"
        record.require(code == expected, f"{seen}; {container.log.strip()}")
    record.add_observation(", ".join(str(expected) for _, expected, *_ in tries))


@check(
    "byte-code",
    "After COPY, RUN python -m compileall -q . and let pip or uv compile byte code "
    "(UV_COMPILE_BYTECODE=1). It cannot be written later, so every start compiles.",
)
def check_byte_code(record: Record, environment: Environment) -> None:
    """Every module of the library, the packages and the project has byte code."""
    record.add_action("looked at each module on Python's path and in WORKDIR")
    container = environment.http_client.container
    report = container.run_program("byte_code", site=True)
    number, faults = report["modules"], report["faults"]
    record.require(number, "no modules at all")
    some = ", ".join(faults[:3]) + (", ..." if len(faults) > 3 else "")
    record.require(
        not faults, f"{len(faults)} of {number} modules without byte code: {some}"
    )
    record.add_observation(f"{number} modules, all with byte code")


@check("size", "To find the step: docker history IMAGE. Build in an earlier stage.")
def check_size(record: Record, environment: Environment) -> None:
    """The size of the image; it only fails if --max-size sets a limit."""
    size, most = environment.image.size / _MIB, environment.options.max_size
    record.add_action(f"read it; the limit is {f'{most:g} MiB' if most else 'none'}")
    record.require(not most or size <= most, f"{size:.0f} MiB")
    record.add_observation(f"{size:.0f} MiB")
