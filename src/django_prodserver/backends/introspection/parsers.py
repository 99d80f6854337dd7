"""Read options from the parsers that servers use: click and argparse."""

from __future__ import annotations

import argparse
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Literal

from django_prodserver.config.argv import Option

if TYPE_CHECKING:
    import click

Kind = Literal["value", "list", "bool", "flag"]


def option_of(
    kind: Kind, flags: Sequence[str], off: str = "", names: Iterable[str] = ()
) -> Option:
    """Return an option with these flags, named after the first long one."""
    on = next((flag for flag in flags if flag.startswith("--")), "")
    name = _bare(on) or _bare(off).removeprefix("no-")
    return also_named(Option(name, kind, on, off), [*flags, *names])


def also_named(option: Option, names: Iterable[str]) -> Option:
    """Return the option with these spellings added."""
    known = {*option.spellings, *map(_bare, names)} - {option.name}
    return option._replace(spellings=tuple(sorted(known)))


def from_click(command: click.Command) -> list[Option]:
    """Return the options of a click command, sorted."""
    options = []
    for parameter in command.params:
        # This is public; the attributes are not, and some hold click's sentinels.
        info = parameter.to_info_dict()
        if info["param_type_name"] != "option" or info["name"] in ("help", "version"):
            continue
        kind: Kind = "value"
        if info["is_flag"]:
            kind = "flag"
        elif info["multiple"]:
            kind = "list"
        elif info["type"]["param_type"] == "Bool":
            kind = "bool"
        off = "".join(info["secondary_opts"][:1])
        options.append(option_of(kind, info["opts"], off, [info["name"]]))
    return sorted(options)


def from_argparse(parser: argparse.ArgumentParser) -> list[Option]:
    """Return the options of a parser, without its --help and its positionals."""
    return sorted(
        _from_action(action)
        for action in parser._actions
        if action.option_strings and action.dest != "help"
    )


def from_command(app: str, name: str) -> list[Option]:
    """Return the options of a management command, sorted, without Django's own."""
    from django.core.management import load_command_class
    from django.core.management.base import BaseCommand

    common = BaseCommand().create_parser("manage.py", name)._actions
    common_flags = {flag for action in common for flag in action.option_strings}
    options: dict[str, Option] = {}
    for action in load_command_class(app, name).create_parser("", name)._actions:
        if not set(action.option_strings) - common_flags:  # or a positional
            continue
        option = _from_action(action)
        # A command may define --x and --no-x as two actions.
        if other := options.get(option.name):
            on, off = option.on or other.on, option.off or other.off
            option = also_named(option._replace(on=on, off=off), other.spellings)
        options[option.name] = option
    return sorted(options.values())


def _from_action(action: argparse.Action) -> Option:
    flags = action.option_strings
    if isinstance(action, argparse._StoreFalseAction):
        if flags[0].startswith("--no-"):
            return option_of("flag", (), flags[0], [action.dest])
        # Its destination means the opposite, so it is not another spelling.
        return option_of("flag", flags)
    if isinstance(action, argparse.BooleanOptionalAction):
        off = next(flag for flag in flags if flag.startswith("--no-"))
        positive = [flag for flag in flags if not flag.startswith("--no-")]
        return option_of("flag", positive, off, [action.dest])
    kind: Kind = "value"
    if action.nargs == 0:
        kind = "flag"
    elif isinstance(action, argparse._AppendAction):
        kind = "list"
    return option_of(kind, flags, names=[action.dest])


def _bare(spelling: str) -> str:
    return spelling.lstrip("-").replace("_", "-")
