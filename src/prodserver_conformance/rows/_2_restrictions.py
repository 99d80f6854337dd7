"""What a hardened platform takes away."""

from __future__ import annotations

from prodserver_conformance.plugin import Row, named
from prodserver_conformance.site import Site


@named(
    "any-uid",
    "Let group 0, which every uid has, read what it needs and write where it must: "
    "chgrp -R 0 PATH && chmod -R g=u PATH.",
)
def row_any_uid(row: Row, site: Site, process: str) -> None:
    """It comes up as a user that the image does not know, of group 0."""
    row.do("started it with --user 123456:0")
    row.see(site.restricted("any-uid", process))


@named(
    "read-only",
    "Write to /tmp, or to a volume (--volume PATH here); what is made at the start, "
    "such as static files, is made when the image is built.",
)
def row_read_only(row: Row, site: Site, process: str) -> None:
    """It comes up with a read-only root, and a /tmp in memory."""
    row.do("started it with --read-only --tmpfs /tmp")
    row.see(site.restricted("read-only", process))


@named(
    "capabilities",
    "Do not use setuid programs, file capabilities or chown at the start; do that "
    "when the image is built.",
)
def row_capabilities(row: Row, site: Site, process: str) -> None:
    """It comes up without capabilities, which it cannot get back."""
    row.do("started it with --cap-drop ALL --security-opt no-new-privileges")
    row.see(site.restricted("capabilities", process))
