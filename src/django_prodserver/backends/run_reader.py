"""
Read a server's configuration with its own parser, and print it as JSON.

``elsewhere.read_configuration`` runs this file as a script. It imports nothing of
django-prodserver, so only the standard library and the server are loaded.

Arguments: the path of a file with a function ``read()``, and the words of the command
line that it passes to the server.

``read()`` returns a dictionary with ``source``, ``settings`` (lists of name, values and
origin) and ``hooks``, as ``elsewhere.Configuration`` has them. Before that, it lets
the server change this process as it does before it loads an application. The rest
of ``Configuration`` is added here, where ``read()`` does not return it.
"""

from __future__ import annotations

import json
import os
import runpy
import sys
from pathlib import Path
from typing import Any, TextIO


def main() -> None:
    """Read the configuration, and print it with the changes that it made."""
    report = take_standard_output()
    read = runpy.run_path(sys.argv[1])["read"]
    del sys.argv[1]
    before = snapshot()
    found = read()
    with report:
        json.dump({**changes(before, snapshot()), **found}, report)


def take_standard_output() -> TextIO:
    """Return standard output, and discard what the user's file prints."""
    report = os.fdopen(os.dup(1), "w")
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, 1)
    os.dup2(nowhere, 2)
    return report


def snapshot() -> dict[str, Any]:
    """Return the state of this process that an application can see."""
    umask = os.umask(0)
    os.umask(umask)
    return {
        "environment": dict(os.environ),
        "path": list(sys.path),
        "umask": umask,
        "directory": str(Path.cwd()),
    }


def changes(before: dict[str, Any], after: dict[str, Any]) -> dict[str, Any]:
    """Return the changes in this process."""
    old, new = before["environment"], after["environment"]
    # Servers always add the working directory.
    known = (*before["path"], before["directory"], after["directory"])
    is_same_umask = after["umask"] == before["umask"]
    return {
        "environment": {
            name: new.get(name)
            for name in {**old, **new}
            if old.get(name) != new.get(name)
        },
        "path": [path for path in after["path"] if path not in known],
        "umask": "" if is_same_umask else oct(after["umask"]),
        "patched_by": patched_by(),
    }


def patched_by() -> str:
    """Return the library that has patched the standard library; "" if none has."""
    gevent = sys.modules.get("gevent.monkey")
    if gevent and gevent.is_anything_patched():
        return "gevent"
    eventlet = sys.modules.get("eventlet.patcher")
    if eventlet and eventlet.already_patched:
        return "eventlet"
    return ""


if __name__ == "__main__":
    main()
