"""The changes to the project's settings."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from django_prodserver.commands.init import source
from django_prodserver.commands.init.changes import Changes
from django_prodserver.commands.init.files import template
from django_prodserver.commands.init.project import Inspection
from django_prodserver.commands.init.proposal import WHITENOISE, Proposal

HEALTH = "django_prodserver.health.middleware.HealthMiddleware"
_SECURITY = "django.middleware.security.SecurityMiddleware"
_APP = "django_prodserver"


def edit(
    changes: Changes, made: Proposal, inspected: Inspection, *, in_place: bool
) -> None:
    """
    Plan the changes to the settings.

    Args:
        changes: The changes to add to.
        made: What is to be added.
        inspected: The settings that the image uses.
        in_place: Whether to insert into the lists where they are written. If not,
            lines at the end of the module change them.
    """
    values = inspected.values
    apps = _editable(changes, inspected, "INSTALLED_APPS") if in_place else None
    # Beside the list that all settings modules of the project share.
    shared = apps or inspected.file
    if not any(app.partition(".")[0] == _APP for app in values["INSTALLED_APPS"]):
        if apps:
            _insert(changes, apps, "INSTALLED_APPS", _APP, after="")
        else:
            is_tuple = values["INSTALLED_APPS_TYPE"] == "tuple"
            text = f'("{_APP}",)' if is_tuple else f'["{_APP}"]'
            _append(changes, shared, f"INSTALLED_APPS += {text}\n")
    _edit_middleware(changes, made, inspected, shared, in_place=in_place)
    if not made.is_static_served and not made.static_root:
        text = changes.read(shared) or ""
        root = f"{_base_directory(text)}/staticfiles"
        _append(changes, shared, f'STATIC_ROOT = f"{root}"\n')
        made.static_root = "staticfiles"
    if not values["PROCESSES"]:
        _append(changes, shared, processes(made.processes))
    if made.overrides:
        block = template("block.txt") + "\n" + "\n".join(made.overrides)
        if template("block.txt").splitlines()[0] not in (
            changes.read(inspected.file) or ""
        ):
            _append(changes, inspected.file, block)


def _base_directory(text: str) -> str:
    if source.assigns(text, "BASE_DIR"):
        return "{BASE_DIR}"
    return "{__import__('pathlib').Path(__file__).resolve().parent}"


def _edit_middleware(
    changes: Changes,
    made: Proposal,
    inspected: Inspection,
    shared: Path,
    *,
    in_place: bool,
) -> None:
    values = inspected.values
    middleware = values["MIDDLEWARE"] or []
    wants_health = HEALTH not in middleware
    wants_static = not made.is_static_served
    listed = _editable(changes, inspected, "MIDDLEWARE") if in_place else None
    if listed:
        if wants_static and _SECURITY in middleware:
            _insert(changes, listed, "MIDDLEWARE", WHITENOISE, after=_SECURITY)
        elif wants_static:
            _insert(changes, listed, "MIDDLEWARE", WHITENOISE, after=None)
        if wants_health:
            _insert(changes, listed, "MIDDLEWARE", HEALTH, after=None)
        return
    new = []
    if wants_health:
        new.append(HEALTH)
    at = middleware.index(_SECURITY) + 1 if _SECURITY in middleware else 0
    if wants_static:
        new.append(WHITENOISE)
    if not new:
        return
    lines = [f'    "{name}",' for name in new[:1]]
    if len(new) == 1 and new[0] == WHITENOISE and at:
        text = f"    *MIDDLEWARE[:{at}],\n{lines[0]}\n    *MIDDLEWARE[{at}:],"
    elif len(new) == 2 and at:
        text = (
            f'{lines[0]}\n    *MIDDLEWARE[:{at}],\n    "{WHITENOISE}",\n'
            f"    *MIDDLEWARE[{at}:],"
        )
    else:
        text = "\n".join([*(f'    "{name}",' for name in new), "    *MIDDLEWARE,"])
    if not middleware and not _is_bound(changes, inspected, "MIDDLEWARE"):
        text = text.replace("\n    *MIDDLEWARE,", "")
    _append(changes, shared, f"MIDDLEWARE = [\n{text}\n]\n")


def _is_bound(changes: Changes, inspected: Inspection, name: str) -> bool:
    files = inspected.files.values()
    return any(source.assigns(changes.read(file) or "", name) for file in files)


def _editable(changes: Changes, inspected: Inspection, name: str) -> Path | None:
    """Return the file whose list can be edited, if it is the only one."""
    found = [
        file
        for file in dict.fromkeys(inspected.files.values())
        if source.find_list(changes.read(file) or "", name) is not None
    ]
    return found[0] if len(found) == 1 else None


def _insert(
    changes: Changes, file: Path, name: str, text: str, *, after: str | None
) -> None:
    changes.set(file, source.insert(changes.read(file) or "", name, text, after=after))


def _append(changes: Changes, file: Path, text: str) -> None:
    changes.set(file, source.append(changes.read(file) or "", text))


def processes(table: Mapping[str, Mapping[str, Any]]) -> str:
    """Return ``PRODUCTION_PROCESSES`` as it is written in settings."""
    lines = ["PRODUCTION_PROCESSES = {"]
    for name, config in table.items():
        lines.append(f'    "{name}": {{')
        for key, value in config.items():
            lines.append(f'        "{key}": {_literal(value)},')
        lines.append("    },")
    return "\n".join([*lines, "}"]) + "\n"


def _literal(value: object) -> str:
    if isinstance(value, dict):
        items = ", ".join(f'"{key}": {_literal(item)}' for key, item in value.items())
        return f"{{{items}}}"
    if isinstance(value, list):
        return f"[{', '.join(_literal(item) for item in value)}]"
    return f'"{value}"' if isinstance(value, str) else repr(value)
