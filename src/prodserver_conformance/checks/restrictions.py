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
    """It comes up as a user that the image does not know, of group 0."""
    record.add_action("started it with --user 123456:0")
    record.add_observation(environment.start_restricted("any-uid", process))


@check(
    "read-only",
    "Write to /tmp, or to a volume (--volume PATH here); what is made at the start, "
    "such as static files, is made when the image is built.",
)
def check_read_only(record: Record, environment: Environment, process: str) -> None:
    """It comes up with a read-only root, and a /tmp in memory."""
    record.add_action("started it with --read-only --tmpfs /tmp")
    record.add_observation(environment.start_restricted("read-only", process))


@check(
    "capabilities",
    "Do not use setuid programs, file capabilities or chown at the start; do that "
    "when the image is built.",
)
def check_capabilities(record: Record, environment: Environment, process: str) -> None:
    """It comes up without capabilities, which it cannot get back."""
    record.add_action("started it with --cap-drop ALL --security-opt no-new-privileges")
    record.add_observation(environment.start_restricted("capabilities", process))
