"""Processes and commands as text, for people and for programs."""

from __future__ import annotations

import json
import os
import shlex
import shutil
from collections.abc import Sequence

from django_prodserver.config import processes
from django_prodserver.config.processes import Process
from django_prodserver.exceptions import ProdserverError, UsageError
from django_prodserver.launch.plan import Plan, make_plan
from django_prodserver.process import executable, project
from django_prodserver.process.executable import Program
from django_prodserver.text import redact, redact_words, safe_repr

#: The keys of every process that have no equivalent in the native command.
_ONLY_OURS = ("WAIT_FOR", "HEALTH")


def command_line(
    plan: Plan, show_secrets: bool = False, entry: Program | None = None
) -> str:
    """
    Return the native command, or commands, as one line for a shell.

    Args:
        plan: What to print.
        show_secrets: Whether to print passwords.
        entry: The project's entry, if it started this process.
    """
    if not plan.commands:
        path = plan.process.config["BACKEND"]
        words = list(plan.args) if show_secrets else redact_words(list(plan.args))
        return f"# {path} has no native command; it is called with: {shlex.join(words)}"
    environment = plan.environment
    commands = [_with_path(command, plan, entry) for command in plan.commands]
    if not show_secrets:
        environment = {name: redact(text, name) for name, text in environment.items()}
        commands = [redact_words(words) for words in commands]
    variables = [f"{name}={shlex.quote(text)}" for name, text in environment.items()]
    lines = [" ".join([*variables, shlex.join(words)]) for words in commands]
    return " && ".join(lines)


def native_notes(plan: Plan) -> list[str]:
    """
    Return what is lost if the command runs without this package, a line each.

    Raises:
        UsageError: The process has no native command.
    """
    if not plan.commands:
        path = plan.process.config["BACKEND"]
        raise UsageError(
            f"{path} has no native command.", "Start it with prodserver instead."
        )
    only_ours = [key for key in _ONLY_OURS if key in plan.process.config]
    # The plan itself has set LOG_FORMAT.
    only_ours += [key for key in plan.backend.native_omissions() if key != "LOG_FORMAT"]
    notes = []
    if only_ours:
        notes.append(f"not part of the native command: {', '.join(only_ours)}")
    if project.is_installed():
        where = "INSTALLED_APPS and MIDDLEWARE"
        notes.append(f"to run without django-prodserver, remove it from {where}")
    return notes


def as_text(show_secrets: bool = False) -> str:
    """Return a table of the processes: name, backend, command."""
    rows = [("NAME", "BACKEND", "COMMAND")]
    for row in _rows(show_secrets):
        name = f"{row['name']} (default)" if row["default"] else str(row["name"])
        backend = str(row["backend"] or "-").rpartition(".")[2]
        command = row["command"]
        if error := row["error"]:
            # A shell comment, so that the line can be pasted as it is.
            command = f"{command}  # {error}" if command else f"# {error}"
        rows.append((name, backend, str(command)))
    widths = [max(len(row[column]) for row in rows) for column in (0, 1)]
    text = "\n".join(
        f"{name:{widths[0]}}  {backend:{widths[1]}}  {command}"
        for name, backend, command in rows
    )
    # A command that cannot start may hold characters that no terminal can print.
    return text.encode(errors="backslashreplace").decode()


def as_json(show_secrets: bool = False) -> str:
    """
    Return the processes as a JSON list.

    Each is an object with ``name``, ``backend``, ``argv`` (the command's words,
    or null where it is not one command), ``command`` (the same for a shell),
    ``default`` (whether it is the one that starts without a name) and ``error``
    (why it cannot start, or null).
    """
    return json.dumps(_rows(show_secrets), indent=2)


def _rows(show_secrets: bool) -> list[dict[str, object]]:
    try:
        default = processes.process().name
    except ProdserverError:
        default = ""
    rows = []
    for name in processes.table():
        row: dict[str, object] = {
            "name": _as_line(name),
            "backend": None,
            "argv": None,
            "command": None,
            "default": name == default,
            "error": None,
        }
        try:
            _fill(row, processes.entry(name), show_secrets)
        except ProdserverError as error:
            row["error"] = error.message
        rows.append(row)
    return rows


def _fill(row: dict[str, object], process: Process, show_secrets: bool) -> None:
    if backend := process.config.get("BACKEND"):
        row["backend"] = _as_line(backend)
    plan = make_plan(process)
    # A fault does not hide the command: processes are also listed where their
    # servers are not installed.
    if plan.faults:
        row["error"] = plan.faults[0].message
    commands = [list(command) for command in plan.commands]
    if not show_secrets:
        commands = [redact_words(words) for words in commands]
    if plan.command:
        row["argv"] = commands[0]
    if commands:
        row["command"] = " && ".join(map(shlex.join, commands))
    elif not plan.faults or not plan.backend.as_command():
        row["command"] = "start_server()"


def _as_line(value: object) -> str:
    """Return a name, or an invalid value in its place, as one short line."""
    plain = isinstance(value, str) and value.isprintable() and 0 < len(value) <= 100
    return str(value) if plain else safe_repr(value)


def with_path(plan: Plan, entry: Program | None = None) -> list[str]:
    """
    Return the words that run the command in a separate process.

    A management command is run by the project's entry, and a console script has its
    full path if PATH does not find it.
    """
    return _with_path(plan.command, plan, entry)


def _with_path(
    command: Sequence[str], plan: Plan, entry: Program | None = None
) -> list[str]:
    words = list(command)
    index = len(plan.prefix)
    if entry and words[index] == project.admin_script():
        return [*words[:index], *entry.command, *words[index + 1 :]]
    path = executable.find(words[index])
    found = shutil.which(words[index])
    if not found or not os.path.samefile(found, path):  # noqa: PTH121
        words[index] = path
    return words
