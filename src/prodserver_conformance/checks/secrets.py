"""Secrets: check that they are not where others can read them."""

from __future__ import annotations

import json
from collections.abc import Iterator

from prodserver_conformance.environment import Environment
from prodserver_conformance.plugin import Record, check
from prodserver_conformance.secrets import CANARY


@check(
    "secrets",
    "Do not print the environment or settings. Pass secrets as variables and files, "
    "not as arguments or in the image.",
)
def check_secrets(record: Record, environment: Environment, process: str) -> None:
    """No secret among the variables is in a log, --list, a command or a file."""
    names = [name for name in environment.secrets.names if name != CANARY]
    record.add_action(f"looked for {', '.join([*names, 'a token given as ' + CANARY])}")
    places = 0
    for place, text in _readable(environment, process):
        places += 1
        leaked = environment.secrets.find_in(text)
        record.require(not leaked, f"{', '.join(leaked)} in {place}")
    record.add_observation(
        f"in none of {places} places: logs, --list, --dry-run, commands, files"
    )


def _readable(environment: Environment, process: str) -> Iterator[tuple[str, str]]:
    """Yield the name and the content of each place that others can read."""
    container = environment.shared(process)
    config = {k: v for k, v in environment.image.config.items() if k != "Env"}
    yield "the image's configuration", json.dumps(config)
    yield "the image's ENV", json.dumps(environment.image.config.get("Env"))
    yield "prodserver --list", environment.process_list
    done = container.exec("prodserver", "--dry-run", process)
    yield "prodserver --dry-run", done.output
    yield from container.run_program("readable").items()
    yield "its health log", json.dumps(container.state.get("Health"))
    for started in environment.engine.started:
        yield "the log", started.log
