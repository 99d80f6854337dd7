"""Secrets: not in what others can read."""

from __future__ import annotations

import json
from collections.abc import Iterator

from prodserver_conformance.plugin import Row, named
from prodserver_conformance.secrets import CANARY
from prodserver_conformance.site import Site


@named(
    "secrets",
    "Do not print the environment or settings, and give secrets as variables and "
    "files, not as arguments or in the image.",
)
def row_secrets(row: Row, site: Site, process: str) -> None:
    """No secret among the variables is in a log, --list, a command or a file."""
    names = [name for name in site.secrets.names if name != CANARY]
    row.do(f"looked for {', '.join([*names, 'a token given as ' + CANARY])}")
    places = 0
    for place, text in _readable(site, process):
        places += 1
        if found := site.secrets.found(text):
            row.require(False, f"{', '.join(found)} in {place}")
    row.see(f"in none of {places} places: logs, --list, --dry-run, commands, files")


def _readable(site: Site, process: str) -> Iterator[tuple[str, str]]:
    """Yield each place that others can read, and what is there."""
    container = site.running(process)
    config = {k: v for k, v in site.image.config.items() if k != "Env"}
    yield "the image's configuration", json.dumps(config)
    yield "the image's ENV", json.dumps(site.image.config.get("Env"))
    yield "prodserver --list", site.listed
    done = container.exec("prodserver", "--dry-run", process)
    yield "prodserver --dry-run", done.output
    yield from container.told("told").items()
    yield "its health log", json.dumps(container.state.get("Health"))
    for started in site.engine.started:
        yield "the log", started.log
