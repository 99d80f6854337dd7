"""
Find functions that remove files when a process exits.

With a preload, the first worker to exit would remove the files of all.
"""

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
    """Return what a function removes ("files" if unknown), or "" for nothing."""
    code = getattr(function, "__code__", None)
    calls = set(code.co_names) if isinstance(code, CodeType) else set()
    name = getattr(function, "__name__", "")
    is_known = name in _REMOVES or function in (os.remove, shutil.rmtree)
    if not (is_known or calls & _REMOVES):
        return ""
    subject = args[0] if args else getattr(function, "__self__", None)
    return str(subject) if isinstance(subject, (str, os.PathLike)) else "files"


def removed_by_finalizers() -> str:
    """Return what a finalizer removes, as a ``TemporaryDirectory`` has one; else ""."""
    for finalizer in list(weakref.finalize._registry):  # type: ignore[attr-defined]
        alive = finalizer.peek()
        if alive and finalizer.atexit:
            _, function, args, options = alive
            removed = removed_by(function, args)
            if removed and options.get("delete", True):
                return removed
    return ""
