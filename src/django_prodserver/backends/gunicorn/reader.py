"""Read Gunicorn's configuration, for ``backends/run_reader.py``."""

from __future__ import annotations

import contextlib
import os
import sys
from typing import Any

from gunicorn import util
from gunicorn.app.wsgiapp import WSGIApplication

#: The modules of worker classes that patch the standard library.
_PATCHING = {
    "gunicorn.workers.ggevent": "gevent",
    "gunicorn.workers.geventlet": "eventlet",
}


class Reader(WSGIApplication):  # type: ignore[misc]
    """
    Gunicorn's own application, which reads the configuration and loads nothing.

    Attributes:
        file: The file that it has read; "" if there is none.
        names: The settings in it.
    """

    file = ""
    names: tuple[str, ...] = ()

    def do_load_config(self) -> None:
        """Do it without Gunicorn's message and exit, which would be invisible."""
        self.load_default_config()
        self.load_config()

    def load_config_from_file(self, filename: str) -> Any:
        """Remember what is in the file."""
        found = super().load_config_from_file(filename)
        self.file = filename
        self.names = tuple(name for name in found if name in self.cfg.settings)
        return found


def read() -> dict[str, Any]:
    """Return what is set in GUNICORN_CMD_ARGS and in Gunicorn's file."""
    sys.argv = ["gunicorn", "application", *sys.argv[1:]]
    default = os.path.abspath("gunicorn.conf.py")  # noqa: PTH100
    reader = Reader()
    file = "gunicorn.conf.py" if reader.file == default else reader.file
    cfg = reader.cfg
    # What Gunicorn does before it loads the application.
    os.environ.update(cfg.env)
    paths = (cfg.pythonpath or "").split(",")
    sys.path[:0] = [os.path.abspath(path) for path in paths if path]  # noqa: PTH100

    variable = vars(cfg.parser().parse_args(cfg.get_cmd_args_from_env()))
    origins = dict.fromkeys(reader.names, file)
    for name, value in variable.items():
        if value is not None and name in cfg.settings:
            origins[name] = "GUNICORN_CMD_ARGS"
    hooks = [name for name in origins if is_hook(cfg.settings[name].get())]
    return {
        "source": file or "GUNICORN_CMD_ARGS",
        "settings": [
            [name, texts(cfg.settings[name]), origin]
            for name, origin in origins.items()
            if name not in hooks
        ],
        "hooks": hooks,
        **patches(cfg.settings["worker_class"].get()),
    }


def patches(worker: object) -> dict[str, str]:
    """Return the library with which a worker class patches the standard library."""
    if isinstance(worker, str) and "." not in worker:
        return {}  # one of Gunicorn's own, by its short name
    # What is wrong with it, Gunicorn reports when it starts.
    with contextlib.suppress(Exception):
        for base in util.load_class(worker).__mro__:
            if library := _PATCHING.get(base.__module__):
                return {"patched_by": library}
    return {}


def is_hook(value: object) -> bool:
    """Tell whether a setting's value is a function of the user."""
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
