"""What Gunicorn reads beside its command line: its variable and its file."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from django_prodserver.backends.elsewhere import Elsewhere, read_configuration

VARIABLE = "GUNICORN_CMD_ARGS"
#: The file that Gunicorn reads where no option names one.
DEFAULT_FILE = "gunicorn.conf.py"
_SCRIPT = Path(__file__).with_name("read_configuration.py")


@dataclass(frozen=True)
class Configuration:
    """
    What Gunicorn's own parser makes of ``GUNICORN_CMD_ARGS`` and its file.

    Attributes:
        file: The file, as the user names it; "" if there is none.
        settings: What is set there, by Gunicorn's name of the setting.
        hooks: The server hooks that the file defines: ``post_fork``, for example.
        environment: The variables that it changes; None for those that it removes.
        path: What it adds to ``sys.path``.
        umask: The umask that the file has set; "" if it is as before.
        patched_by: "gevent" or "eventlet" if the file has let it patch the standard
            library; else "".
    """

    file: str = ""
    settings: Mapping[str, Elsewhere] = field(default_factory=dict)
    hooks: tuple[str, ...] = ()
    environment: Mapping[str, str | None] = field(default_factory=dict)
    path: tuple[str, ...] = ()
    umask: str = ""
    patched_by: str = ""

    @property
    def source(self) -> str:
        """What was read, in a word."""
        return self.file or VARIABLE


def effective(config: str, environment: Mapping[str, str]) -> Configuration:
    """
    Return what Gunicorn reads beside its command line.

    It is empty if there is nothing to read, and if Gunicorn itself cannot read it.

    Args:
        config: The value of ``--config``; "" if it is not on the command line.
        environment: The environment in which Gunicorn will run.
    """
    if not (config or environment.get(VARIABLE) or Path(DEFAULT_FILE).exists()):
        return Configuration()
    words = [f"--config={config}"] if config else []
    report = read_configuration(_SCRIPT, words, environment)
    if not report:
        return Configuration()
    file = report["file"]
    if file == str(Path(DEFAULT_FILE).absolute()):
        file = DEFAULT_FILE
    settings = {
        name: Elsewhere(
            name,
            tuple(setting["values"]),
            file if setting["origin"] == "file" else setting["origin"],
        )
        for name, setting in report["settings"].items()
    }
    return Configuration(
        file=file,
        settings=settings,
        hooks=tuple(report["hooks"]),
        environment=report["environment"],
        path=tuple(report["path"]),
        umask=report["umask"],
        patched_by=report["patched_by"],
    )
