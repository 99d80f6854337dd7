"""Find a project, and what its settings say."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from django_prodserver.exceptions import ConfigurationError, Fault, UsageError
from django_prodserver.process import entry
from django_prodserver.text import did_you_mean

_RUNNER = Path(__file__).with_name("runner.py")
_TIMEOUT = 120
_DATABASE_URL = re.compile(r"(DATABASE|DB|POSTGRES\w*|MYSQL)_?UR[LI]$")


@dataclass(frozen=True)
class Layout:
    """
    Where the project is.

    Args:
        root: The directory that becomes the image's ``/app``.
        manage: Its ``manage.py``; None if it has none.
        settings: The settings module that the user has named; "" if none.
    """

    root: Path
    manage: Path | None
    settings: str

    @property
    def code(self) -> Path:
        """The directory that the project is imported from."""
        return self.manage.parent if self.manage else self.root

    @property
    def subdirectory(self) -> str:
        """``code`` below ``root``; "" if they are the same."""
        relative = os.path.relpath(self.code, self.root)
        return "" if relative == "." else relative


def find(root: Path, settings: str) -> Layout:
    """
    Find the project of the working directory.

    Raises:
        ConfigurationError: There is none, or more than one.
    """
    root = root.resolve()
    if manage := entry.configured_script():
        return Layout(root, (root / manage).resolve(), settings)
    if (root / "manage.py").is_file():
        return Layout(root, root / "manage.py", settings)
    below = sorted(
        path
        for path in root.glob("*/manage.py")
        if not path.parent.name.startswith(".")
    )
    if len(below) == 1:
        return Layout(root, below[0], settings)
    if len(below) > 1:
        names = ", ".join(str(path.relative_to(root)) for path in below)
        message = f"{root} has more than one project: {names}."
        hint = f"Run it in one of them: cd {below[0].parent.name}"
        raise ConfigurationError(Fault.NO_SETTINGS, message, hint)
    if settings:
        return Layout(root, None, settings)
    message = f"No Django project in {root}: there is no manage.py."
    hint = (
        "Run it in the directory of manage.py, or set DJANGO_SETTINGS_MODULE, for "
        "example: DJANGO_SETTINGS_MODULE=project.settings prodserver --init"
    )
    raise ConfigurationError(Fault.NO_SETTINGS, message, hint)


@dataclass
class Inspection:
    """What one settings module of the project holds."""

    settings: str
    file: Path
    files: dict[str, Path]
    values: dict[str, Any]
    celery: dict[str, Any]
    reads: dict[str, bool]
    has_base_dir: bool
    distributions: dict[str, str] = field(default_factory=dict)
    modules: list[str] = field(default_factory=list)
    #: Files of the project, from its root, that are opened for writing at the start.
    opened: list[str] = field(default_factory=list)
    #: Variables without which the settings cannot be loaded, with values for a try.
    required: dict[str, str] = field(default_factory=dict)


def inspect(
    layout: Layout,
    settings: str = "",
    *,
    overlay: Mapping[Path, str] | None = None,
    environment: Mapping[str, str] | None = None,
    sentinels: Mapping[str, str] | None = None,
) -> Inspection:
    """
    Load a settings module as the project's ``manage.py`` does, in another Python.

    Args:
        layout: The project.
        settings: The module; that of ``manage.py`` by default.
        overlay: Source to use in place of files.
        environment: More variables.
        sentinels: Variables with values to find in the settings.

    Raises:
        ConfigurationError: They cannot be loaded.
    """
    required: dict[str, str] = {}
    while True:
        variables = {**required, **(environment or {}), **(sentinels or {})}
        result = _run(layout, settings, overlay or {}, variables, sentinels or {})
        # Variables that were missing, the last one read at the end.
        missing = [name for name, found in result.get("reads", {}).items() if not found]
        if "error" not in result or not missing or result.get("is_syntax"):
            break
        name = missing[-1]
        words = result["error"]
        if name in variables or not (name in words or "KeyError" in words):
            break
        required[name] = sample(name)
    _reject(layout, settings, result)
    return Inspection(
        settings=result["settings"],
        file=Path(result["file"]),
        files={name: Path(path) for name, path in result["files"].items()},
        values=result["values"],
        celery=result["celery"],
        reads=result["reads"],
        has_base_dir=result["base_dir"],
        distributions=result.get("distributions", {}),
        modules=result.get("modules", []),
        opened=[os.path.relpath(path, layout.root) for path in result["opened"]],
        required=required,
    )


def _run(
    layout: Layout,
    settings: str,
    overlay: Mapping[Path, str],
    variables: Mapping[str, str],
    sentinels: Mapping[str, str],
) -> dict[str, Any]:
    request = {
        "root": str(layout.root),
        "manage": str(layout.manage) if layout.manage else "",
        "settings": settings or layout.settings,
        "overlay": {str(path): text for path, text in overlay.items()},
        "sentinels": list(sentinels.values()),
        "drivers": not sentinels,
    }
    environment = {**os.environ, **variables}
    for private in ("_PRODSERVER_CONTEXT", "DJANGO_SETTINGS_MODULE"):
        environment.pop(private, None)
    if layout.settings:
        environment["DJANGO_SETTINGS_MODULE"] = layout.settings
    # It must leave no byte code of what may never be written.
    environment["PYTHONDONTWRITEBYTECODE"] = "1"
    with tempfile.TemporaryDirectory(prefix="prodserver-init-") as directory:
        file = Path(directory, "request.json")
        file.write_text(json.dumps(request))
        try:
            done = subprocess.run(
                [sys.executable, "-P", str(_RUNNER), str(file)],
                cwd=layout.code,
                env=environment,
                stdin=subprocess.DEVNULL,
                capture_output=True,
                timeout=_TIMEOUT,
                check=False,
            )
        except subprocess.TimeoutExpired:
            return {"error": f"they were not loaded within {_TIMEOUT} s", "reads": {}}
        result: dict[str, Any] = json.loads(file.read_text())
    if "overlay" in result:  # it is still the request
        lines = done.stderr.decode(errors="replace").strip().splitlines()
        why = lines[-1] if lines else f"exit code {done.returncode}"
        return {"error": why, "reads": {}}
    return result


def _reject(layout: Layout, settings: str, result: Mapping[str, Any]) -> None:
    """Raise an error if an inspection has no values."""
    name = result.get("settings") or settings
    if error := result.get("error"):
        place = f" ({_relative(layout, result['where'])})" if "where" in result else ""
        what = f"The settings {name!r}" if name else "The project's settings"
        message = f"{what} cannot be loaded: {_relative(layout, error)}{place}"
        hint = f"Correct it, and see that this works: {check(layout, settings)}"
        if "ModuleNotFoundError" in error:
            hint = (
                f"Install the project's requirements for {sys.executable}, where "
                "prodserver runs."
            )
        raise ConfigurationError(Fault.NO_SETTINGS, message, hint)
    if not name:
        message = "Neither manage.py nor the environment sets DJANGO_SETTINGS_MODULE."
        hint = "For example: prodserver --init --settings project.settings"
        raise ConfigurationError(Fault.NO_SETTINGS, message, hint)
    if result.get("configurations"):
        message = f"The settings {name!r} are classes of django-configurations."
        hint = (
            "--init edits plain settings only. docs/installation.md has the steps "
            "by hand."
        )
        raise ConfigurationError(Fault.NO_SETTINGS, message, hint)
    if not result["file"].endswith(".py"):
        message = f"The settings {name!r} are not a Python file of this project."
        raise ConfigurationError(Fault.NO_SETTINGS, message, f"Run it in {layout.code}")


def check(layout: Layout, settings: str = "") -> str:
    """Return the command that checks the project."""
    name = f"{layout.subdirectory}/manage.py".lstrip("/")
    named = f" --settings {settings}" if settings else ""
    return f"python {name} check{named}" if layout.manage else "django-admin check"


def _relative(layout: Layout, text: str) -> str:
    return text.replace(f"{layout.root}{os.sep}", "")


#: Names of modules for production, the likeliest first.
_PRODUCTION = ("production", "prod", "deployment", "live")
_OTHER = ("dev", "development", "local", "base", "test", "tests", "testing", "common")


def production_modules(inspected: Inspection) -> list[str]:
    """
    Return the settings modules that the image may use, the likeliest first.

    The one of ``manage.py`` is among them. Several only in a package of settings.
    """
    package, _, name = inspected.settings.rpartition(".")
    candidates = [
        f"{package}.{path.stem}" if package else path.stem
        for stem in _PRODUCTION
        for path in [inspected.file.with_name(f"{stem}.py")]
        if package and path.is_file()
    ]
    # settings.py beside settings_production.py, or production_settings.py.
    for stem in _PRODUCTION:
        for near in (f"{name}_{stem}", f"{stem}_{name}"):
            if inspected.file.with_name(f"{near}.py").is_file():
                candidates.append(f"{package}.{near}".lstrip("."))
    return list(dict.fromkeys([*candidates, inspected.settings]))


def other_module(inspected: Inspection, name: str) -> str:
    """
    Return a settings module that the user has named in answer to a question.

    Raises:
        UsageError: There is no such module.
    """
    package = inspected.settings.rpartition(".")[0]
    for module in (name, f"{package}.{name}"):
        stem = module.rpartition(".")[2]
        if inspected.file.with_name(f"{stem}.py").is_file():
            return f"{package}.{stem}".lstrip(".")
    known = [path.stem for path in inspected.file.parent.glob("*.py")]
    message = f"There is no settings module {name!r} beside {inspected.settings}."
    raise UsageError(message, did_you_mean(name, known))


def sample(name: str) -> str:
    """Return a value for a variable that settings read, so that they can be loaded."""
    upper = name.upper()
    if _DATABASE_URL.search(upper):
        return "postgres://sample-user:sample-password@sample-host:54329/sample-name"
    if "REDIS" in upper or "BROKER" in upper or upper.endswith(("CACHE_URL", "AMQP")):
        return f"redis://{upper.lower().replace('_', '-')}-host:63799/0"
    if "PORT" in upper:
        return "54329"
    if "DEBUG" in upper:
        return "False"
    if "HOST" in upper or "DOMAIN" in upper:
        return f"{upper.lower().replace('_', '-')}.sample"
    return f"sample-{upper.lower()}-{'x' * 50}"


_CONNECTIONS = re.compile(
    r"KEY|SECRET|HOST|DEBUG|DATABASE|(^|_)DB(_|$)|POSTGRES|(^|_)PG|"
    r"MYSQL|SQLITE|REDIS|BROKER|CELERY|CACHE|AMQP|RABBIT"
)


def connections(inspected: Inspection) -> dict[str, str]:
    """Return the variables that the settings read for connections, with samples."""
    skipped = {"DJANGO_SETTINGS_MODULE", "PYTHONPATH"}
    return {
        name: sample(name)
        for name in inspected.reads
        if name not in skipped
        and (_CONNECTIONS.search(name.upper()) or name in inspected.required)
    }
