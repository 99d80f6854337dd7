"""``--explain --format html``: processes as one page, for a team's runbook."""

from __future__ import annotations

import shlex
import signal
from collections.abc import Iterable, Iterator, Sequence
from html import escape
from pathlib import Path
from typing import NamedTuple

from django.conf import settings

from django_prodserver.backends.base import CommandBackend
from django_prodserver.commands import explain
from django_prodserver.config import processes
from django_prodserver.config.context import VARIABLE
from django_prodserver.exceptions import ExitCode, ProdserverError
from django_prodserver.health import conf as health
from django_prodserver.health import probe
from django_prodserver.launch.origins import Row
from django_prodserver.launch.plan import Plan, make_plan
from django_prodserver.process import retry
from django_prodserver.process.executable import Program
from django_prodserver.text import redact, redact_words

#: How often the image's HEALTHCHECK asks; for other platforms, a beginning.
INTERVAL, TIMEOUT, START_PERIOD, RETRIES = 10, 5, 30, 3
#: Seconds that a supervisor should give beyond ``GRACEFUL_TIMEOUT``: what is cut after
#: it is put back within 3.
_MARGIN = 5
_STYLE = Path(__file__).with_name("runbook.css")


class Explained(NamedTuple):
    """A process on the page: its plan, or why there is none."""

    name: str
    plan: Plan | None
    fault: str = ""


def plans(names: Sequence[str]) -> list[Explained]:
    """
    Return the processes of these names, or all of them.

    Raises:
        ProdserverError: There is no process of a name.
    """
    if names:
        chosen = [processes.process(name).name for name in names]
    else:
        chosen = [str(name) for name in processes.table()]
    return [_explained(name) for name in chosen]


def of_plan(plan: Plan) -> Explained:
    """Return a process that is planned already."""
    fault = plan.faults[0].message if plan.faults else ""
    return Explained(plan.process.name, plan, fault)


def as_html(
    explained: Sequence[Explained],
    show_secrets: bool = False,
    entry: Program | None = None,
) -> str:
    """Return the page; it loads nothing from elsewhere."""
    title = f"Processes of {settings.SETTINGS_MODULE}"
    links = "".join(
        f'<li><a href="#{escape(each.name)}">{escape(each.name)}</a></li>'
        for each in explained
    )
    sections = [_section(each, show_secrets, entry) for each in explained]
    return "\n".join(
        [
            "<!doctype html>",
            '<html lang="en">',
            '<meta charset="utf-8">',
            '<meta name="viewport" content="width=device-width, initial-scale=1">',
            '<meta name="color-scheme" content="light dark">',
            f"<title>{escape(title)}</title>",
            f"<style>\n{_STYLE.read_text()}</style>",
            "<main>",
            f"<h1>{escape(title)}</h1>",
            "<p>Written by <code>prodserver --explain --format html</code>.</p>",
            f"<nav><ul>{links}</ul></nav>",
            *sections,
            *_exit_codes(),
            "</main>",
            "</html>\n",
        ]
    )


def _explained(name: str) -> Explained:
    try:
        return of_plan(make_plan(processes.entry(name)))
    except ProdserverError as error:
        return Explained(name, None, error.message)


def _section(each: Explained, show_secrets: bool, entry: Program | None) -> str:
    parts = [f'<section id="{escape(each.name)}">', f"<h2>{escape(each.name)}</h2>"]
    if each.fault:
        parts.append(f'<p class="fault">Cannot start: {escape(redact(each.fault))}</p>')
    if plan := each.plan:
        parts += _process(plan, show_secrets, entry)
    return "\n".join([*parts, "</section>"])


