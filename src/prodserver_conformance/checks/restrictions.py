"""The restrictions of hardened platforms."""

from __future__ import annotations

from prodserver_conformance.environment import Environment
from prodserver_conformance.plugin import Record, check


@check(
    "any-uid",
    "Let group 0, which every uid has, read what it needs and write where it must: "
    "chgrp -R 0 PATH && chmod -R g=u PATH.",
)
def check_any_uid(record: Record, environment: Environment, process: str) -> None:
    """It starts as a user that the image does not know, in group 0."""
    record.add_action("started it with --user 123456:0")
    record.add_observation(environment.start_restricted("any-uid", process))


@check(
    "read-only",
    "Write to /tmp, or to a volume (--volume PATH here). Create files such as static "
    "files when the image is built, not at the start.",
)
def check_read_only(record: Record, environment: Environment, process: str) -> None:
    """It starts with a read-only root and a /tmp in memory."""
    record.add_action("started it with --read-only --tmpfs /tmp")
    record.add_observation(environment.start_restricted("read-only", process))


@check(
    "capabilities",
    "Do not use setuid programs, file capabilities or chown at the start; do that "
    "when the image is built.",
)
def check_capabilities(record: Record, environment: Environment, process: str) -> None:
    """It starts without capabilities, and cannot regain them."""
    record.add_action("started it with --cap-drop ALL --security-opt no-new-privileges")
    record.add_observation(environment.start_restricted("capabilities", process))


@check("setuid", "RUN chmod a-s PATH, or do not install it.")
def check_setuid(record: Record, environment: Environment) -> None:
    """No program runs as its owner or its group, whoever starts it."""
    record.add_action("looked at the mode of each file")
    found = environment.http_client.container.run_program("setuid")
    record.require(not found, f"setuid or setgid: {', '.join(found)}")
    record.add_observation("none is setuid or setgid")


@check("root-home", "Leave HOME to the base, which gives root its own: no ENV HOME.")
def check_root_home(record: Record, environment: Environment) -> None:
    """Root's HOME is root's: what others leave there, docker exec -u 0 may run."""
    record.add_action("looked at root's HOME")
    container = environment.http_client.container
    done = container.exec("sh", "-c", 'stat -c "%n %u %a" "$HOME"', user="0")
    record.require(done.code == 0, f"it cannot be looked at: {done.last_lines}")
    path, owner, mode = done.output.split()
    seen = f"{path}, of uid {owner}, mode {mode}"
    record.require(owner == "0" and not int(mode, 8) & 0o022, seen)
    record.add_observation(seen)
