"""Functions that remove files as a process exits: the first worker to exit, for all."""

from __future__ import annotations

import os
import shutil
import weakref
from collections.abc import Callable, Sequence
from types import CodeType
from typing import Any

# "_cleanup" is TemporaryDirectory's.
_REMOVES = {"rmtree", "unlink", "rmdir", "removedirs", "cleanup", "_cleanup"}


def removed_by(function: Callable[..., Any], args: Sequence[object]) -> str:
    """Return what a function removes, "files" if that is not known; else ""."""
    code = getattr(function, "__code__", None)
    calls = set(code.co_names) if isinstance(code, CodeType) else set()
    name = getattr(function, "__name__", "")
    is_known = name in _REMOVES or function in (os.remove, shutil.rmtree)
    if not (is_known or calls & _REMOVES):
        return ""
    subject = args[0] if args else getattr(function, "__self__", None)
    return str(subject) if isinstance(subject, (str, os.PathLike)) else "files"


def removed_by_finalizers() -> str:
    """Return what a finalizer, as a ``TemporaryDirectory`` has, removes; else ""."""
    for finalizer in list(weakref.finalize._registry):  # type: ignore[attr-defined]
        alive = finalizer.peek()
        if alive and finalizer.atexit:
            _, function, args, options = alive
            removed = removed_by(function, args)
            if removed and options.get("delete", True):
                return removed
    return ""
