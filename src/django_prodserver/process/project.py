"""Find the project and its settings, for this and other Python processes."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from importlib import import_module
from importlib.util import find_spec

from django.conf import settings

from django_prodserver.process import entry
from django_prodserver.text import is_missing

#: Names the class in the settings module that django-configurations loads.
CONFIGURATION = "DJANGO_CONFIGURATION"
CONFIGURATION_HINT = (
    f"Set {CONFIGURATION} to the name of the class, for example: "
    f"{CONFIGURATION}=Production prodserver web"
)
_IMPORTER = "configurations.importer"


def install_settings_importer() -> None:
    """
    Let django-configurations load the settings, if ``DJANGO_CONFIGURATION`` is set.

    Call it before the settings are imported. A ``manage.py`` of such a project does
    the same.
    """
    if not os.environ.get(CONFIGURATION):
        return
    try:
        importer = import_module(_IMPORTER)
    except ModuleNotFoundError as error:
        if is_missing(_IMPORTER, error.name):
            return  # the variable is not for django-configurations
        raise
    importer.install()


def missing_configuration(module: str) -> str:
    """Return the value of ``DJANGO_CONFIGURATION`` if the settings lack that class."""
    name = os.environ.get(CONFIGURATION, "")
    loaded = sys.modules.get(module)
    uses_configurations = _IMPORTER in sys.modules and loaded is not None
    return name if name and uses_configurations and not hasattr(loaded, name) else ""


def configurations(module: str) -> list[str]:
    """Return the classes that ``DJANGO_CONFIGURATION`` may name."""
    base = getattr(sys.modules.get("configurations"), "Configuration", ())
    return sorted(
        name
        for name, value in vars(sys.modules[module]).items()
        if isinstance(value, type) and value is not base and issubclass(value, base)
    )


def is_installed() -> bool:
    """Return whether our app is in ``INSTALLED_APPS``."""
    # "django_prodserver", or the path of its AppConfig, which may be the user's.
    name = "django_prodserver"
    return any(app.partition(".")[0] == name for app in settings.INSTALLED_APPS)


def admin_script() -> str:
    """Return the console script that runs the project's management commands."""
    importer = sys.modules.get(_IMPORTER)
    return "django-cadmin" if importer and importer.installed else "django-admin"


def environment() -> dict[str, str]:
    """Return the variables that another Python needs to find the project."""
    found = {}
    if directories := entry.import_directories():
        found["PYTHONPATH"] = os.pathsep.join(directories)
    if settings.SETTINGS_MODULE:
        found["DJANGO_SETTINGS_MODULE"] = settings.SETTINGS_MODULE
    # Perhaps set by manage.py, but not in the shell in which the command is pasted.
    if configuration := os.environ.get(CONFIGURATION):
        found[CONFIGURATION] = configuration
    return found


def find_module(name: str) -> str:
    """
    Return the dotted path of the project's module ``name``; "" if it has none.

    This imports only the packages of the root URLconf and of the settings, which
    Django imports too.
    """
    for package in _packages():
        path = f"{package}.{name}".lstrip(".")
        if _exists(path):
            return path
    return ""


def _packages() -> Iterator[str]:
    """Yield the project's packages, the likeliest first, and the top level last."""
    # SETTINGS_MODULE is None after settings.configure().
    for module in (getattr(settings, "ROOT_URLCONF", ""), settings.SETTINGS_MODULE):
        package = str(module or "")
        while package := package.rpartition(".")[0]:
            yield package
    yield ""


def _exists(path: str) -> bool:
    try:
        return find_spec(path) is not None
    except Exception:  # no such package, or it raises an error when it is imported
        return False