def _process(plan: Plan, show_secrets: bool, entry: Program | None) -> Iterator[str]:
    backend = plan.process.config["BACKEND"]
    yield f"<p><code>{escape(str(backend))}</code></p>"
    yield "<h3>Start</h3>"
    yield _code(f"{_prodserver(entry)} {plan.process.name}")
    if plan.commands:
        yield "<p>It becomes this command:</p>"
        yield _code(" && \n".join(_commands(plan, show_secrets)))
    yield from _waits(plan)
    yield "<h3>Probe</h3>"
    yield _table(("Question", "Command", "Yes, if"), _probe(plan))
    yield (
        f"<p>The image asks every {INTERVAL} s, allows {TIMEOUT} s for an answer and "
        f"{START_PERIOD} s for the start, and takes {RETRIES} failures in a row for "
        "unhealthy.</p>"
    )
    codes = [(str(code), meaning) for code, meaning in probe.EXIT_CODES.items()]
    yield _table(("Exit code", "Meaning"), codes)
    yield "<h3>Stop</h3>"
    yield from _stop(plan)
    rows = list(explain.rows(plan, show_secrets, entry))
    is_variable = {row.option for row in rows if row.option in plan.environment}
    options = [row for row in rows if row.option not in is_variable]
    yield "<h3>Options</h3>"
    yield _table(("Option", "Value", "From", "Why"), options)
    yield "<h3>Environment</h3>"
    yield from _environment([row for row in rows if row.option in is_variable])


def _prodserver(entry: Program | None) -> str:
    """Return how ``prodserver`` was called, without the paths of this machine."""
    if not entry:
        return "prodserver"
    program, *words = entry.command
    return shlex.join([Path(program).name, *words, "prodserver"])


def _commands(plan: Plan, show_secrets: bool) -> Iterator[str]:
    """Yield the native commands, an option a line; a shell can have them pasted."""
    for command in plan.commands:
        words = list(command) if show_secrets else redact_words(list(command))
        lines = [shlex.quote(words[0])]
        for word in map(shlex.quote, words[1:]):
            lines.append(f"\\\n    {word}" if word.startswith("--") else word)
        yield " ".join(lines)


def _waits(plan: Plan) -> Iterator[str]:
    if not plan.process.waits:
        return
    try:
        limit = f"after {retry.timeout():g} s"
    except ProdserverError:
        limit = f"after the seconds of {retry.VARIABLE}"
    names = ", ".join(f"<code>{_clean(name)}</code>" for name in plan.process.waits)
    yield "<h3>Wait</h3>"
    yield (
        f"<p>Before it starts, it waits for {names}. Until then, it is live but "
        f"not ready. It gives up {limit} with exit code "
        f"{ExitCode.UNAVAILABLE.value}.</p>"
    )


def _probe(plan: Plan) -> Iterator[tuple[str, str, str]]:
    """Yield what the probe asks: ready, and live."""
    name, backend = plan.process.name, plan.backend
    ready = f"prodserver-probe {name}"
    live = f"prodserver-probe --live {name}"
    if backend.kind == "web":
        addresses = [a.removeprefix("tcp://") for a in backend.addresses(plan.args)]
        where = ", ".join(addresses) or "the address it listens on"
        page = f"GET {backend.path(plan.args)} on {where}"
        answers = f"{page} is answered within 1 s, with a status below 500"
        if health.is_installed():
            checks = ", ".join(map(str, health.load().checks)) or "none"
            answers += f"; checks of HealthMiddleware: {checks}"
        yield "Ready?", ready, answers
        yield "Live?", live, f"it accepts a connection on {where}, or is busy"
    elif backend.kind == "release":
        yield "Ready?", ready, "a command of it is running"
        yield "Live?", live, "it has not ended"
    elif backend.kind:
        age = backend.heartbeat_max_age(plan.args)
        if age:
            age = plan.process.config.get("HEALTH", {}).get("MAX_AGE", age)
        if not age:
            yield "Ready?", ready, "never known: it has no heartbeat"
            return
        beats = f"its last heartbeat is at most {age:g} s old, or it works on a task"
        yield "Ready?", ready, f"{beats}, and its broker or database has answered"
        yield "Live?", live, f"{beats}, or it is starting or stopping"
    else:
        yield "Ready?", ready, "never known: its backend is of another package"


