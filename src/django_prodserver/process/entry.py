"""The project's entry: its ``manage.py``, or the command it uses instead."""

from __future__ import annotations

import os
import shlex
import shutil
import sys
from collections.abc import Sequence
from importlib.machinery import PathFinder
from pathlib import Path
from typing import Any, NoReturn

from django_prodserver.config.context import Context
from django_prodserver.exceptions import ConfigurationError, Fault
from django_prodserver.process import executable
from django_prodserver.process.executable import Program
from django_prodserver.text import did_you_mean, safe_repr

#: The project's entry, for the console command ``prodserver``.
VARIABLE = "PRODSERVER_MANAGE"
_FILE = "pyproject.toml"
_KEY = "manage"
_HINT = 'Write manage = "manage.py", or the command that the project uses instead.'
# Options that need no project, or find it themselves.
_STANDALONE = {"-h", "--help", "--init", "--version"}


def enter_configured(words: Sequence[str]) -> None:
    """
    Replace this process with the project's entry; return if none is configured.

    Args:
        words: The arguments of ``prodserver``.

    Raises:
        ConfigurationError: The configured entry cannot be used.
    """
    options = words[: words.index("--")] if "--" in words else words
    if _STANDALONE.intersection(options):
        return
    text, origin = _configured()
    if not text:
        return
    before = Context.from_environment()
    if before and before.entry_pid == os.getpid():
        message = f"{origin} is {safe_repr(text)}, which runs prodserver again."
        raise ConfigurationError(Fault.NO_SETTINGS, message, _HINT)
    command = _find_command(text, origin)
    Context(entry=origin, entry_pid=os.getpid()).put_into_environment()
    executable.replace_process([*command, "prodserver", *words])


def configured_by() -> str:
    """Return the variable or file that configured the entry of this process."""
    context = Context.from_environment()
    return context.entry if context and context.entry_pid == os.getpid() else ""


def configured_script() -> str:
    """Return the ``manage.py`` that is configured as the entry; "" if none is."""
    words = shlex.split(_configured()[0])
    return next((word for word in words if word.endswith(".py")), "")


def _configured() -> tuple[str, str]:
    """Return the configured entry and where it is configured; "" if there is none."""
    if (text := os.environ.get(VARIABLE)) is not None:
        return text, VARIABLE
    where = f"[tool.prodserver] {_KEY} in {_FILE}"
    text = _table().get(_KEY, "")
    if not isinstance(text, str):
        message = f"{where} is {safe_repr(text)}, not a string."
        raise ConfigurationError(Fault.NO_SETTINGS, message, _HINT)
    return text, where


def _table() -> dict[str, Any]:
    """Return ``[tool.prodserver]`` of the working directory's ``pyproject.toml``."""
    try:
        content = Path(_FILE).read_bytes()
    except OSError:
        return {}
    # Most projects have none; then the rest of the file does not matter here.
    if b"prodserver" not in content:
        return {}
    import tomllib

    try:
        tables = tomllib.loads(content.decode())
    except ValueError as error:
        message = f"{_FILE} cannot be read: {error}."
        hint = f"Fix it, or set {VARIABLE} instead."
        raise ConfigurationError(Fault.NO_SETTINGS, message, hint) from None
    table: Any = tables
    for name in ("tool", "prodserver"):
        table = table.get(name, {}) if isinstance(table, dict) else table
    if not isinstance(table, dict):
        message = f"[tool.prodserver] in {_FILE} is {safe_repr(table)}, not a table."
        raise ConfigurationError(Fault.NO_SETTINGS, message, _HINT)
    for key in table:
        if key != _KEY:
            message = f"[tool.prodserver] in {_FILE} has the unknown key {key!r}."
            hint = f"{did_you_mean(key, [_KEY])} The only key is {_KEY}.".strip()
            raise ConfigurationError(Fault.NO_SETTINGS, message, hint)
    return table


