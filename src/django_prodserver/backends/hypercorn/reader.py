"""Read Hypercorn's configuration file, for ``backends/run_reader.py``."""

from __future__ import annotations

import sys
from importlib import import_module
from typing import Any

from hypercorn.config import Config

_names: list[str] = []


class RecordingConfig(Config):
    """Hypercorn's own configuration, which records what is set."""

    def __setattr__(self, name: str, value: Any) -> None:
        super().__setattr__(name, value)
        if hasattr(Config, name) and not name.startswith("_"):
            _names.append(name)


def read() -> dict[str, Any]:
    """Return what is set in the file that the command line names."""
    native: Any = import_module("hypercorn.__main__")
    # Patches hypercorn, checked with 0.18: nothing tells which settings a file has.
    native.Config = RecordingConfig
    config = native._load_config(sys.argv[1])
    return {
        "source": sys.argv[1],
        "settings": [
            [name, texts(getattr(config, name)), sys.argv[1]]
            for name in dict.fromkeys(_names)
            if name != "cert_reqs"  # cannot be read: it sets verify_mode
        ],
        "hooks": [],
    }


def texts(value: object) -> list[str]:
    """Return the values of a setting as a command line has them."""
    if value is None or value is False:
        return []
    if value is True:
        return [""]
    if isinstance(value, list | tuple):
        return [str(item) for item in value]
    return ["{...}" if isinstance(value, dict) else str(value)]
