"""Processes and commands as text, for people and for machines."""

from __future__ import annotations

import json
import os
import shlex
import shutil

from django_prodserver.backends.base import Backend
from django_prodserver.config import processes
from django_prodserver.exceptions import ProdserverError
from django_prodserver.launch import launcher
from django_prodserver.launch.launcher import Plan
from django_prodserver.process import executable
from django_prodserver.text import redact, redact_words, safe_repr


def command_line(plan: Plan, show_secrets: bool = False) -> str:
    """Return the native command, or commands, as one line that a shell runs."""
    commands = _native(plan)
    if not commands:
        path, args = plan.process.config["BACKEND"], plan.args
        words = args if show_secrets else redact_words(args)
        return f"# {path} has no native command; it is called with: {shlex.join(words)}"
    environment = plan.environment
    commands = [_with_path(words, plan) for words in commands]
    if not show_secrets:
        environment = {name: redact(text, name) for name, text in environment.items()}
        commands = [redact_words(words) for words in commands]
    settings = [f"{name}={shlex.quote(text)}" for name, text in environment.items()]
    lines = [" ".join([*settings, shlex.join(words)]) for words in commands]
    return " && ".join(lines)


def as_text(show_secrets: bool = False) -> str:
    """Return a table of the processes: name, backend, command."""
    rows = [("NAME", "BACKEND", "COMMAND")]
    for row in _rows(show_secrets):
        name = f"{row['name']} (default)" if row["default"] else str(row["name"])
        backend = str(row["backend"] or "-").rpartition(".")[2]
        command = row["command"]
        if error := row["error"]:
            # As a comment of the shell's: it can be pasted with the command.
            command = f"{command}  # {error}" if command else f"# {error}"
        rows.append((name, backend, str(command)))
    widths = [max(len(row[column]) for row in rows) for column in (0, 1)]
    text = "\n".join(
        f"{name:{widths[0]}}  {backend:{widths[1]}}  {command}"
        for name, backend, command in rows
    )
    # A command that cannot start is listed too, with what no terminal takes.
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
    rows: list[dict[str, object]] = []
    for name in processes.table():
        row: dict[str, object] = dict.fromkeys(
            ("name", "backend", "argv", "command", "default", "error")
        )
        row |= {"name": _line(name), "default": name == default}
        try:
            process = processes.entry(name)
            if backend := process.config.get("BACKEND"):
                row["backend"] = _line(backend)
            for _, fault in process.faults():
                raise fault
            # Faults do not hide the command: it can be listed where the server
            # is not installed.
            plan = launcher.plan(process, check=False)
            commands = _native(plan)
            if not show_secrets:
                commands = [redact_words(words) for words in commands]
            if plan.argv:
                row["argv"] = commands[0]
            row["command"] = " && ".join(map(shlex.join, commands)) or "start_server()"
            launcher.plan(process)
        except ProdserverError as error:
            row["error"] = error.message
        rows.append(row)
    return rows


def _line(value: object) -> str:
    """Return what may be anything, where a name is meant, as a short line."""
    plain = isinstance(value, str) and value.isprintable() and 0 < len(value) <= 100
    return str(value) if plain else safe_repr(value)


def with_path(plan: Plan) -> list[str]:
    """Return the command's words, with the script's whole path if PATH needs it."""
    return _with_path(plan.argv or [], plan)


def _native(plan: Plan) -> list[list[str]]:
    """Return what can be typed instead; nothing where that is no command."""
    if plan.argv:
        return [plan.argv]
    backend = plan.backend
    return backend.native(plan.args) if isinstance(backend, Backend) else []


def _with_path(argv: list[str], plan: Plan) -> list[str]:
    words = list(argv)
    index = len(plan.process.config.get("PREFIX", ()))
    path = executable.find(words[index])
    found = shutil.which(words[index])
    if not found or not os.path.samefile(found, path):  # noqa: PTH121
        words[index] = path
    return words
