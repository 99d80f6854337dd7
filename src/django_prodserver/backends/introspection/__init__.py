"""The options each server is known to take: one generated table a server."""

from __future__ import annotations

import functools
from importlib import import_module

from django_prodserver.config.argv import OptionTable


@functools.cache
def option_table(server: str, join: str = ",") -> OptionTable:
    """Return what is known of a server's options, without importing the server."""
    known = import_module(f".{server}", __name__).OPTIONS if server else ()
    return OptionTable(known, join)
