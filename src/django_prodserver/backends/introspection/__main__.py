"""
Write the option table of every backend, from the servers that are installed.

    make options    write every table

    python -m django_prodserver.backends.introspection [--check] [TABLE ...]

The table of a server that is not installed stays as it is.
"""

from __future__ import annotations

import argparse
import difflib
from collections.abc import Iterable
from importlib.metadata import PackageNotFoundError
from importlib.util import find_spec

import django
from django.conf import settings

from django_prodserver.backends.introspection import OptionFile, to_json
from django_prodserver.backends.introspection.installed import (
    InstalledOptions,
    all_tables,
)


def main() -> int:
    """Write or check the tables; return 0 if all are current, 1 if not."""
    tables = {str(file): (file, installed) for file, installed in all_tables().items()}
    parser = argparse.ArgumentParser(
        prog="python -m django_prodserver.backends.introspection"
    )
    parser.add_argument("table", nargs="*", help="one of " + ", ".join(tables))
    parser.add_argument("--check", action="store_true", help="write nothing")
    given = parser.parse_args()
    if unknown := set(given.table) - set(tables):
        parser.error(f"no table named {', '.join(sorted(unknown))}")
    set_up_django(installed for _, installed in tables.values())
    are_current = [
        process_table(*tables[name], write=not given.check)
        for name in given.table or tables
    ]
    return 0 if all(are_current) else 1


def process_table(
    file: OptionFile, installed: InstalledOptions, *, write: bool
) -> bool:
    """Write a table, or only compare it; return whether it is current afterwards."""
    package = installed.distribution
    try:
        version = installed.version
    except PackageNotFoundError:
        print(f"{file}: {package} is not installed, left as it is")
        return True
    old = file.path.read_text() if file.path.exists() else ""
    options = installed.read_options()
    new = to_json(package, version, options)
    if write:
        file.path.write_text(new)
        print(f"{file}: {len(options)} options of {package} {version}")
        return True
    if old == new:
        print(f"{file}: as in {package} {version}")
        return True
    print(f'{file}: differs from {package} {version}; run "make options"')
    print(*difflib.unified_diff(old.split("\n"), new.split("\n"), n=0), sep="\n")
    return False


def set_up_django(tables: Iterable[InstalledOptions]) -> None:
    """Configure Django just enough to load the management commands."""
    apps = ["django.contrib.contenttypes"]
    more: dict[str, object] = {}
    for installed in tables:
        if installed.app and find_spec(installed.app):
            apps.append(installed.app)
            more |= installed.settings
    settings.configure(
        INSTALLED_APPS=apps,
        DATABASES={"default": {"ENGINE": "django.db.backends.sqlite3"}},
        **more,
    )
    django.setup()


if __name__ == "__main__":
    raise SystemExit(main())
