"""Look at a project, propose, show the changes, and write them."""

from __future__ import annotations

import re
import shlex
import sys
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

from django_prodserver.commands import printing
from django_prodserver.commands.init import files, project, requirements, settings
from django_prodserver.commands.init.changes import Changes
from django_prodserver.commands.init.project import Inspection, Layout
from django_prodserver.commands.init.proposal import (
    LOCAL_HOSTS,
    WHITENOISE,
    Experiment,
    Proposal,
    propose,
)
from django_prodserver.commands.init.requirements import Requirements
from django_prodserver.exceptions import (
    ConfigurationError,
    ExitCode,
    Fault,
    ProdserverError,
    UsageError,
)

Write = Callable[[str], object]


class _Questions:
    """
    The questions to the user.

    Args:
        asks: Whether there is somebody to ask; if not, defaults are the answers.
    """

    def __init__(self, asks: bool) -> None:
        self._asks = asks

    def confirm(self, question: str) -> bool:
        if not self._asks:
            return True
        while True:
            answer = self._answer(f"{question} [Y/n] ").lower()
            if answer in ("", "y", "yes"):
                return True
            if answer in ("n", "no"):
                return False

    def choose(self, question: str, default: str) -> str:
        return (
            self._answer(f"{question} [{default}] ") if self._asks else ""
        ) or default

    def _answer(self, prompt: str) -> str:
        try:
            with printing.quietly(sys.stdout):
                return input(prompt).strip()
        except EOFError:
            print(file=sys.stderr)  # the prompt has no end of line
            message = "prodserver --init got no answer, and has changed nothing."
            raise UsageError(message, "To accept the defaults, add --yes.") from None
        except KeyboardInterrupt:
            print(file=sys.stderr)
            raise


class Interrupted(ProdserverError):
    """Raised on Ctrl-C."""

    returncode = ExitCode.INTERRUPTED


class _Decision(NamedTuple):
    """What the user has agreed to."""

    changes: Changes
    made: Proposal
    where: Requirements


def run(*, yes: bool, dry_run: bool, settings_module: str, write: Write) -> int:
    """
    Set up the project of the working directory.

    Args:
        yes: Whether to ask nothing.
        dry_run: Whether to write nothing.
        settings_module: The settings that the user has named; "" if none.
        write: What prints the result.

    Returns:
        The exit code.

    Raises:
        ProdserverError: Nothing was written, or the message says what.
    """
    if not (yes or dry_run or sys.stdin.isatty()):
        message = "prodserver --init asks questions, and there is no terminal."
        hint = (
            "To accept the defaults: prodserver --init --yes. To see them first: "
            "prodserver --init --dry-run"
        )
        raise UsageError(message, hint)
    questions = _Questions(asks=not (yes or dry_run))
    try:
        decided = _decide(questions, dry_run, settings_module, write)
    except KeyboardInterrupt:
        message = "prodserver --init was interrupted, and has changed nothing."
        raise Interrupted(message) from None
    if decided:
        kept = decided.changes.write()
        write(_report(decided, kept))
    return 0


def _decide(
    questions: _Questions, dry_run: bool, settings_module: str, write: Write
) -> _Decision | None:
    """Return what to write; None if there is nothing to write."""
    layout = project.find(Path.cwd(), settings_module)
    local = project.inspect(layout)
    inspected = _production(layout, local, questions, write)
    experiment = Experiment(layout, inspected)
    name = re.sub(r"[^a-z0-9]+", "_", layout.root.name.lower()).strip("_") or "app"
    if name[0].isdigit():
        name = f"app_{name}"
    made = propose(layout, inspected, experiment, name, questions.confirm)
    changes, where = _plan(layout, inspected, made, name)
    for note in made.notes:
        write(f"  {note}")
    if not changes.after:
        write("Nothing to change: the project is set up already.")
        return None
    write("")
    write(changes.diff())
    if dry_run:
        write("--dry-run: nothing was written.")
        return None
    if not questions.confirm(f"Write {len(changes.after)} files?"):
        write("Nothing was written.")
        return None
    return _Decision(changes, made, where)


def _production(
    layout: Layout, local: Inspection, questions: _Questions, write: Write
) -> Inspection:
    """Return the settings that the image is to use."""
    chosen = layout.settings
    if not chosen:
        modules = project.production_modules(local)
        chosen = modules[0]
        if len(modules) > 1:
            question = f"Settings for production ({', '.join(modules)})?"
            chosen = questions.choose(question, chosen)
            if chosen not in modules:
                chosen = project.other_module(local, chosen)
    write(f"Project in {layout.code}, settings for production: {chosen}")
    return local if chosen == local.settings else project.inspect(layout, chosen)


def _plan(
    layout: Layout, inspected: Inspection, made: Proposal, name: str
) -> tuple[Changes, Requirements]:
    """Plan all changes, and try them; in lists first, else at the end of the module."""
    problem = ""
    for in_place in (True, False):
        changes = Changes(layout.root)
        where = requirements.find(changes)
        settings.edit(changes, made, inspected, in_place=in_place)
        _add_requirements(changes, inspected, made, where)
        files.plan(changes, layout, inspected, made, where, name)
        problem = _try(layout, inspected, made, changes)
        if not problem:
            return changes, where
    message = f"The settings {inspected.settings!r} cannot be edited: {problem}"
    hint = "Nothing has been changed. docs/installation.md has the steps by hand."
    raise ConfigurationError(Fault.NO_SETTINGS, message, hint)


