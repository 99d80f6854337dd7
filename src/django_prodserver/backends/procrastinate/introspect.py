"""The options of the installed Procrastinate."""

from __future__ import annotations

import argparse

from django_prodserver.backends.introspection import parsers
from django_prodserver.backends.introspection.installed import ManagementOptions
from django_prodserver.config.argv import Option

# The flags that are the opposite of the others of their action.
_OPPOSITES = {"wait": "--one-shot", "listen-notify": "--no-listen-notify"}


class WorkerOptions(ManagementOptions):
    """Read the options of the subcommand ``worker``."""

    def read_options(self) -> list[Option]:
        return sorted(map(_with_opposite, parsers.from_argparse(self._parser)))

    @property
    def _parser(self) -> argparse.ArgumentParser:
        for action in super()._actions():
            if isinstance(action, argparse._SubParsersAction):
                parser: argparse.ArgumentParser = action.choices["worker"]
                return parser
        raise AttributeError("worker")

    def _actions(self) -> list[argparse.Action]:
        return self._parser._actions


def _with_opposite(option: Option) -> Option:
    off = _OPPOSITES.get(option.name, "")
    spellings = tuple(s for s in option.spellings if f"--{s}" != off)
    return option._replace(off=off, spellings=spellings)


TABLES = {
    "options.json": WorkerOptions(
        "procrastinate",
        "procrastinate.contrib.django",
        "procrastinate",
    ),
}
