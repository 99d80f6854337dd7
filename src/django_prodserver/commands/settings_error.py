"""Describe an error of the user's settings module in one message."""

from __future__ import annotations

import os
import sysconfig
import traceback
from pathlib import Path

from django_prodserver.exceptions import ConfigurationError, Fault
from django_prodserver.process import project
from django_prodserver.text import did_you_mean, redact, safe_repr

# Characters of an exception's text, which may hold a whole document.
_LONGEST = 200


def describe(module: str, error: Exception) -> ConfigurationError:
    """
    Return what to tell the user when importing the settings module fails.

    Args:
        module: The name of the settings module.
        error: The exception that it raised.
    """
    if isinstance(error, AttributeError) and (
        name := project.missing_configuration(module)
    ):
        return _missing_configuration(module, name)
    # str() of a SyntaxError already ends with the place.
    text = error.msg if isinstance(error, SyntaxError) else str(error)
    text = redact(" ".join(text.split())[:_LONGEST])
    what = f"{type(error).__name__}: {text}" if text else type(error).__name__
    message = f"The settings {module!r} cannot be loaded: {what}"
    if place := _place(error):
        message = f"{message} ({place})"
    hint = "To see the traceback, add --traceback."
    if variable := _missing_variable(error):
        hint = f"Set the environment variable: {variable}=... prodserver ..."
    return ConfigurationError(Fault.NO_SETTINGS, message, hint)


def _missing_configuration(module: str, name: str) -> ConfigurationError:
    message = (
        f"{project.CONFIGURATION} is {safe_repr(name)}, but the settings {module!r} "
        "have no such class."
    )
    names = project.configurations(module)
    hint = f"Classes: {', '.join(names)}." if names else project.CONFIGURATION_HINT
    hint = f"{did_you_mean(name, names)} {hint}".strip()
    return ConfigurationError(Fault.NO_SETTINGS, message, hint)


def _place(error: Exception) -> str:
    """Return the file and line of the user's code that raised it; "" if none."""
    if isinstance(error, SyntaxError) and error.filename:
        return f"{_shown(error.filename)}, line {error.lineno}"
    installed = {sysconfig.get_path(name) for name in ("stdlib", "purelib", "platlib")}
    for frame in reversed(traceback.extract_tb(error.__traceback__)):
        file = frame.filename
        is_users = os.path.isabs(file) and not file.startswith(tuple(installed))  # noqa: PTH117
        if is_users and not _is_ours(file):
            return f"{_shown(file)}, line {frame.lineno}"
    return ""


def _is_ours(file: str) -> bool:
    return Path(file).is_relative_to(Path(__file__).parents[1])


def _shown(file: str) -> str:
    """Return a path relative to the working directory, if it is below that."""
    relative = os.path.relpath(file)
    return file if relative.startswith(os.pardir) else relative


def _missing_variable(error: Exception) -> str:
    """Return the environment variable that ``os.environ[...]`` did not find."""
    frames = traceback.extract_tb(error.__traceback__)
    # The os module is usually frozen into the interpreter.
    modules = (os.__file__, "<frozen os>")
    if isinstance(error, KeyError) and frames and frames[-1].filename in modules:
        return str(error.args[0])
    return ""
