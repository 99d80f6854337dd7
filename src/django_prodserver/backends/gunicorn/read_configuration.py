"""
Print what Gunicorn's own parser makes of its configuration, as JSON.

The launcher runs this file as a script (``configuration.py``). It imports nothing of
ours, so that only the standard library and Gunicorn are loaded.

Arguments: the options of the command line that decide which file is read.
"""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path
from typing import Any, TextIO


def main() -> None:
    """Read the configuration, and report it."""
    report = take_standard_output()
    before = snapshot()
    sys.argv = ["gunicorn", "application", *sys.argv[1:]]
    described = describe(before)
    with report:
        json.dump(described, report)


def take_standard_output() -> TextIO:
    """Return the standard output, and let what the user's file prints go nowhere."""
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
        "directory": str(Path.cwd()),
        "path": list(sys.path),
        "umask": umask,
    }


def describe(before: dict[str, Any]) -> dict[str, Any]:
    """
    Return the configuration, and what it changes before an application is loaded.

    Args:
        before: The state of this process before anything was read.
    """
    from gunicorn.app.wsgiapp import WSGIApplication

    class Reader(WSGIApplication):  # type: ignore[misc]
        file = ""
        names: tuple[str, ...] = ()

        def do_load_config(self) -> None:
            # Without Gunicorn's message and exit: nobody would see them.
            self.load_default_config()
            self.load_config()

        def load_config_from_file(self, filename: str) -> Any:
            found = super().load_config_from_file(filename)
            self.file = filename
            self.names = tuple(name for name in found if name in self.cfg.settings)
            return found

    reader = Reader()
    cfg = reader.cfg
    # What Gunicorn does itself before it loads the application.
    os.environ.update(cfg.env)
    paths = (cfg.pythonpath or "").split(",")
    sys.path[:0] = [os.path.abspath(path) for path in paths if path]  # noqa: PTH100

    variables = vars(cfg.parser().parse_args(cfg.get_cmd_args_from_env()))
    origins = dict.fromkeys(reader.names, "file")
    origins |= {
        name: "GUNICORN_CMD_ARGS"
        for name, value in variables.items()
        if value is not None and name in cfg.settings
    }
    after = snapshot()
    hooks = [name for name in origins if is_hook(cfg.settings[name])]
    return {
        "file": reader.file,
        "settings": {
            name: {"origin": origin, "values": texts(cfg.settings[name])}
            for name, origin in origins.items()
            if name not in hooks
        },
        "hooks": hooks,
        "environment": difference(before["environment"], after["environment"]),
        # Gunicorn always adds the directory in which it runs.
        "path": [
            path
            for path in after["path"]
            if path not in (*before["path"], before["directory"])
        ],
        "umask": "" if after["umask"] == before["umask"] else oct(after["umask"]),
        "patched_by": patched_by(),
    }


def is_hook(setting: Any) -> bool:
    """Tell whether a setting is a function of the user."""
    value = setting.get()
    return callable(value) and not isinstance(value, type)


def texts(setting: Any) -> list[str]:
    """Return the values of a setting as a command line has them."""
    value = setting.get()
    if value is None or value is False:
        return []
    if value is True:
        return [""]
    if isinstance(value, type):
        return [f"{value.__module__}.{value.__qualname__}"]
    if isinstance(value, dict):
        return ["{...}"]
    if isinstance(value, list | tuple):
        items = [str(item) for item in value]
        return items if setting.action == "append" else [",".join(items)]
    return [str(value)]


def difference(before: dict[str, str], after: dict[str, str]) -> dict[str, str | None]:
    """Return the variables that have changed; None for those that are gone."""
    return {
        name: after.get(name)
        for name in {**before, **after}
        if before.get(name) != after.get(name)
    }


def patched_by() -> str:
    """Return the library that has patched the standard library, and "" if none has."""
    gevent = sys.modules.get("gevent.monkey")
    if gevent and gevent.is_anything_patched():
        return "gevent"
    eventlet = sys.modules.get("eventlet.patcher")
    if eventlet and eventlet.already_patched:
        return "eventlet"
    return ""


if __name__ == "__main__":
    main()
