"""Call a function before the first call of others."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any


def call_before_first(
    functions: Iterable[tuple[object, str]], callback: Callable[[], None]
) -> None:
    """
    Call ``callback`` once, before the first call of any of these functions.

    Args:
        functions: The class or module of each, and its name there.
        callback: The function to call.
    """
    native = [(owner, name, getattr(owner, name)) for owner, name in functions]

    def replacement(function: Callable[..., Any]) -> Callable[..., Any]:
        def call_both(*args: Any, **kwargs: Any) -> Any:
            for owner, name, original in native:
                setattr(owner, name, original)
            callback()
            return function(*args, **kwargs)

        return call_both

    for owner, name, function in native:
        setattr(owner, name, replacement(function))
