"""``--export procfile``: a Procfile, for Heroku, Dokku, honcho and others."""

from __future__ import annotations

from django_prodserver.commands.export.files import HEADER
from django_prodserver.commands.export.project import Project, unique_slugs


def files(project: Project) -> dict[str, str]:
    """Return the one file."""
    lines = [f"# {HEADER} procfile"]
    # A platform runs the line "release" once, before it starts the others.
    if commands := [f"prodserver {each.name}" for each in project.releases]:
        lines.append(f"release: {' && '.join(commands)}")
    slugs = unique_slugs(project)
    lines += [
        f"{slugs[each.name]}: prodserver {each.name}" for each in project.services
    ]
    return {"Procfile": "".join(f"{line}\n" for line in lines)}