def _find_command(text: str, origin: str) -> list[str]:
    """Return the words that run ``manage.py``, ``python -m shop`` or the like."""
    try:
        program, *arguments = shlex.split(text)
    except ValueError:  # quotes that are not closed, or only spaces
        message = f"{origin} is {safe_repr(text)}, which is not a command."
        raise ConfigurationError(Fault.NO_SETTINGS, message, _HINT) from None
    where = f"{origin} is {safe_repr(text)}, but there is no such"
    if program.endswith(".py"):
        program, arguments = "python", [program, *arguments]
    if program in ("python", "python3"):
        if arguments[:1] == ["-m"]:
            package = "".join(arguments[1:2]).partition(".")[0]
            if not PathFinder.find_spec(package, [os.getcwd(), *sys.path]):  # noqa: PTH109
                hint = f"Install it for {sys.executable}, or fix the name."
                message = f"{where} module."
                raise ConfigurationError(Fault.NO_SETTINGS, message, hint)
        elif not (arguments and Path(arguments[0]).is_file()):
            hint = f"Use a path relative to the working directory, {Path.cwd()}."
            raise ConfigurationError(Fault.NO_SETTINGS, f"{where} file.", hint)
        return [sys.executable, *arguments]
    try:
        return [executable.find(program), *arguments]
    except ConfigurationError:
        if found := shutil.which(program):
            return [found, *arguments]
    hint = f"Install the package that provides {program} for {sys.executable}."
    raise ConfigurationError(Fault.NO_SETTINGS, f"{where} command.", hint)


def find_entry(argv: Sequence[str]) -> Program | None:
    """
    Return the program that started this process, without the management command.

    The project's other processes are started through it too, because it may read a
    ``.env`` file, change ``sys.path`` or set up django-configurations.

    Args:
        argv: The arguments that Django parsed: the name of the program, the management
            command and its arguments.

    Returns:
        None if code in this process called the management command, and Python was not
        started with it.
    """
    arguments = list(argv[1:])
    words = restart_command()
    if not arguments or words[-len(arguments) :] != arguments:
        return None
    command = words[: -len(arguments)]
    script = command[-1] if _is_main_script(command[-1]) else ""
    return Program(tuple(command), script)


def restart() -> NoReturn:
    """Restart this command."""
    if directory := _module_directory():
        os.chdir(directory)
    executable.replace_process(restart_command())


def restart_command() -> list[str]:
    """Return the words that restart this process."""
    words = [sys.executable, *sys.orig_argv[1:]]
    # A relative path is wrong once manage.py has changed the working directory.
    if sys.argv[0] in words[1:] and not _is_main_script(sys.argv[0]):
        words[words.index(sys.argv[0], 1)] = _main_script() or sys.argv[0]
    return words


def prodserver_command(entry: Program | None) -> list[str]:
    """Return the words that run ``prodserver`` in another process."""
    if entry:
        return [*entry.command, "prodserver"]
    return [sys.executable, "-m", "django_prodserver"]


def import_directories() -> list[str]:
    """Return the directories that the project is imported from."""
    # These are before the standard library on sys.path: the directory of manage.py,
    # the working directory, PYTHONPATH and --pythonpath.
    standard = os.path.dirname(os.__file__)  # noqa: PTH120  # as sys.path has it
    ahead = sys.path[: sys.path.index(standard)] if standard in sys.path else []
    scripts = os.path.dirname(sys.executable)  # noqa: PTH120
    directories = dict.fromkeys(
        os.path.abspath(directory)  # noqa: PTH100
        for directory in ahead
        if not directory.endswith(".zip") and directory != scripts
    )
    return list(directories)


def _is_main_script(path: str) -> bool:
    main = _main_script()
    return (
        bool(main) and os.path.isfile(path) and os.path.samefile(path, main)  # noqa: PTH113, PTH121
    )


def _module_directory() -> str:
    """
    Return the working directory in which ``python -m`` found its module.

    The module may have changed the working directory since. Returns "" if the module
    was found in another way.
    """
    spec = getattr(sys.modules["__main__"], "__spec__", None)
    if spec is None or not spec.origin:
        return ""
    directory = str(Path(spec.origin).parents[spec.name.count(".")])
    given = os.environ.get("PYTHONPATH", "").split(os.pathsep)
    is_found_there = directory in import_directories()
    return directory if is_found_there and directory not in given else ""


def _main_script() -> str:
    """Return the absolute path of the script that Python runs, or ""."""
    main: Any = sys.modules["__main__"]
    is_module = getattr(main, "__spec__", None) is not None  # "python -m"
    return "" if is_module else str(getattr(main, "__file__", None) or "")
