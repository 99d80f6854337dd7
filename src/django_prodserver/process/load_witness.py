"""
Find values that differ in each process and that an application keeps when it is loaded.

A worker that loads the application has its own process ID, random values and exit
functions. A forked one has its parent's, and that cannot be repaired afterwards.
"""

from __future__ import annotations

import ast
import atexit
import contextlib
import linecache
import os
import random
import re
import sys
import sysconfig
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from types import FrameType
from typing import Any, NamedTuple

from django.conf import settings

from django_prodserver.process import removals

_PROCESS_ID = "uses the process ID"
_RANDOM = "creates a random value, which must differ in each worker"
_SEED = "seeds the random module"
# The functions whose results differ in each process, as they appear in code.
_CALLS = {
    "getpid": _PROCESS_ID,
    "uuid1": _RANDOM,
    "uuid4": _RANDOM,
    "urandom": _RANDOM,
    "token_bytes": _RANDOM,
    "token_hex": _RANDOM,
    "token_urlsafe": _RANDOM,
}
_ANY_CALL = re.compile(rf"\b({'|'.join(_CALLS)})\(")
# Code that compares process IDs or has a fork handler notices a fork itself.
_NOTICES_FORK = re.compile(
    r"register_at_fork|pid[\w.\]'\"]*(\(\))?\s*[!=]=|[!=]=\s*[\w.]*pid\b"
)
# Statements that keep what they evaluate; a log call, for example, does not.
_KEEPS = (ast.Assign, ast.AnnAssign, ast.AugAssign, ast.Return, ast.FunctionDef)
# Code in these runs later, or never.
_DEFERS = (ast.Lambda, ast.FunctionDef, ast.AsyncFunctionDef, ast.BoolOp, ast.IfExp)
_TRUSTED = {*sys.stdlib_module_names, "django", "django_prodserver"}


class Use(NamedTuple):
    """A line of code, with a description of what it does."""

    file: str
    line: int
    what: str

    def __str__(self) -> str:
        name = os.path.relpath(self.file)
        shown = self.file if name.startswith(os.pardir) else name
        return f"{shown}, line {self.line}, {self.what}"


class Witness:
    """The calls of an application while it was loaded."""

    def __init__(self) -> None:
        self._uses: dict[Use, None] = {}
        self._removed: list[str] = []

    def find_obstacle(self) -> str:
        """Describe what forked workers would share; return "" if there is nothing."""
        for use in self._uses:
            is_harmless = _notices_fork(use.file) or not _is_kept(use)
            if use.what == _SEED or not is_harmless:
                return str(use)
        if self._removed:
            return f"the application removes {self._removed[0]} at exit"
        for file in _own_files():
            for use in _uses_in(file):
                return str(use)
        return ""

    def note(self, what: str) -> None:
        """Record the caller of the function that called this one."""
        # The requests of WARM_UP run in other threads and load nothing.
        if threading.current_thread() is not threading.main_thread():
            return
        frame = sys._getframe(2)
        if _top_package(frame) not in _TRUSTED and not _is_logging(frame):
            self._uses[Use(frame.f_code.co_filename, frame.f_lineno, what)] = None

    def note_exit_function(self, function: Callable[..., Any], args: Any) -> None:
        """Record a function that removes files when a process exits."""
        if removed := removals.removed_by(function, args):
            self._removed.append(removed)


@contextlib.contextmanager
def watch_load() -> Iterator[Witness]:
    """
    Watch an application while it is loaded.

    For code that was loaded before, by the settings and under ``manage.py`` by all
    apps, only the project's own files are searched.
    """
    witness = Witness()

    def getpid() -> int:
        witness.note(_PROCESS_ID)
        return originals[os, "getpid"]()  # type: ignore[no-any-return]

    def seed(a: Any = None, version: int = 2) -> None:
        if a is not None:
            witness.note(_SEED)
        originals[random, "seed"](a, version)

    def register(function: Any, /, *args: Any, **kwargs: Any) -> Any:
        witness.note_exit_function(function, args)
        return originals[atexit, "register"](function, *args, **kwargs)

    wrappers = {(os, "getpid"): getpid, (random, "seed"): seed}
    wrappers[atexit, "register"] = register
    originals: dict[Any, Any] = {
        (module, name): getattr(module, name) for module, name in wrappers
    }
    for (module, name), wrapper in wrappers.items():
        setattr(module, name, wrapper)
    try:
        yield witness
    finally:
        # Also replace other names for it, as in "from os import getpid".
        for module in list(sys.modules.values()):
            for (_, name), wrapper in wrappers.items():
                if getattr(module, "__dict__", {}).get(name) is wrapper:
                    setattr(module, name, originals[_, name])


def _top_package(frame: FrameType) -> str:
    return str(frame.f_globals.get("__name__")).partition(".")[0]


def _is_logging(frame: FrameType | None) -> bool:
    """Tell whether a frame runs for a log record, as that of a filter does."""
    while frame:
        if _top_package(frame) == "logging":
            return True
        frame = frame.f_back
    return False


def _source(file: str) -> str:
    return "".join(linecache.getlines(file))


def _notices_fork(file: str) -> bool:
    return bool(_NOTICES_FORK.search(_source(file)))


def _is_kept(use: Use) -> bool:
    """Tell whether the statement in that line may keep the value."""
    try:
        nodes = list(ast.walk(ast.parse(_source(use.file))))
    except SyntaxError:
        return True
    statements = [
        node
        for node in nodes
        if isinstance(node, ast.stmt)
        and node.lineno <= use.line <= (node.end_lineno or node.lineno)
    ]
    if not statements:
        return True  # no source
    return isinstance(max(statements, key=lambda node: node.lineno), _KEEPS)


def _own_files() -> Iterator[str]:
    """Yield the files of the modules that are the project's own."""
    paths = sysconfig.get_paths()
    installed = tuple({paths[name] for name in ("stdlib", "purelib", "platlib")})
    ours = str(Path(__file__).parents[1])
    for module in list(sys.modules.values()):
        file = getattr(module, "__file__", None)
        if isinstance(file, str) and file.endswith(".py"):
            foreign = file.startswith((*installed, ours)) or "-packages/" in file
            if not foreign:
                yield file


def _uses_in(file: str) -> Iterator[Use]:
    """Yield the assignments in a module or its classes that keep such a value."""
    try:
        source = Path(file).read_text(errors="replace")
    except OSError:
        return
    if not _ANY_CALL.search(source) or _NOTICES_FORK.search(source):
        return
    name: Any = settings.SETTINGS_MODULE
    is_settings = getattr(sys.modules.get(name), "__file__", None) == file
    try:
        tree = ast.parse(source)
    except SyntaxError:
        return
    for call in _kept_calls(tree):
        function = call.func
        name = getattr(function, "attr", None) or getattr(function, "id", "")
        what = _CALLS.get(name)
        # A secret key that is generated because none is set is better shared.
        if what and not (is_settings and what == _RANDOM):
            yield Use(file, call.lineno, what)


def _kept_calls(node: ast.AST, is_kept: bool = False) -> Iterator[ast.Call]:
    """Yield the calls in assignments that run when a module is imported."""
    for child in ast.iter_child_nodes(node):
        if isinstance(child, _DEFERS):
            continue
        kept = is_kept or isinstance(child, (ast.Assign, ast.AnnAssign))
        if kept and isinstance(child, ast.Call):
            yield child
        yield from _kept_calls(child, kept)