def _try(
    layout: Layout, inspected: Inspection, made: Proposal, changes: Changes
) -> str:
    """Return what is wrong with the settings after the change; "" if nothing is."""
    sources = {
        path: text for path, text in changes.after.items() if path.suffix == ".py"
    }
    environment = {
        **inspected.required,
        **files.build_environment(inspected, made),
        **{
            name: _interpolate(text).strip('"')
            for name, text in made.environment.items()
        },
        **made.private,
        **dict.fromkeys(made.secrets, "x" * 60),
    }
    try:
        after = project.inspect(
            layout, inspected.settings, overlay=sources, environment=environment
        )
    except ConfigurationError as error:
        return error.message
    values = after.values
    apps = values["INSTALLED_APPS"]
    if not any(app.partition(".")[0] == "django_prodserver" for app in apps):
        return "django_prodserver is not in INSTALLED_APPS afterwards."
    if settings.HEALTH not in values["MIDDLEWARE"]:
        return "the health middleware is not in MIDDLEWARE afterwards."
    if not made.is_static_served and WHITENOISE not in values["MIDDLEWARE"]:
        return "WhiteNoise is not in MIDDLEWARE afterwards."
    if not values["PROCESSES"]:
        return "PRODUCTION_PROCESSES is empty afterwards."
    if values["DEBUG"]:
        made.todo.append("DEBUG is still True in the container: set it to False.")
    if values["ALLOWED_HOSTS"] and not {"*", *LOCAL_HOSTS} & set(
        values["ALLOWED_HOSTS"]
    ):
        made.todo.append(
            f"ALLOWED_HOSTS is {values['ALLOWED_HOSTS']} in the container."
        )
    return ""


def _interpolate(text: str) -> str:
    """Return a value of compose.yaml as it is without any variable."""
    return re.sub(r"\$\{\w+:[?-]([^}]*)\}", lambda found: found[1] or "x", text)


def _add_requirements(
    changes: Changes, inspected: Inspection, made: Proposal, where: Requirements
) -> None:
    wanted = {requirements.OURS: requirements.ours(made.extras), **made.requirements}
    drivers = {"psycopg", "psycopg2", "psycopg2-binary", "psycopg-binary", "psycopg-c"}
    if made.database == "postgresql" and not drivers & where.names:
        wanted["psycopg"] = "psycopg[binary]"
    if "celery[redis]" in where.names:
        wanted.pop("kombu", None)
    path = changes.root / where.file
    if changes.read(path) is None:
        # There is no such file yet: what the project uses, as it is installed here.
        for package, version in sorted(inspected.distributions.items()):
            name = re.sub(r"[-_.]+", "-", package).lower()
            if name == requirements.OURS or name.endswith(("-stubs", "-types")):
                continue
            extra = "[binary]" if name == "psycopg" else ""
            wanted[name] = f"{name}{extra}=={version}"
    requirements.add(changes, where, wanted)


def _report(decided: _Decision, kept: Path | None) -> str:
    """Return what was written, what comes next, and what only a person can do."""
    changes, made, where = decided
    lines = ["Written:"]
    lines += [f"  {name}" for name in changes.names]
    if kept:
        lines.append(f"Copies of files that git does not have: {changes.name(kept)}/")
    undo = []
    copied = (
        {str(path.relative_to(kept)) for path in kept.rglob("*") if path.is_file()}
        if kept
        else set()
    )
    if versioned := [name for name in changes.changed if name not in copied]:
        undo.append(f"git checkout -- {shlex.join(versioned)}")
    if kept and copied:
        undo.append(f"cp -R {shlex.quote(changes.name(kept))}/. .")
    if new := changes.new:
        undo.append(f"rm {shlex.join(new)}")
    lines += ["To undo it:", f"  {' && '.join(undo)}", "", "Next:"]
    compose = files.compose_name(changes)[0]
    option = "" if compose == "compose.yaml" else f"-f {compose} "
    steps = []
    if where.file in changes.names:
        if where.lock:  # the Dockerfile installs what it holds
            steps.append(f"{where.tool} lock")
        elif where.tool != "pip":
            steps.append("uv sync" if where.tool == "uv" else f"{where.tool} install")
        elif where.file == "pyproject.toml":
            steps.append("python -m pip install .")
        else:
            steps.append(f"python -m pip install -r {where.file}")
    steps += [f"docker compose {option}up --build", "http://localhost:8000/"]
    lines += [f"  {step}" for step in steps]
    lines += ["", "Only you can do this:"]
    lines += [f"  [ ] {line}" for line in _checklist(made)]
    return "\n".join(lines)


def _checklist(made: Proposal) -> list[str]:
    database = "the database and " if made.database else ""
    return [
        "Secrets: .env has generated values for this machine. Give production its own, "
        "from a secret store, and never commit .env.",
        *made.todo,
        "TLS: put a proxy that ends TLS in front of web, and set TRUSTED_PROXIES and "
        "CSRF_TRUSTED_ORIGINS for it.",
        f"Backups: {database}all volumes of compose.yaml live on this machine only.",
        "Then: python manage.py check --deploy",
    ]
