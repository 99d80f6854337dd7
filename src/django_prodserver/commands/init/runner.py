"""
A script that loads a project's settings and reports them, in a Python of its own.

The proposed source of files takes the place of what is on disk (``overlay``), so that
a change is tried before it is written.
"""

from __future__ import annotations

import ast
import importlib.machinery
import importlib.metadata
import importlib.util
import io
import json
import os
import runpy
import sys
import traceback
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

_SKIPPED = {"node_modules", "site-packages", "build", "dist"}


class _Reads:
    """The environment variables that the project has read."""

    def __init__(self) -> None:
        self.names: dict[str, bool] = {}
        self.is_on = False
        environ = type(os.environ)
        getitem = environ.__getitem__

        def read(self_: Any, name: str) -> str:
            if not self.is_on or not isinstance(name, str):
                return getitem(self_, name)
            # The last one that was missing goes to the end.
            self.names.pop(name, None)
            self.names[name] = False
            value = getitem(self_, name)
            self.names[name] = True
            return value

        environ.__getitem__ = read  # type: ignore[method-assign]


def _opened(root: str) -> list[str]:
    """Return the project's files that are opened for writing from now on."""
    found: list[str] = []

    def hook(event: str, args: tuple[Any, ...]) -> None:
        if event != "open" or not isinstance(args[0], str | os.PathLike):
            return
        path = os.path.realpath(args[0])
        is_ours = path.startswith(root + os.sep) and path not in found
        flags = args[2] if isinstance(args[2], int) else 0
        if is_ours and flags & (os.O_WRONLY | os.O_RDWR | os.O_CREAT):
            found.append(path)

    sys.addaudithook(hook)
    return found


def _install_overlay(overlay: Mapping[str, str]) -> None:
    loader = importlib.machinery.SourceFileLoader
    get_code = loader.get_code

    def overlaid(self: Any, fullname: str) -> Any:
        path = os.path.realpath(self.get_filename(fullname))
        if path in overlay:
            return compile(overlay[path], path, "exec", dont_inherit=True)
        return get_code(self, fullname)

    loader.get_code = overlaid  # type: ignore[method-assign]


def _load(request: Mapping[str, Any], result: dict[str, Any]) -> None:
    """Do what ``manage.py`` does before it runs a command, and load the settings."""
    import django.core.management as management

    class Entered(BaseException):
        pass

    def enter(argv: object = None) -> None:
        raise Entered

    if manage := request["manage"]:
        management.execute_from_command_line = enter
        sys.path.insert(0, str(Path(manage).parent))
        sys.argv = [manage, "check"]
        with suppress(Entered):
            runpy.run_path(manage, run_name="__main__")
    else:
        sys.path.insert(0, request["root"])
    if request["settings"]:
        os.environ["DJANGO_SETTINGS_MODULE"] = request["settings"]
    result["settings"] = os.environ.get("DJANGO_SETTINGS_MODULE", "")
    if not result["settings"]:
        return
    from django.conf import settings

    settings.INSTALLED_APPS  # noqa: B018  # the first access imports them


def _files(root: str, before: set[str]) -> dict[str, str]:
    """Return the project's modules that the settings have imported, and their files."""
    found = {}
    for name, module in list(sys.modules.items()):
        path = getattr(module, "__file__", None) or ""
        real = os.path.realpath(path)
        is_ours = (
            path and real.startswith(root + os.sep) and "site-packages" not in real
        )
        if name not in before and name != "__main__" and is_ours:
            found[name] = real
    return found


def _plain(value: Any) -> Any:
    """Return a value as JSON can hold it."""
    if isinstance(value, Mapping):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple | set):
        return [_plain(item) for item in value]
    if value is None or isinstance(value, bool | int | float | str):
        return value
    return str(value)


def _values(sentinels: set[str]) -> dict[str, Any]:
    from django.conf import settings

    def secret(text: object) -> str:
        """Return a secret only if it is one of ours."""
        return str(text) if str(text) in sentinels else ("set" if text else "")

    databases = {}
    for alias, found in getattr(settings, "DATABASES", {}).items():
        names = ("ENGINE", "NAME", "HOST", "PORT", "USER")
        databases[alias] = {name: str(found.get(name) or "") for name in names}
        databases[alias]["PASSWORD"] = secret(found.get("PASSWORD"))
    wanted = [
        *("DEBUG", "ALLOWED_HOSTS", "MIDDLEWARE", "INSTALLED_APPS", "STATIC_URL"),
        *("STATIC_ROOT", "MEDIA_ROOT", "STORAGES", "WSGI_APPLICATION"),
        *("ASGI_APPLICATION", "ROOT_URLCONF", "SECURE_SSL_REDIRECT"),
    ]
    values = {name: _plain(getattr(settings, name, None)) for name in wanted}
    for name in ("CACHES", "TASKS"):
        values[name] = {
            alias: {
                "BACKEND": str(found.get("BACKEND", "")),
                "LOCATION": _plain(found.get("LOCATION")),
            }
            for alias, found in (getattr(settings, name, None) or {}).items()
        }
    cluster = getattr(settings, "Q_CLUSTER", None) or {}
    values["Q_CLUSTER"] = {"redis": bool(cluster.get("redis"))}
    values["DATABASES"] = databases
    try:
        values["SECRET_KEY"] = secret(settings.SECRET_KEY)
        values["SECRET_KEY_IS_INSECURE"] = "insecure" in str(settings.SECRET_KEY)
    except Exception:  # Django's own words for an empty one
        values["SECRET_KEY"], values["SECRET_KEY_IS_INSECURE"] = "", False
    for name in ("INSTALLED_APPS", "MIDDLEWARE"):
        values[f"{name}_TYPE"] = type(getattr(settings, name)).__name__
    values["PROCESSES"] = list(getattr(settings, "PRODUCTION_PROCESSES", None) or {})
    return values