def _stop(plan: Plan) -> Iterator[str]:
    """Yield how long a stop takes, and what the signals do."""
    seconds = plan.backend.resolve("GRACEFUL_TIMEOUT").value if _has_limit(plan) else 0
    if seconds:
        longer = int(seconds) + _MARGIN
        yield (
            f"<p>A stop takes at most {seconds} s and about 3 s more for what is cut. "
            f"Give it {longer} s or more before SIGKILL: <code>TimeoutStopSec={longer}"
            f"</code>, <code>stop_grace_period: {longer}s</code>, "
            f"<code>terminationGracePeriodSeconds: {longer}</code>.</p>"
        )
    yield _table(("Signal", "What it does", "Exit code"), _signals(plan, seconds))


def _has_limit(plan: Plan) -> bool:
    return "GRACEFUL_TIMEOUT" in plan.backend.keys


def _signals(plan: Plan, seconds: float) -> Iterator[tuple[str, str, str]]:
    native = plan.backend.as_command()
    limit = f" for up to {seconds} s" if seconds else ""
    if plan.backend.kind == "release":
        what = "Stops the release: its running command receives the signal."
        yield "SIGTERM", what, str(ExitCode.RELEASE_STOPPED.value)
    elif native:
        for signum in (signal.SIGTERM, signal.SIGINT):
            yield signum.name, *_of_signal(native, plan, signum, limit)
    else:
        yield "SIGTERM", "Whatever its backend makes of it.", ""
    yield "SIGKILL", "Ends it at once, and loses its work: the last resort.", "137"


def _of_signal(
    native: CommandBackend, plan: Plan, signum: int, limit: str
) -> tuple[str, str]:
    code = _exit_code(native.clean_exit_code(signum, plan.args))
    if not native.finishes_on(signum, plan.args):
        return "Stops it quickly: requests or tasks in progress are cut.", code
    cut = _exit_code(native.cut_exit_code(plan.args))
    what = f"Stops it: takes no new work, and finishes what it has started{limit}."
    if limit and cut != code:
        return what, f"{code}; {cut} if work was cut"
    return what, code


def _exit_code(code: int) -> str:
    # Negative for a process that the signal has ended, as in subprocess.
    return str(code if code >= 0 else 128 - code)


def _environment(rows: Sequence[Row]) -> Iterator[str]:
    shown = [row for row in rows if row.option != VARIABLE]
    if shown:
        yield _table(("Variable", "Value", "From"), [row[:3] for row in shown])
    else:
        yield "<p>It needs no variables beside those of the project.</p>"


def _exit_codes() -> Iterator[str]:
    """Yield the exit codes of ``prodserver`` itself."""
    yield '<section id="exit-codes">'
    yield "<h2>Exit codes of prodserver</h2>"
    yield "<p>Once a server or a worker runs, the exit code is its own.</p>"
    codes = [(str(code.value), code.meaning) for code in ExitCode]
    yield _table(("Exit code", "Meaning"), codes)
    yield "</section>"


def _table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Return a table; on a phone each cell has its heading beside it."""
    cells = "".join(f"<th>{escape(name)}</th>" for name in head)
    body = "".join(
        "<tr>"
        + "".join(
            f'<td data-name="{escape(name)}">{_cell(name, value)}</td>'
            for name, value in zip(head, row, strict=True)
        )
        + "</tr>"
        for row in rows
    )
    return f"<table><thead><tr>{cells}</tr></thead><tbody>{body}</tbody></table>"


#: The columns that are code, and not prose.
_CODE = ("Option", "Value", "Variable", "Command", "Signal")


def _cell(name: str, value: str) -> str:
    return f"<code>{escape(value)}</code>" if name in _CODE and value else escape(value)


def _code(text: str) -> str:
    return f"<pre><code>{escape(text)}</code></pre>"


def _clean(text: str) -> str:
    return escape(redact(text))
