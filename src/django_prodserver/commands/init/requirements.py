"""How a project keeps its requirements, and a new one among them."""

from __future__ import annotations

import re
import tomllib
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from typing import Any

from django_prodserver.commands.init.changes import Changes
from django_prodserver.exceptions import ConfigurationError, Fault

_NAME = re.compile(r"\s*([A-Za-z0-9][A-Za-z0-9._-]*)(?:\s*\[([^\]]*)\])?")
_FILES = (
    "requirements/production.txt",
    "requirements/prod.txt",
    "requirements.txt",
    "requirements/base.txt",
    "requirements/requirements.txt",
)
OURS = "django-prodserver"


@dataclass(frozen=True)
class Requirements:
    """
    Where the requirements are.

    Args:
        tool: "pip", "uv", "poetry" or "pdm".
        file: The file that names them, from the root; it may not exist yet.
        names: The packages that it names, in the form that an index gives them.
        lock: The tool's lock file; "" if there is none.
    """

    tool: str
    file: str
    names: frozenset[str]
    lock: str = ""


def find(changes: Changes) -> Requirements:
    """
    Return where a project keeps its requirements.

    Raises:
        ConfigurationError: Its pyproject.toml cannot be read.
    """
    root = changes.root
    pyproject = _pyproject(changes)
    tool: dict[str, Any] = pyproject.get("tool", {})
    project = pyproject.get("project", {})
    names = {
        _normal(name) for text in project.get("dependencies", []) for name in _of(text)
    }
    poetry = tool.get("poetry")
    if isinstance(poetry, dict):
        names |= {_normal(name) for name in poetry.get("dependencies", {})}
    for manager in ("poetry", "pdm", "uv"):
        lock = f"{manager}.lock" if (root / f"{manager}.lock").exists() else ""
        if (lock or manager in tool) and (project or poetry):
            return Requirements(manager, "pyproject.toml", frozenset(names), lock)
    for file in _FILES:
        if (root / file).is_file():
            return Requirements("pip", file, frozenset(_listed(root / file)))
    if "dependencies" in project:
        return Requirements("pip", "pyproject.toml", frozenset(names))
    return Requirements("pip", "requirements.txt", frozenset())


def add(changes: Changes, where: Requirements, wanted: dict[str, str]) -> None:
    """
    Plan the new requirements.

    Args:
        changes: The changes to add to.
        where: Where they are kept.
        wanted: Names of packages, and the requirement to write for each.
    """
    path = changes.root / where.file
    text = changes.read(path) or ""
    missing = {name: line for name, line in wanted.items() if name not in where.names}
    # One that is there may lack an extra.
    if OURS in where.names and OURS in wanted:
        text = _with_extras(text, wanted[OURS])
    if where.file != "pyproject.toml":
        newline = "\r\n" if "\r\n" in text else "\n"
        if text and not text.endswith("\n"):
            text += newline
        text += "".join(f"{line}{newline}" for line in missing.values())
    elif missing:
        text = _into_pyproject(text, missing)
    if text:
        changes.set(path, text)


def ours(extras: list[str]) -> str:
    """Return the requirement of this package."""
    return f"{OURS}[{','.join(sorted(extras))}]>={metadata.version(OURS)}"


def _with_extras(text: str, requirement: str) -> str:
    """Add the extras of a requirement to the one of the same name in a file."""
    extras = set(
        requirement[requirement.index("[") + 1 : requirement.index("]")].split(",")
    )

    def merge(found: re.Match[str]) -> str:
        has = {extra.strip() for extra in (found[2] or "").split(",") if extra.strip()}
        if extras <= has or "all" in has:
            return found[0]
        return f"{found[1]}[{','.join(sorted(has | extras))}]"

    pattern = rf"(?m)^([ \t]*[\"']?{OURS})(?:\[([^\]]*)\])?(?=[\s\"'<>=~!;,]|$)"
    return re.sub(pattern, merge, text)