def _sources(root: str) -> list[Path]:
    found = []
    for folder, folders, names in os.walk(root):
        folders[:] = [
            name
            for name in sorted(folders)
            if name not in _SKIPPED
            and not name.startswith(".")
            and not Path(folder, name, "pyvenv.cfg").exists()
        ]
        found += [Path(folder, name) for name in sorted(names) if name[-3:] == ".py"]
        if len(found) > 5000:
            break
    return found


def _celery(directory: str, sources: list[Path]) -> dict[str, Any]:
    """Return the project's Celery app, and its broker and schedule."""
    if importlib.util.find_spec("celery") is None:
        return {}
    from celery import Celery

    for path in sources:
        with suppress(OSError, ValueError):
            if "Celery(" not in path.read_text("utf-8"):
                continue
            parts = list(path.relative_to(directory).with_suffix("").parts)
            if parts[-1] == "__init__":
                parts.pop()
            name = ".".join(parts)
            if not name or not all(part.isidentifier() for part in parts):
                continue
            module = importlib.import_module(name)
            for attribute, value in vars(module).items():
                if isinstance(value, Celery):
                    conf = value.conf
                    return {
                        "app": f"{name}.{attribute}",
                        "broker": str(conf.broker_url or ""),
                        "results": str(conf.result_backend or ""),
                        "schedule": bool(conf.beat_schedule),
                        "scheduler": str(conf.beat_scheduler or ""),
                    }
    return {}


def _imported(sources: list[Path]) -> set[str]:
    """Return the top-level modules that the project imports."""
    found: set[str] = set()
    for path in sources:
        try:
            tree = ast.parse(path.read_bytes())
        except (OSError, ValueError, SyntaxError):
            continue
        for node in ast.walk(tree):
            if isinstance(node, ast.Import):
                found |= {alias.name.partition(".")[0] for alias in node.names}
            elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
                found.add(node.module.partition(".")[0])
    return found


def _distributions(modules: set[str]) -> dict[str, str]:
    """Return the installed distributions of some modules, with their versions."""
    by_module = importlib.metadata.packages_distributions()
    return {
        name: importlib.metadata.version(name)
        for module in modules
        for name in by_module.get(module, [])
    }


def _has_module(name: str) -> bool:
    try:
        return importlib.util.find_spec(name) is not None
    except (ImportError, ValueError):
        return False


def _inspect(request: Mapping[str, Any], result: dict[str, Any]) -> None:
    reads, before = _Reads(), set(sys.modules)
    root = request["root"]
    result["opened"] = _opened(root)
    reads.is_on = True
    try:
        _load(request, result)
    finally:
        reads.is_on = False
        result["reads"] = reads.names
    if not result["settings"]:
        return
    module = sys.modules.get(result["settings"])
    result["files"] = _files(root, before)
    result["file"] = os.path.realpath(getattr(module, "__file__", None) or "")
    if os.environ.get("DJANGO_CONFIGURATION") and "configurations" in sys.modules:
        result["configurations"] = True
        return
    result["values"] = _values(set(request["sentinels"]))
    result["base_dir"] = hasattr(module, "BASE_DIR")
    import django

    django.setup()
    directory = str(Path(request["manage"]).parent) if request["manage"] else root
    sources = _sources(root)
    result["celery"] = _celery(directory, sources)
    if request["sentinels"]:
        return
    apps = {app.partition(".")[0] for app in result["values"]["INSTALLED_APPS"]}
    imported = _imported(sources)
    drivers = {"psycopg", "psycopg2", "MySQLdb"} if request["drivers"] else set()
    result["distributions"] = _distributions(apps | imported | drivers)
    names = ("whitenoise", "redis", "psycopg", "psycopg2", "MySQLdb")
    result["modules"] = [name for name in names if _has_module(name)]


def main() -> None:
    """Read the request from the file that is named, and write the result there."""
    path = Path(sys.argv[1])
    request = json.loads(path.read_text())
    result: dict[str, Any] = {}
    sys.stdin = io.StringIO()
    _install_overlay(request["overlay"])
    try:
        _inspect(request, result)
    except SyntaxError as error:
        where = f"{error.filename or ''}, line {error.lineno}"
        result["error"] = f"{where}: {error.msg}"
        result["is_syntax"] = True
    except BaseException as error:  # whatever a project does as it is loaded
        lines = traceback.format_exception_only(error)
        result["error"] = "".join(lines).strip().splitlines()[-1]
        frames = [
            frame
            for frame in traceback.extract_tb(error.__traceback__)
            if frame.filename.startswith(request["root"] + os.sep)
        ]
        if frames:
            result["where"] = f"{frames[-1].filename}, line {frames[-1].lineno}"
    path.write_text(json.dumps(result))
    # Without what the project does at the end, and without its threads.
    sys.stdout.flush()
    os._exit(0)


if __name__ == "__main__":
    main()