def _into_pyproject(text: str, missing: dict[str, str]) -> str:
    newline = "\r\n" if "\r\n" in text else "\n"
    if array := _dependencies(text):
        start, end = array
        inside = text[start:end]
        if "\n" in inside:
            indent = next(
                (
                    line[: len(line) - len(line.lstrip())]
                    for line in inside.splitlines()[1:]
                    if line.strip()
                ),
                "  ",
            )
            kept = inside.rstrip()
            code = kept.splitlines()[-1] if kept else ""
            last_comment = code.lstrip().startswith("#") or " #" in code
            comma = "" if not kept or kept.endswith(",") or last_comment else ","
            lines = "".join(f'{newline}{indent}"{line}",' for line in missing.values())
            return f"{text[:start]}{kept}{comma}{lines}{newline}{text[end:].lstrip()}"
        kept = inside.strip().rstrip(",")
        items = [*([kept] if kept else []), *(f'"{line}"' for line in missing.values())]
        return f"{text[:start]}{', '.join(items)}{text[end:]}"
    header = re.search(r"(?m)^\[tool\.poetry\.dependencies\][^\n]*\n", text)
    if header:
        lines = "".join(f"{_poetry(line)}{newline}" for line in missing.values())
        # At the end of the table.
        following = re.compile(r"(?m)^\[").search(text, header.end())
        end = following.start() if following else len(text)
        body = text[header.end() : end].rstrip()
        rest = f"{newline}{text[end:]}" if following else ""
        return f"{text[: header.end()]}{body}{newline}{lines}{rest}"
    array_lines = "".join(f'  "{line}",{newline}' for line in missing.values())
    table = f"dependencies = [{newline}{array_lines}]{newline}"
    found = re.search(r"(?m)^\[project\][^\n]*\n", text)
    if found:
        return f"{text[: found.end()]}{table}{text[found.end() :]}"
    return text


def _dependencies(text: str) -> tuple[int, int] | None:
    """Return where the array of ``[project] dependencies`` starts and ends."""
    project = re.search(r"(?m)^\[project\][^\n]*\n", text)
    if not project:
        return None
    following = re.compile(r"(?m)^\[[^\]\n\"']+\][ \t]*(#.*)?$").search(
        text, project.end()
    )
    limit = following.start() if following else len(text)
    key = re.compile(r"(?m)^dependencies\s*=\s*\[").search(text, project.end(), limit)
    if not key:
        return None
    quote, at = "", key.end()
    while at < len(text):
        character = text[at]
        if quote:
            quote = "" if character == quote else quote
        elif character in "\"'":
            quote = character
        elif character == "#":
            at = text.find("\n", at)
            if at < 0:
                return None
        elif character == "]":
            return key.end(), at
        at += 1
    return None


def _poetry(requirement: str) -> str:
    name, _, rest = requirement.partition("[")
    if rest:
        extras, _, version = rest.partition("]")
        listed = ", ".join(f'"{extra}"' for extra in extras.split(","))
        return f'{name} = {{version = "{version or "*"}", extras = [{listed}]}}'
    found = re.match(r"([\w.-]+)(.*)", requirement)
    assert found  # noqa: S101  # it is ours
    return f'{found[1]} = "{found[2] or "*"}"'


def _pyproject(changes: Changes) -> dict[str, Any]:
    text = changes.read(changes.root / "pyproject.toml")
    try:
        return tomllib.loads(text) if text else {}
    except tomllib.TOMLDecodeError as error:
        message = f"pyproject.toml cannot be read: {error}."
        raise ConfigurationError(
            Fault.NO_SETTINGS, message, "Correct it, and run this again."
        ) from None


def _listed(path: Path, seen: frozenset[Path] = frozenset()) -> set[str]:
    """Return the names in a requirements file, and in those that it includes."""
    names: set[str] = set()
    try:
        lines = path.read_text("utf-8").splitlines()
    except (OSError, UnicodeDecodeError):
        return names
    for line in lines:
        included = re.match(r"\s*(?:-r|--requirement)[\s=]*(\S+)", line)
        if included and path not in seen:
            names |= _listed(path.parent / included[1], seen | {path})
        else:
            names |= {_normal(name) for name in _of(line)}
    return names


def _of(line: str) -> list[str]:
    """Return the package of a requirement; and with each extra, ``celery[redis]``."""
    found = _NAME.match(line)
    if not found:
        return []
    extras = re.sub(r"\s", "", found[2] or "").split(",")
    return [found[1], *(f"{found[1]}[{extra}]" for extra in extras if extra)]


def _normal(name: str) -> str:
    """Return a name as an index has it."""
    return re.sub(r"[-_.]+", "-", name).lower()
